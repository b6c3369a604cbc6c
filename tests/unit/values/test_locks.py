"""Locks that are right after any death."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from contextlib import nullcontext

import pytest

from servers import line_of
from xtyl_engine.errors import BackendError
from xtyl_engine.values.locks import acquire, exclusive, holder, is_same_file, shared


def hold(path, how):
    """Another process that holds a lock until its input ends."""
    code = f"import sys, pathlib, xtyl_engine.values.locks as p; kept = p.{how}(pathlib.Path({str(path)!r}))\n"
    code += "print(kept is not None, flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert line_of(process) == "True\n"
    return process


def test_one_claims_and_all_see_who(tmp_path):
    """A second process cannot claim the lock, any process can read its holder, and death releases it."""
    path = tmp_path / "lock"
    assert holder(path) is None
    process = hold(path, "acquire")
    with process:
        assert holder(path) == process.pid
        assert acquire(path) is None
        process.kill()
    assert holder(path) is None
    handle = acquire(path)
    assert handle is not None
    os.close(handle)


def test_many_join_and_none_is_alone(tmp_path):
    """A shared lock has many holders; while there is one, no process has it exclusively, and while one has it
    exclusively, none can share it."""
    path = tmp_path / "lock"
    with hold(path, "shared") as process:
        handle = shared(path)
        assert handle is not None
        os.close(handle)
        with exclusive(path) as is_alone:
            assert not is_alone
        process.kill()
    with exclusive(path) as is_alone:
        assert is_alone
        assert shared(path) is None


def test_a_file_made_anew_is_another(tmp_path):
    """A handle no longer belongs to its path when the file was removed or replaced."""
    handle = shared(tmp_path / "lock")
    assert handle is not None
    assert is_same_file(handle, tmp_path / "lock")
    (tmp_path / "lock").unlink()
    assert not is_same_file(handle, tmp_path / "lock")
    os.close(handle)


def briefly(take, path):
    """Take a lock and let go of it."""
    with take(path) if take is exclusive else nullcontext(take(path)):
        pass


def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize("take", [acquire, shared, holder, exclusive])
def test_a_file_system_without_locks_is_named(take, tmp_path, monkeypatch):
    """An NFS without its lock service, or a FUSE: the error names the file and what to do, and no file stays open."""
    path = tmp_path / "lock"
    path.touch()
    for name in ("flock", "lockf", "fcntl"):
        monkeypatch.setattr(fcntl, name, refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BackendError, match="keeps no locks: No locks available") as caught:
        briefly(take, path)
    assert str(path) in str(caught.value)
    assert caught.value.hint == "Set XTYL_HOME to a folder on a local disk."
    assert len(os.listdir("/proc/self/fd")) == before
