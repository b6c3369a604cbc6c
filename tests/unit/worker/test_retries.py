"""What an error of a handler makes of its job, whatever the error bears: the outcome can be recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from xtyl_engine.errors import MAX_RETRY_AFTER, ErrorClass, PermanentError, TransientError
from xtyl_engine.nodes.base import Retry
from xtyl_engine.scheduler.outcomes import Claim, Failed, Retrying
from xtyl_engine.values.error_text import MAX_TRACEBACK
from xtyl_engine.worker.retries import outcome_of

CLAIM = Claim(
    job_id=1, execution_id="e", node="n", item="0", number=1, tries=1, epoch=0, template_id="t", owner="worker-1"
)


class Theirs(Exception):
    """An error of another package, with the names that ours have."""

    def __init__(self, error_class: Any, retry_after: Any = None):
        super().__init__("odd\ud800\0")
        self.error_class, self.retry_after = error_class, retry_after


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (float("inf"), MAX_RETRY_AFTER),
        pytest.param(10**400, 0.0, id="large"),
        (float("nan"), 0.0),
        ("soon", 0.0),
        (-5, 0.0),
        ([], 0.0),
        (7, 7.0),
    ],
)
def test_a_time_to_come_back_is_a_bounded_number(told: Any, seconds: float) -> None:
    """Whatever an error of another package tells, the job has a time at which it is tried again."""
    outcome = outcome_of(CLAIM, Retry(busy_seconds=7200), Theirs("transient", told), True)
    assert isinstance(outcome, Retrying)
    assert (outcome.hold_seconds, seconds <= outcome.delay_seconds <= max(seconds, 60.0)) == (seconds, True)


@pytest.mark.parametrize("told", ["weird", 7, None, ["transient"]])
def test_an_unknown_class_of_error_is_permanent(told: Any) -> None:
    """Only the classes that there are mean something."""
    outcome = outcome_of(CLAIM, Retry(), Theirs(told), True)
    assert isinstance(outcome, Failed)
    assert outcome.failure.error_class is ErrorClass.PERMANENT
    assert outcome.failure.message.endswith("odd\ufffd\ufffd")


@pytest.mark.parametrize("kept", ["a\ud800\0" + "x" * 1_000_000, 12345])
def test_a_traceback_that_an_error_brings_can_be_stored(kept: Any) -> None:
    """It is capped and mended like every other, or left out where it is no text."""
    outcome = outcome_of(CLAIM, Retry(), PermanentError("no", traceback=kept), False)
    assert isinstance(outcome, Failed)
    trace = str(outcome.failure.traceback)
    assert len(trace) < MAX_TRACEBACK + 100
    assert "\0" not in trace
    trace.encode()


def test_an_error_of_ours_needs_no_traceback() -> None:
    """Its message says it all."""
    outcome = outcome_of(CLAIM, Retry(attempts=1), TransientError("later"), False)
    assert isinstance(outcome, Failed)
    assert outcome.failure.traceback is None


def waits(told: float, retry: Retry) -> tuple[list[float], Failed]:
    """How long a job waits each time that its provider is busy, and how it ends."""
    claim, found = CLAIM, list[float]()
    busy = TransientError("busy", retry_after=told)
    while isinstance(outcome := outcome_of(claim, retry, busy, True, provider="far"), Retrying):
        found.append(outcome.delay_seconds)
        assert outcome.hold_seconds == told
        claim = replace(claim, number=claim.number + 1, waited=claim.waited + outcome.delay_seconds)
    assert isinstance(outcome, Failed)
    return found, outcome


@pytest.mark.parametrize("told", [0.001, 2.0, 60.0, 599.0])
@pytest.mark.parametrize("attempts", [1, 2])
def test_all_waiting_for_a_busy_provider_has_a_bound(told: float, attempts: int) -> None:
    """Whatever it asks for each time, and however few tries there are: ten minutes in all, and a few dozen calls."""
    found, failed = waits(told, Retry(attempts=attempts))
    assert 540 - told < sum(found) <= 600
    assert len(found) < 45
    assert all(each >= told for each in found)
    assert f"The job waited {sum(found):.0f} s for far, which asks for {told:g} s more" in failed.failure.message
    assert "busy_seconds" in failed.failure.message


@pytest.mark.parametrize(("bound", "told"), [(0.0, 1.0), (600.0, 3600.0)])
def test_what_would_pass_the_bound_is_not_waited_for(bound: float, told: float) -> None:
    """A provider that asks for more than there is fails the job at once: coming back earlier would be in vain."""
    found, failed = waits(told, Retry(busy_seconds=bound))
    assert found == []
    assert failed.failure.error_class is ErrorClass.TRANSIENT


def test_a_function_that_says_when_to_come_back_spends_its_tries() -> None:
    """It asks no provider, so what bounds it is their number."""
    outcome = outcome_of(replace(CLAIM, tries=2), Retry(attempts=2), TransientError("later", retry_after=9), False)
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "later"
