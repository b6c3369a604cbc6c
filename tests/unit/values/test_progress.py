"""How far a function says it is."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

import xtyl_nb as xt
from xtyl_engine.values.progress import progress, report_to


def test_outside_of_a_runner_it_does_nothing() -> None:
    """A function that says how far it is can be tried in a cell; a value that is no number is wrong there too."""
    progress(1, 2)
    for wrong in ("1", None, b"1"):
        with pytest.raises(TypeError):
            progress(wrong)  # type: ignore[arg-type]


def test_it_tells_the_first_and_the_last() -> None:
    """Of a million times in a loop few are told, and the last one with the end; all kinds of numbers are taken."""
    told: list[tuple[float, float | None]] = []
    reporter = report_to(lambda done, of: told.append((done, of)))
    for place in range(1, 1_001):
        xt.progress(place, 1_000)
    reporter.end()
    assert (told[0], told[-1]) == ((1.0, 1_000.0), (1_000.0, 1_000.0))
    assert len(told) < 1_000
    before = list(told)
    xt.progress(1_001, 1_000)
    assert told == before
    reporter = report_to(lambda done, of: told.append((done, of)))
    xt.progress(Decimal("0.5"))  # type: ignore[arg-type]
    assert told[-1] == (0.5, None)
    reporter.end()
    assert told.count((0.5, None)) == 1


def test_a_thread_of_an_earlier_function_is_not_heard() -> None:
    """What it says is not how far the present function is."""
    told: list[tuple[float, float | None]] = []
    go, said = threading.Event(), threading.Event()

    def stranger() -> None:
        go.wait(20)
        progress(7, 8)
        said.set()

    thread = threading.Thread(target=stranger)
    thread.start()
    reporter = report_to(lambda done, of: told.append((done, of)), {thread.ident or 0})
    go.set()
    assert said.wait(20)
    thread.join()
    reporter.end()
    assert told == []


def test_what_is_no_amount_is_not_told() -> None:
    """An infinite number or NaN, such as a division by zero gives, costs the function nothing and shows nothing."""
    told: list[tuple[float, float | None]] = []
    reporter = report_to(lambda done, of: told.append((done, of)))
    progress(float("nan"), 3)
    progress(1, float("inf"))
    reporter.end()
    assert told == []
