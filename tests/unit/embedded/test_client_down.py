"""A stop is written down before it is carried out: the back end stays stopped, whatever kills it meanwhile."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from servers import embedded_home, kill, presence, wait_until
from xtyl_engine.embedded.client import check, down, end_seconds, ensure
from xtyl_engine.embedded.state_file import SupervisorState
from xtyl_engine.embedded.status import status
from xtyl_engine.errors import BackendError, BackendStartError


@pytest.fixture
def settings(tmp_path):
    """Settings of an embedded back end for this test, whose workers have little time to end."""
    with embedded_home(tmp_path, XTYL_SHUTDOWN_SECONDS="0.5") as settings:
        yield settings


def frozen(settings, who):
    """The record of a back end, of which one process is frozen."""
    ensure(settings)
    wait_until(lambda: status(settings).worker == "ready")
    found = presence(settings.home)
    pid = {"supervisor": found.pid, "worker": found.worker_pid}[who]
    assert pid
    os.kill(pid, signal.SIGSTOP)
    return found


@pytest.mark.parametrize("who", ["supervisor", "worker"])
def test_a_supervisor_that_is_killed_while_it_is_to_end_stays_stopped(settings, who):
    """A stop that took too long advises to kill it; after that a look leaves it alone, and what starts it on purpose is a new
    beginning."""
    found = frozen(settings, who)
    with pytest.raises(BackendError, match="is still ending after") as caught:
        down(settings, timeout=0.3)
    assert f"`kill -9 {found.pid}`: it stays stopped" in (caught.value.hint or "")
    kill(found.pid)
    wait_until(lambda: status(settings).pid is None)
    assert status(settings).state is SupervisorState.STOPPED
    with pytest.raises(BackendStartError, match="was stopped"):
        check(settings)
    ensure(settings)
    kill(status(settings).pid)
    wait_until(lambda: status(settings).pid is None)
    check(settings)
    assert status(settings).running


def test_a_stop_by_signal_is_kept_too(settings):
    """A supervisor that was told to stop by another release, which wrote nothing down, is left alone if it is killed then."""
    found = frozen(settings, "worker")
    os.kill(found.pid, signal.SIGINT)
    wait_until(lambda: presence(settings.home).state is SupervisorState.STOPPING)
    kill(found.pid)
    wait_until(lambda: status(settings).pid is None)
    with pytest.raises(BackendStartError, match="was stopped"):
        check(settings)


def test_a_stop_waits_as_long_as_running_jobs_may_take(settings):
    """It is the time that they have by the settings here or by those of the back end, whichever is longer, and more."""
    ensure(replace(settings, shutdown_seconds=300.0))
    assert end_seconds(settings) > 300
    assert end_seconds(replace(settings, shutdown_seconds=400.0)) > 400
