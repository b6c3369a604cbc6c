"""The supervisor keeps its children running while a client needs them, and never leaves one behind."""

from __future__ import annotations

import os
import shutil

import pytest

from servers import embedded_home, is_gone, kill, line_of, presence, start_client, wait_until
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.embedded.client import check, ensure
from xtyl_engine.embedded.redis_server import ping
from xtyl_engine.embedded.state_file import SupervisorState, read_presence
from xtyl_engine.embedded.status import status
from xtyl_engine.errors import BackendStartError


@pytest.fixture
def settings(tmp_path):
    """Settings of an embedded back end for this test, with a database it can work on."""
    with embedded_home(tmp_path, XTYL_IDLE_SECONDS="0.3") as settings:
        database = Database(settings.database_url)
        ensure_schema(database)
        database.close()
        yield settings


def ready(settings):
    """Start it, wait until its worker takes notifications, and return its record."""
    ensure(settings)
    wait_until(lambda: presence(settings.home).state is SupervisorState.READY)
    return presence(settings.home)


def test_a_dead_worker_is_replaced(settings):
    """A killed worker is started again and takes notifications."""
    before = ready(settings)
    kill(before.worker_pid)
    wait_until(lambda: presence(settings.home).restarts == 1)
    after = ready(settings)
    assert after.worker_pid not in (None, before.worker_pid)
    assert (after.pid, after.server_pid) == (before.pid, before.server_pid)


def test_a_dead_server_is_replaced(settings):
    """A server that is killed is started again on the same socket, and the worker finds it."""
    before = ready(settings)
    kill(before.server_pid)
    wait_until(lambda: presence(settings.home).restarts == 1)
    after = ready(settings)
    assert after.socket == before.socket
    assert after.worker_pid == before.worker_pid


def test_a_removed_socket_is_made_anew(settings):
    """After the temporary folder was cleaned, the socket comes back."""
    before = ready(settings)
    shutil.rmtree(os.path.dirname(before.socket))
    wait_until(lambda: ping(before.socket))


@pytest.mark.parametrize("text", ["", "{", None], ids=["empty", "cut", "gone"])
def test_a_record_that_is_damaged_is_written_again(settings, text):
    """The supervisor lives, so its record is mended, and clients find it as before."""
    before = ready(settings)
    record = settings.home / "supervisor.json"
    record.unlink() if text is None else record.write_text(text)
    wait_until(lambda: read_presence(settings.home) == before)
    ensure(settings)


def test_nothing_outlives_a_killed_supervisor(settings):
    """After SIGKILL of the supervisor its server and its worker end by themselves."""
    found = ready(settings)
    kill(found.pid)
    wait_until(lambda: is_gone(found.server_pid) and is_gone(found.worker_pid))


def test_a_worker_that_cannot_start_fails_the_back_end(settings, tmp_path, monkeypatch):
    """A worker that dies again and again ends it all with a reason, and a repaired one starts afresh."""
    (tmp_path / "path" / "celery").mkdir(parents=True)
    (tmp_path / "path" / "celery" / "__init__.py").write_text("raise SystemExit('broken library')")
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(tmp_path / "path"))
        ensure(settings)
        wait_until(lambda: status(settings).pid is None)
    with pytest.raises(BackendStartError, match="the worker ended 5 times") as caught:
        check(settings)
    assert "broken library" in str(caught.value)
    assert ready(settings).error is None


def test_it_stays_for_a_client_and_ends_without(settings):
    """It runs while a client lives, ends when the last one has died, and leaves nothing."""
    client = start_client(settings)
    pid = int(line_of(client))
    wait_until(lambda: presence(settings.home).state is SupervisorState.READY)
    found = presence(settings.home)
    assert found.pid == pid
    assert not is_gone(pid)
    client.kill()
    client.communicate()
    wait_until(lambda: status(settings).pid is None)
    assert presence(settings.home).state is SupervisorState.IDLE
    assert is_gone(found.worker_pid)
    assert is_gone(found.server_pid)
    assert not os.path.exists(os.path.dirname(found.socket))


def test_it_ends_when_its_home_is_gone(settings):
    """Without a home no client can find it, so it ends."""
    found = ready(settings)
    shutil.rmtree(settings.home)
    wait_until(lambda: is_gone(found.pid))
    assert is_gone(found.server_pid)
    assert not settings.home.exists()
    assert not os.path.exists(found.socket)
