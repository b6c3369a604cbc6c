"""Reads of a run while its database restarts."""

from __future__ import annotations

import pytest

from xtyl_engine.errors import BackendError
from xtyl_nb.backends.retrying import patiently


def failing(times: int, *, retryable: bool):
    """A read that fails to reach the database that many times."""
    left = [BackendError("away", retryable=retryable)] * times

    def look() -> str:
        if left:
            raise left.pop()
        return f"seen, {len(left)} left"

    return look


def test_a_database_that_comes_back_is_waited_for():
    """A read that fails for a moment is repeated."""
    assert patiently(failing(2, retryable=True)) == "seen, 0 left"


@pytest.mark.parametrize(("retryable", "seconds"), [(False, 60.0), (True, 0.0)])
def test_what_does_not_pass_is_told_at_once(retryable, seconds):
    """Such an error is raised at once, and so is one that has lasted too long."""
    with pytest.raises(BackendError, match="away"):
        patiently(failing(2, retryable=retryable), seconds)
