"""The files of a back end are private to its owner under any umask; its server listens to no other user and obeys only
the commands that notifications and events need.
"""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import redis

import xtyl_nb as xt
from served import XTYL, serve
from servers import embedded_home, valkey_server
from xtyl_engine.embedded.client import ensure
from xtyl_engine.embedded.state_file import read_presence
from xtyl_engine.embedded.status import status
from xtyl_engine.settings import Settings, load_settings

# A run with all that is ever written: a picture, an output too large for its row, a function with its key, a log of each process.
OPEN_HANDED = """
import os, sys
os.umask(0)
import xtyl_nb as xt
flow = xt.Workflow("open").generate_image("poster", prompt="x", size="64x64").call("large", lambda: "x" * 300_000)
run = flow.run().wait(60)
assert run.state == "completed", run.frame()["error"][0]
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A back end started by a process whose umask forbids nothing, after a run, its client still there."""
    with embedded_home(tmp_path_factory.mktemp("trust")) as settings:
        # It is made by the process under test.
        for path in (settings.home / "xtyl.db", settings.log_folder, settings.home):
            path.unlink() if path.is_file() else path.rmdir()
        client = subprocess.Popen(
            [sys.executable, "-c", OPEN_HANDED],
            env=settings.child_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        yield settings
        client.communicate()


def test_everything_in_the_home_is_private(home: Settings) -> None:
    """Folders are 0700 and files 0600: database and its side files, key, locks, logs, artifacts."""
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in (home.home, *home.home.rglob("*"))}
    names = {path.name for path in found}
    assert names >= {"xtyl.db", "xtyl.db-wal", "xtyl.db-shm", "xtyl.db-turn", "key", "worker.log", "server.log"}
    assert {path.suffix for path in found} >= {".png", ".json"}
    assert {path: oct(mode) for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_what_a_fleet_and_the_api_write_is_private(tmp_path: Path) -> None:
    """A worker of each pool and the API, all started by a process whose umask forbids nothing, leave no file and no
    folder that others may open, after a run with a picture and a result too large for its row."""
    home = tmp_path / "shared" / "home"
    openly = ["/bin/sh", "-c", 'umask 0; exec "$@"', "sh"]
    with valkey_server() as broker, ExitStack() as kept:
        settings = load_settings({"XTYL_HOME": str(home), "XTYL_REDIS_URL": broker, "XTYL_HEAVY": "generate_image"})
        log = kept.enter_context(open(tmp_path / "log", "ab"))
        subprocess.run([*openly, XTYL, "migrate"], env=settings.child_environ(), check=True, stdout=log, stderr=log)
        for pool in ("threads", "prefork"):
            environ = replace(settings, pool=pool).child_environ()
            worker = subprocess.Popen([*openly, XTYL, "worker", "--pool", pool], env=environ, stdout=log, stderr=log)
            kept.callback(worker.wait, 40)
            kept.callback(worker.terminate)
        api = kept.enter_context(serve(settings, start=(*openly, XTYL)))
        kept.callback(xt.connect)
        xt.connect(api.url, token=api.token)
        flow = xt.Workflow("open").generate_image("poster", prompt="x", size="64x64")
        flow = flow.generate_copy("line", prompt="{{ text }}")
        run = flow.run(text="x" * 300_000).wait(60)
        assert run.state == "completed", run.frame()["error"][0]
        # This log is written by the test, and not by the API.
        paths = [path for path in (tmp_path / "shared").rglob("*") if path.name != "api.log"]
        found = {path: stat.S_IMODE(path.lstat().st_mode) for path in paths}
    assert {path.name for path in found} >= {"key", "tokens", "xtyl.db", "owners", "run"}
    assert {path: oct(mode) for path, mode in found.items() if mode & 0o077} == {}


def test_the_socket_is_private(home: Settings) -> None:
    """It is 0600 in a folder 0700, both the user's own."""
    socket = status(home).socket
    assert socket is not None
    assert stat.S_IMODE(socket.lstat().st_mode) == 0o600
    assert stat.S_IMODE(socket.parent.lstat().st_mode) == 0o700
    assert socket.lstat().st_uid == socket.parent.lstat().st_uid == home.home.stat().st_uid


def test_nothing_listens_on_a_port(home: Settings) -> None:
    """Neither the server nor the worker nor the supervisor can be reached by TCP or UDP."""
    presence = read_presence(home.home)
    assert presence is not None
    processes = [presence.pid, presence.server_pid, presence.worker_pid]
    assert all(processes)
    assert [found for pid in processes for found in psutil.Process(pid).net_connections(kind="inet")] == []


@pytest.mark.parametrize(
    "command",
    [
        "CONFIG GET *",
        "CONFIG SET dir /tmp",
        "ACL LIST",
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SAVE",
        "REPLICAOF localhost 9",
        "MIGRATE localhost 9 k 0 1",
        "SHUTDOWN",
        "MODULE LIST",
        "MODULE LOAD /tmp/x.so",
        "FUNCTION LOAD x",
        "SCRIPT FLUSH",
        "DEBUG SLEEP 0",
    ],
)
def test_its_own_clients_have_no_dangerous_commands(home: Settings, command: str) -> None:
    """The running server refuses the commands that read its configuration, empty, change or stop it."""
    with (
        redis.Redis.from_url(ensure(home).redis_url) as client,
        pytest.raises(redis.exceptions.ResponseError, match=r"no permissions|not allowed"),
    ):
        client.execute_command(*command.split())
