"""Logs are private, appended to, and set aside when large."""

from __future__ import annotations

import os

from xtyl_engine.embedded import log_files
from xtyl_engine.embedded.log_files import open_log, read_tail


def write(path, text):
    with open(open_log(path), "ab") as file:
        file.write(text.encode())


def test_a_log_is_private_and_appended_to(tmp_path):
    """The folder is made, the file is its owner's, and what was there stays."""
    path = tmp_path / "logs" / "x.log"
    write(path, "one\n")
    write(path, "two\n")
    assert path.read_text() == "one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_large_log_is_set_aside(tmp_path):
    """A log over the limit gets a new name, and the file before it is replaced."""
    path = tmp_path / "x.log"
    path.touch()
    os.truncate(path, log_files.LARGEST + 1)
    write(path, "new\n")
    assert path.read_text() == "new\n"
    assert (tmp_path / "x.log.1").stat().st_size == log_files.LARGEST + 1


def test_the_tail_is_the_last_lines(tmp_path):
    """The last lines come back, broken bytes and a missing file raise nothing."""
    path = tmp_path / "x.log"
    path.write_bytes(b"first\n" * 10_000 + b"\xff\nlast\n")
    assert read_tail(path, 2) == "�\nlast"
    assert read_tail(tmp_path / "none.log") == ""
