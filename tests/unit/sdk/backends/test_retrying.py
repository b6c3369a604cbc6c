"""Who looks at a run while its database restarts."""

from __future__ import annotations

import pytest

from xtyl_engine.errors import BackendError
from xtyl_nb.backends.retrying import patiently


def failing(times: int, *, retryable: bool):
    """Something to look at that cannot be reached so many times."""
    left = [BackendError("away", retryable=retryable)] * times

    def look() -> str:
        if left:
            raise left.pop()
        return f"seen, {len(left)} left"

    return look


def test_a_database_that_comes_back_is_waited_for():
    """What cannot be reached for a moment is looked at again."""
    assert patiently(failing(2, retryable=True)) == "seen, 0 left"


@pytest.mark.parametrize(("retryable", "seconds"), [(False, 60.0), (True, 0.0)])
def test_what_does_not_pass_is_told_at_once(retryable, seconds):
    """So is what has lasted longer than anybody wants to wait."""
    with pytest.raises(BackendError, match="away"):
        patiently(failing(2, retryable=retryable), seconds)
