"""Clients find one back end or start it, whatever an earlier one left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis

from servers import embedded_home, fake_server, is_gone, kill, line_of, presence, start_client, wait_until
from xtyl_engine.embedded import drives
from xtyl_engine.embedded.client import check, down, ensure
from xtyl_engine.embedded.state_file import SupervisorState
from xtyl_engine.embedded.status import status
from xtyl_engine.errors import BackendError, BackendStartError
from xtyl_engine.settings import SettingsError, load_settings
from xtyl_engine.values.locks import supervisor_lock
from xtyl_engine.worker.command import worker_command
from xtyl_nb.backends.direct import DirectBackend


@pytest.fixture
def settings(tmp_path):
    """Settings of an embedded back end for this test."""
    with embedded_home(tmp_path) as settings:
        yield settings


def test_a_configured_broker_starts_nothing(tmp_path):
    """With a configured broker its address is only returned."""
    settings = load_settings({"XTYL_HOME": str(tmp_path / "home"), "XTYL_REDIS_URL": "unix:///x.sock"})
    connection = ensure(settings)
    assert (connection.celery_url, connection.redis_url) == ("redis+socket:///x.sock", "unix:///x.sock")
    assert not settings.home.exists()
    check(settings)


def test_it_starts_answers_and_ends(settings):
    """A cold start gives a server that answers; ending leaves no process and no socket."""
    connection = ensure(settings)
    with redis.Redis.from_url(connection.redis_url) as client:
        assert client.ping()
    found = status(settings)
    assert found.running
    assert found.clients
    assert found.socket is not None
    assert found.socket.stat().st_mode & 0o777 == 0o600
    assert found.socket.parent.stat().st_mode & 0o777 == 0o700
    wait_until(lambda: presence(settings.home).worker_pid)
    server, worker = presence(settings.home).server_pid, presence(settings.home).worker_pid
    assert down(settings)
    wait_until(lambda: is_gone(found.pid))
    assert is_gone(server)
    assert is_gone(worker)
    assert not found.socket.parent.exists()
    assert status(settings).state is SupervisorState.STOPPED
    assert not down(settings)


def test_the_next_call_finds_the_same(settings):
    """A second call finds what the first one started."""
    first = ensure(settings)
    pid = status(settings).pid
    assert ensure(settings) == first
    assert status(settings).pid == pid


def test_settings_that_were_changed_since_are_named(settings):
    """A rate that is set while a back end runs is warned of once: its worker does not know it, and there is a remedy."""
    ensure(settings)
    with pytest.warns(UserWarning, match="was started with XTYL_RATES unset, and uses that until it ends.*`xtyl down`"):
        ensure(replace(settings, rates="offline=1/s"))
    assert ensure(replace(settings, rates="offline=1/s")) == ensure(settings)


def test_a_misspelt_rate_starts_nothing(settings, monkeypatch):
    """It is refused in the user's own process, before there is a worker that could not start."""
    monkeypatch.setenv("XTYL_HOME", str(settings.home))
    monkeypatch.setenv("XTYL_RATES", "opneai=1/s")
    with pytest.raises(SettingsError, match="opneai"):
        DirectBackend(load_settings())
    assert not status(settings).running


def test_five_at_once_share_one(settings):
    """Processes that start together agree on one supervisor."""
    clients = [start_client(settings) for _ in range(5)]
    pids = {line_of(client) for client in clients}
    for client in clients:
        client.communicate("")
        assert client.returncode == 0
    assert pids == {f"{status(settings).pid}\n"}


def test_a_killed_back_end_is_said_to_be_so(settings):
    """Its record still says that it is ready; its lock says that it is gone."""
    ensure(settings)
    kill(status(settings).pid)
    wait_until(lambda: status(settings).pid is None)
    assert status(settings).state == "killed"
    down(settings)
    assert status(settings).state is SupervisorState.STOPPED


@pytest.mark.parametrize("home", ["file", "file/below"])
@pytest.mark.parametrize("ask", [status, down])
def test_a_home_that_is_a_file_is_named(ask, home, tmp_path):
    """The error says which path cannot be used, and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=f"{tmp_path}/{home}.*Not a directory") as caught:
        ask(load_settings({"XTYL_HOME": str(tmp_path / home)}))
    assert "XTYL_HOME" in (caught.value.hint or "")


def test_a_killed_back_end_is_started_again(settings):
    """After SIGKILL, with its record and socket left behind, the next client starts a fresh one."""
    ensure(settings)
    before = status(settings)
    kill(before.pid)
    wait_until(lambda: status(settings).pid is None)
    check(settings)
    after = status(settings)
    assert after.running
    assert after.pid != before.pid


@pytest.mark.parametrize("text", ["", "{", '{"pid": "x"}', '{"pid": 1, "state": "ready", "socket": "/none"}'])
def test_a_damaged_record_does_not_matter(settings, text):
    """An old or broken record is not believed."""
    (settings.home / "supervisor.json").write_text(text)
    ensure(settings)
    assert status(settings).running


def test_another_database_is_refused(settings):
    """A back end with another database is not silently used."""
    ensure(settings)
    with pytest.raises(BackendStartError, match="another database"):
        ensure(replace(settings, database_url="postgresql://host/db"))


def test_a_stopped_back_end_is_not_started_by_a_check(settings):
    """A client that waits for a run gets an error that the back end was stopped; only an explicit start restarts it."""
    ensure(settings)
    down(settings)
    with pytest.raises(BackendStartError, match="was stopped"):
        check(settings)
    ensure(settings)
    check(settings)


LATE = """
import os, sys, time
if "xtyl_engine.embedded.supervisor" in sys.orig_argv:
    folder = os.path.dirname(__file__)
    open(os.path.join(folder, "launched"), "w").close()
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.01)
"""


@pytest.mark.parametrize("was_there", [True, False], ids=["killed", "no record"])
def test_what_a_look_is_about_to_start_is_stopped_too(was_there, settings, tmp_path, monkeypatch):
    """A stop while a supervisor that a look launched has not begun yet: it ends, and the look learns of the stop."""
    if was_there:
        ensure(settings)
        kill(status(settings).pid)
        wait_until(lambda: status(settings).pid is None)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(LATE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    with ThreadPoolExecutor() as threads:
        look = threads.submit(check, replace(settings, start_seconds=60.0))
        wait_until((tmp_path / "path" / "launched").exists)
        down(settings)
        assert status(settings).state is SupervisorState.STOPPED
        (tmp_path / "path" / "go").touch()
        with pytest.raises(BackendStartError, match="was stopped"):
            look.result()
    assert status(settings).pid is None
    ensure(settings)
    assert status(settings).running


def test_a_stop_of_what_was_ending_counts(settings):
    """A supervisor that the system told to end, and the user then to stop, is not started again by a look."""
    settings = replace(settings, shutdown_seconds=0.5)
    ensure(settings)
    wait_until(lambda: status(settings).worker == "ready")
    found = presence(settings.home)
    assert found.worker_pid
    os.kill(found.worker_pid, signal.SIGSTOP)
    os.kill(found.pid, signal.SIGTERM)
    wait_until(lambda: presence(settings.home).state is SupervisorState.STOPPING)
    os.kill(found.pid, signal.SIGINT)
    wait_until(lambda: status(settings).pid is None)
    assert presence(settings.home).state is SupervisorState.STOPPED


def test_a_stop_ends_what_a_killed_supervisor_left(settings):
    """It says that there was something to end, and returns when the worker that was left behind has ended or was killed."""
    settings = replace(settings, shutdown_seconds=0.5)
    ensure(settings)
    wait_until(lambda: status(settings).worker == "ready")
    found = presence(settings.home)
    assert found.worker_pid
    os.kill(found.worker_pid, signal.SIGSTOP)
    kill(found.pid)
    wait_until(lambda: status(settings).pid is None)
    assert down(settings)
    wait_until(lambda: is_gone(found.worker_pid))
    assert not down(settings)


def test_a_server_that_cannot_run_is_named(settings, tmp_path, monkeypatch):
    """A server that ends at once fails the start with its name, its log and a remedy."""
    fake_server(tmp_path / "bin", "valkey-server", "9.0.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(BackendStartError, match="the server ended 5 times") as caught:
        ensure(settings)
    assert "Redis server v=9.0.0" in str(caught.value)
    assert "xtyl doctor" in (caught.value.hint or "")
    assert status(settings).state is SupervisorState.FAILED


def test_a_supervisor_that_cannot_start_shows_its_log(settings, tmp_path, monkeypatch):
    """When the process ends without a record, the end of its log is shown."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text("raise SystemExit('no way')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    with pytest.raises(BackendStartError, match="no way"):
        ensure(settings)


def test_a_home_that_cannot_be_written_is_named():
    """A home that cannot be written is a named error."""
    with pytest.raises(SettingsError, match="cannot be used"):
        ensure(load_settings({"XTYL_HOME": "/proc/no/home"}))


def test_a_lock_held_elsewhere_is_explained(settings):
    """A home whose holder left no usable record is said to belong to another machine or container."""
    path = str(supervisor_lock(settings.home))
    code = f"import sys, pathlib, xtyl_engine.values.locks as p; p.acquire(pathlib.Path({path!r}))"
    code += "; print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        line_of(other)
        with pytest.raises(BackendStartError, match="another container"):
            ensure(replace(settings, start_seconds=0.3))
        other.kill()


def test_an_interrupt_reaches_no_child(settings):
    """SIGINT to a client's process group, as Jupyter sends it, leaves the back end alone."""
    client = start_client(settings)
    pid = int(line_of(client))
    subprocess.run([sys.executable, "-c", f"import os; os.killpg({client.pid}, 2)"], check=True)
    client.communicate()
    assert status(settings).pid == pid
    assert status(settings).running


def test_the_notebooks_folder_shadows_nothing(settings, tmp_path, monkeypatch):
    """A user's own logging.py or celery.py beside the notebook is not imported by the back end's processes."""
    for name in ("logging.py", "celery.py", "xtyl_engine.py"):
        (tmp_path / name).write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    ensure(settings)
    wait_until(lambda: status(settings).worker == "ready")


def test_a_worker_has_as_many_slots_as_set(settings):
    """The worker's command line carries the number of slots, and no secret."""
    command = worker_command(replace(settings, slots=7, database_url="postgresql://u:canary@h/d"))
    assert command[command.index("--concurrency") + 1] == "7"
    assert "canary" not in " ".join(command)


def test_importing_is_light():
    """Finding a back end needs none of the heavy libraries."""
    code = "import sys, xtyl_engine.embedded.client, xtyl_engine.embedded.supervisor; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"celery", "kombu", "redis", "sqlalchemy", "pandas", "pydantic"} & set(done.stdout.split())


@pytest.mark.parametrize("kind", ["fuse.rclone", "fuse.glusterfs", "fuse.gcsfuse", "fuse.davfs", "fuse.sshfs", "ceph"])
def test_a_network_drive_over_fuse_is_known(kind, tmp_path, monkeypatch):
    """Drives of programs are distrusted by the name of the program, a local one over FUSE is not."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"remote {tmp_path} {kind} rw 0 0\n/dev/sdb1 {tmp_path}/local fuse.ntfs-3g rw 0 0\n")
    monkeypatch.setattr(drives, "MOUNTS", mounts)
    assert kind in drives.distrust(tmp_path / "home")
    assert drives.distrust(tmp_path / "local" / "home") == ""


def test_a_home_on_a_network_drive_is_warned_of_once(settings, tmp_path, monkeypatch):
    """The first use of the home says why its database is in danger and what to do; the next says nothing, and both work."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/export {settings.home} nfs4 rw 0 0\n")
    monkeypatch.setattr(drives, "MOUNTS", mounts)
    with pytest.warns(UserWarning, match="network drive .nfs4., where SQLite's locks .* Set XTYL_HOME"):
        first = ensure(settings)
    assert ensure(settings) == first
