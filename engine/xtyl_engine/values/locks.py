"""Locks on files of a home, by which processes that share it find one another: the supervisor's, the clients', the reaper's,
each worker process's, those of large submissions. The kernel holds them, so they are right even after a process is killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xtyl_engine.errors import BackendError

MOVE_HOME = "Set XTYL_HOME to a folder on a local disk."
# What the kernel answers while another process holds a lock; anything else means that there is no lock to hold.
_HELD = (errno.EAGAIN, errno.EACCES)
# struct flock, in the order of its fields: start and length are 0 for the whole file, the pid is the answer.
_DARWIN, _LINUX = struct.Struct("qqihh"), struct.Struct("hhqqi4x")


def supervisor_lock(home: Path) -> Path:
    return home / "supervisor.lock"


def clients_lock(home: Path) -> Path:
    return home / "clients.lock"


def orphans_lock(home: Path) -> Path:
    return home / "orphans.lock"


def acquire(path: Path) -> int | None:
    """Become the one holder of a lock for the life of this process; its handle, or None if another process holds it.

    It is a POSIX lock, because the kernel reports the holder of one. Opening and closing the file again gives it up.
    """
    return _locked(path, fcntl.lockf, fcntl.LOCK_EX)


def acquire_again(handle: int) -> None:
    """Take the lock of a handle from `acquire` again, in case that this process gave it up. Nothing changes if it did not."""
    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(path: Path) -> int | None:
    """The pid of a lock's holder; 0 if it lives among other pids, as in a container; None if the lock is free."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        if sys.platform == "darwin":
            asked = fcntl.fcntl(handle, fcntl.F_GETLK, _DARWIN.pack(0, 0, 0, fcntl.F_WRLCK, 0))
            _, _, pid, kind, _ = _DARWIN.unpack(asked)
        else:
            asked = fcntl.fcntl(handle, fcntl.F_GETLK, _LINUX.pack(fcntl.F_WRLCK, 0, 0, 0, 0))
            kind, _, _, _, pid = _LINUX.unpack(asked)
    except OSError as error:
        raise no_locks(path, error) from error
    finally:
        os.close(handle)
    return None if kind == fcntl.F_UNLCK else max(0, pid)


def shared(path: Path) -> int | None:
    """Hold a lock that any number of processes may share, until the handle closes with this process and its forks.

    None while another process holds it exclusively.
    """
    return _locked(path, fcntl.flock, fcntl.LOCK_SH)


@contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Hold a shared lock exclusively inside the block; False, without the lock, if another process shares it."""
    handle = _locked(path, fcntl.flock, fcntl.LOCK_EX)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def is_same_file(handle: int, path: Path) -> bool:
    """Whether a path still names the opened file."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def no_locks(path: Path, error: OSError) -> BackendError:
    """The error for a file system that keeps no locks, as some network drives and FUSE do."""
    words = error.strerror or type(error).__name__
    return BackendError(f"the file system of {path} keeps no locks: {words}", hint=MOVE_HOME)


def _unusable(path: Path, error: OSError) -> BackendError:
    """The error for a home that is no folder, or is not this user's."""
    words = error.strerror or type(error).__name__
    return BackendError(f"{path} cannot be opened: {words}", hint="Set XTYL_HOME to a folder you can write to.")


def _locked(path: Path, lock: Callable[[int, int], None], kind: int) -> int | None:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (NotADirectoryError, PermissionError) as error:
        raise _unusable(path, error) from error
    try:
        lock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in _HELD:
            return None
        raise no_locks(path, error) from error
    return handle
