"""Logs are private, appended to, and set aside when large."""

from __future__ import annotations

import os

from xtyl_engine.embedded import log_files
from xtyl_engine.embedded.log_files import empty_large, open_log, read_tail


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


def test_a_large_log_is_emptied_under_its_writers(tmp_path):
    """A process that holds the file open goes on at its new start; every line is in the one file or the other."""
    path = tmp_path / "x.log"
    lines = [f"{number:099}\n" for number in range(log_files.LARGEST // 100 + 1)]
    with open(open_log(path), "ab", buffering=0) as writer:
        writer.write("".join(lines[:-1]).encode())
        assert not empty_large(path)
        writer.write(lines[-1].encode())
        assert empty_large(path)
        writer.write(b"after\n")
    older = tmp_path / "x.log.1"
    assert path.read_text() == "after\n"
    assert older.read_text()[-100 * 1000 :] == "".join(lines[-1000:])
    assert older.stat().st_size == log_files.LARGEST
    assert older.stat().st_mode & 0o777 == 0o600


def test_the_tail_goes_back_beyond_the_emptying(tmp_path):
    """Lines just moved away still belong to the end of a log."""
    path = tmp_path / "x.log"
    write(path, "x\n" * log_files.LARGEST)
    write(path.with_name("none"), "")
    with open(path, "ab") as writer:
        writer.write(b"before\n")
    empty_large(path)
    write(path, "after\n")
    assert read_tail(path, 3) == "x\nbefore\nafter"


def test_a_log_without_room_for_its_copy_is_emptied_all_the_same(tmp_path):
    """The older lines go rather than the disk fill up; a log that is not there is no error."""
    path = tmp_path / "x.log"
    path.touch()
    os.truncate(path, log_files.LARGEST + 1)
    (tmp_path / "x.log.1").mkdir()
    assert empty_large(path)
    assert path.stat().st_size == 0
    assert not empty_large(tmp_path / "none.log")
