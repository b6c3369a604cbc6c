"""What of a kernel its functions find again: taken, stored, and checked."""

from __future__ import annotations

import hmac
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from xtyl_engine.errors import FunctionRejected
from xtyl_engine.functions.surroundings import Surroundings

KEY = b"0" * 32


def test_they_are_absolute(tmp_path, monkeypatch):
    """An empty entry of the path is the folder, a relative one counts from it, and what is no text is left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "../src", Path("/no/text"), "/lib/python.zip"])
    found = Surroundings.of_this_process()
    assert (found.python, found.folder) == (sys.executable, str(tmp_path))
    assert found.path == (str(tmp_path), str(tmp_path.parent / "src"), "/lib/python.zip")


def test_they_come_back_as_stored():
    """Text of ASCII holds them, whatever bytes are in a path."""
    given = Surroundings(python="/p", folder="/é/\udcff", path=("/\udcff", "/b"), umask=0o027)
    stored = given.signed(KEY, "run")
    assert stored.isascii()
    assert Surroundings.verified(stored, KEY, "run") == given


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: {**stored, "python": "/evil"},
        lambda stored: {**stored, "path": ["/evil"]},
        lambda stored: {**stored, "folder": None},
        lambda stored: {**stored, "more": 1},
        lambda stored: {**stored, "signature": "é"},
        lambda stored: {name: stored[name] for name in stored if name != "signature"},
        lambda stored: [stored],
        lambda stored: 7,
    ],
)
def test_what_was_not_signed_is_refused(change):
    """Who can write to the database does not choose what a worker executes."""
    stored = json.loads(Surroundings(python="/p", folder="/", path=()).signed(KEY, "run"))
    with pytest.raises(FunctionRejected, match="was not stored for this run with this project's key"):
        Surroundings.verified(json.dumps(change(stored)), KEY, "run")


def test_the_umask_is_taken_and_left_as_it_is():
    """It is this process's; what an earlier release stored has none."""
    before = os.umask(0o027)
    try:
        assert Surroundings.of_this_process().umask == 0o027
        assert os.umask(before) == 0o027
    finally:
        os.umask(before)
    facts = {"python": "/p", "folder": "/", "path": []}
    said = json.dumps(["surroundings", "run", facts], sort_keys=True).encode()
    stored = json.dumps({**facts, "signature": hmac.new(KEY, said, "sha256").hexdigest()})
    assert Surroundings.verified(stored, KEY, "run").umask is None


def test_a_signature_is_for_one_run_and_one_key():
    """Those of another run, or of another home, are refused, and so is text that is no JSON."""
    stored = Surroundings(python="/p", folder="/", path=()).signed(KEY, "run")
    for text, key, run in ((stored, KEY, "other"), (stored, b"1" * 32, "run"), ("{", KEY, "run")):
        with pytest.raises(FunctionRejected):
            Surroundings.verified(text, key, run)


def test_a_folder_that_is_gone_is_refused_before_the_run(tmp_path, monkeypatch):
    """A kernel whose folder was removed is told so, and what to do."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    with pytest.raises(FunctionRejected, match="working folder of this process was removed"):
        Surroundings.of_this_process()


def test_what_is_gone_when_a_job_runs_is_named(tmp_path):
    """The interpreter, or the folder, by its path; where both are there, nothing is said."""
    found = replace(Surroundings.of_this_process(), folder=str(tmp_path))
    found.check()
    with pytest.raises(FunctionRejected, match=f"Python of the notebook .* is gone: {tmp_path}/python"):
        replace(found, python=f"{tmp_path}/python").check()
    with pytest.raises(FunctionRejected, match=f"folder of the notebook .* is gone: {tmp_path}/folder"):
        replace(found, folder=f"{tmp_path}/folder").check()
