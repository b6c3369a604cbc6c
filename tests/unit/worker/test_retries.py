"""What an error of a handler makes of its job, whatever the error bears: the outcome can be recorded."""

from __future__ import annotations

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
    outcome = outcome_of(CLAIM, Retry(), Theirs("transient", told), True)
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
