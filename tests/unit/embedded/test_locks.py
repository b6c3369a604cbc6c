"""Locks that are right after any death, and a record that may be damaged."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from servers import line_of
from xtyl_engine.embedded.locks import acquire, exclusive, holder, is_same_file, shared
from xtyl_engine.embedded.state_file import Presence, SupervisorState, read_presence, write_presence

PRESENCE = Presence(
    pid=7, state=SupervisorState.READY, started=1.0, socket="/s", database="d", version="1", python="/p", error="é"
)


def hold(path, how):
    """Another process that holds a lock until its input ends."""
    code = f"import sys, pathlib, xtyl_engine.embedded.locks as p; kept = p.{how}(pathlib.Path({str(path)!r}))\n"
    code += "print(kept is not None, flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert line_of(process) == "True\n"
    return process


def test_a_record_is_read_as_written(tmp_path):
    """A record comes back equal, and nothing half-written stays beside it."""
    write_presence(tmp_path, PRESENCE)
    assert read_presence(tmp_path) == PRESENCE
    assert [path.name for path in tmp_path.iterdir()] == ["supervisor.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"pid": 1}', '{"pid": "x", "state": "ready"}', "\udcff", "9" * 5000]
)
def test_a_damaged_record_is_none(tmp_path, text):
    """Reading any content of the file raises nothing."""
    (tmp_path / "supervisor.json").write_text(text, errors="surrogateescape")
    assert read_presence(tmp_path) is None


def test_a_newer_record_is_read(tmp_path):
    """Fields of another release are ignored."""
    write_presence(tmp_path, PRESENCE)
    text = (tmp_path / "supervisor.json").read_text()
    (tmp_path / "supervisor.json").write_text(text.replace("{", '{"new": 1, ', 1))
    assert read_presence(tmp_path) == PRESENCE


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
