"""How processes that share a home find one another: the supervisor's lock, the clients' lock, and the record that the
supervisor writes beside them. The locks are the kernel's, so they are true after any death; the record is only a description.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from xtyl_engine.atomic_write import write_atomically

# struct flock, in the order of its fields: start and length are 0 for the whole file, the pid is the answer.
_DARWIN, _LINUX = struct.Struct("qqihh"), struct.Struct("hhqqi4x")


class SupervisorState(StrEnum):
    """Where the embedded back end stands. It is `ready` when its worker takes hints."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a supervisor says of itself. `database` is a digest, `log` the end of the log that explains a failure,
    `settings` the variables that its worker goes by."""

    pid: int
    state: SupervisorState
    started: float
    socket: str
    database: str
    version: str
    python: str
    server: str = ""
    server_pid: int | None = None
    worker_pid: int | None = None
    restarts: int = 0
    error: str | None = None
    log: str = field(default="", repr=False)
    settings: dict[str, str] = field(default_factory=dict, repr=False)


def supervisor_lock(home: Path) -> Path:
    return home / "supervisor.lock"


def clients_lock(home: Path) -> Path:
    return home / "clients.lock"


def write_presence(home: Path, presence: Presence) -> None:
    """Replace the record at once: a reader sees the old or the new one."""
    write_atomically(home / "supervisor.json", json.dumps(asdict(presence)).encode())


def read_presence(home: Path) -> Presence | None:
    """The record, or None if there is none or it is damaged."""
    try:
        found = json.loads((home / "supervisor.json").read_bytes())
        known = {each.name: found[each.name] for each in fields(Presence) if each.name in found}
        presence = Presence(**(known | {"state": SupervisorState(known["state"])}))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    is_sound = isinstance(presence.pid, int) and isinstance(presence.socket, str)
    return presence if is_sound else None


def claim(path: Path) -> int | None:
    """Become the one holder of a lock for the life of this process; its handle, or None if another process holds it.

    It is a POSIX lock, since the kernel tells who holds one. Opening and closing the file again would give it up.
    """
    handle = _open(path)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def holder(path: Path) -> int | None:
    """The pid of the process that claimed a lock; 0 if it lives where pids are not ours; None if nobody holds it."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if sys.platform == "darwin":
            asked = fcntl.fcntl(handle, fcntl.F_GETLK, _DARWIN.pack(0, 0, 0, fcntl.F_WRLCK, 0))
            _, _, pid, kind, _ = _DARWIN.unpack(asked)
        else:
            asked = fcntl.fcntl(handle, fcntl.F_GETLK, _LINUX.pack(fcntl.F_WRLCK, 0, 0, 0, 0))
            kind, _, _, _, pid = _LINUX.unpack(asked)
    finally:
        os.close(handle)
    return None if kind == fcntl.F_UNLCK else max(0, pid)


def join(path: Path) -> int | None:
    """Hold a lock that any number may share, until the handle closes with this process and its forks.

    None while somebody keeps it for themselves.
    """
    return _flocked(path, fcntl.LOCK_SH)


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Keep a shared lock for ourselves inside the block; False, and nothing kept, if somebody has joined it."""
    handle = _flocked(path, fcntl.LOCK_EX)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def is_same_file(handle: int, path: Path) -> bool:
    """Whether a path still names the file that was opened."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def _flocked(path: Path, kind: int) -> int | None:
    handle = _open(path)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
