"""Which calls may begin beside others, judged by what their functions have needed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from servers import wait_until
from xtyl_engine.runners.admission import Admission, computed_by
from xtyl_engine.runners.patience import CallStopped, Patience

GB = 1024**3


def patient(cancelled: Callable[[], bool] = lambda: False) -> Patience:
    return Patience(None, cancelled)


def learn(admission: Admission, function: str, *, seconds: float, computed: float, memory: int = 0) -> None:
    """One call of a function, which took so long and so much."""
    with admission.entered(function, patient()) as flight:
        flight.began = time.monotonic() - seconds
        admission.ended(flight, computed, memory)


def begins(admission: Admission, function: str) -> tuple[threading.Event, threading.Event]:
    """A call in a thread: an event that is set when it has begun, and one that lets it end."""
    began, end = threading.Event(), threading.Event()

    def call() -> None:
        with admission.entered(function, patient()):
            began.set()
            end.wait()

    threading.Thread(target=call, daemon=True).start()
    return began, end


def test_calls_that_wait_begin_without_limit() -> None:
    """A function that uses little of a processor is held up by no other call."""
    admission = Admission(cores=1)
    learn(admission, "nap", seconds=0.5, computed=0.01)
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(admission.entered("nap", patient()))


@pytest.mark.parametrize("known", [True, False], ids=["computes", "not known"])
def test_calls_that_compute_begin_up_to_the_processors(known: bool) -> None:
    """So do those of a function that has never been called; the next begins when one ends."""
    admission = Admission(cores=2)
    if known:
        learn(admission, "sum", seconds=0.5, computed=0.4)
    _, (_, end) = begins(admission, "sum"), begins(admission, "sum")
    third, last = begins(admission, "sum")
    assert not third.wait(0.2)
    end.set()
    wait_until(third.is_set)
    last.set()


def test_a_call_that_waits_lets_the_next_in_before_it_ends() -> None:
    """It is looked at while others wait, and found to compute nothing."""
    admission = Admission(cores=1)
    with admission.entered("long", patient()) as flight:
        flight.pid, flight.computed = os.getppid(), computed_by(os.getppid()) or 0.0
        began, end = begins(admission, "long")
        wait_until(began.is_set)
        end.set()


def test_short_calls_are_not_held_up() -> None:
    """They are over before it matters that they compute."""
    admission = Admission(cores=1)
    learn(admission, "quick", seconds=0.001, computed=0.001)
    with admission.entered("quick", patient()), admission.entered("quick", patient()):
        pass


def test_no_call_begins_while_memory_is_short_and_another_is_in_flight() -> None:
    """What idles is asked to make room; a call alone begins all the same."""
    free, asked = [GB], threading.Event()
    admission = Admission(cores=8, memory=10 * GB, available=lambda: free[0], on_short=asked.set)
    learn(admission, "nap", seconds=0.5, computed=0.0)
    with admission.entered("nap", patient()):
        began, end = begins(admission, "nap")
        wait_until(asked.is_set)
        assert not began.is_set()
        free[0] = 5 * GB
        wait_until(began.is_set)
        end.set()


def test_calls_that_begin_at_once_count_with_the_memory_they_will_need() -> None:
    """What is free when they begin is not taken twice."""
    admission = Admission(cores=8, memory=10 * GB, available=lambda: 5 * GB)
    learn(admission, "large", seconds=0.5, computed=0.0, memory=2 * GB)
    with admission.entered("large", patient()):
        began, end = begins(admission, "large")
        assert not began.wait(0.2)
    wait_until(began.is_set)
    end.set()


def test_a_call_that_waits_to_begin_ends_with_its_run() -> None:
    """A stopped run holds no slot for a call that has not begun."""
    admission = Admission(cores=1)
    patience = patient(lambda: True)
    with admission.entered("sum", patient()), pytest.raises(CallStopped), admission.entered("sum", patience):
        pass
