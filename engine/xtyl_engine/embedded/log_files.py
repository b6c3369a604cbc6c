"""Log files of the embedded back end's processes: private, appended to, and kept small, both when a process starts and while it
writes. Their lines are written by the processes themselves, a crash of native code among them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from xtyl_engine.settings import make_folder

LARGEST = 5 * 1024 * 1024
TAIL_LINES = 20
CHUNK = 1024 * 1024


def open_log(path: Path) -> int:
    """Open a log for appending; a large one is first renamed to `.1`, which replaces the previous `.1`."""
    try:
        if path.stat().st_size > LARGEST:
            os.replace(path, _older(path))
    except FileNotFoundError:
        make_folder(path.parent)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def empty_large(path: Path) -> bool:
    """Copy a large log to `.1` and empty it, while its processes go on writing to it; whether it was large.

    It cannot be renamed: its writers, native code among them, hold the open file. They append, so they go on at its new start.
    What is written between the last copied byte and the emptying, some microseconds, is lost.
    """
    try:
        size = path.stat().st_size
        if size <= LARGEST:
            return False
        # Where the disk has no room for the copy, the lines go: a log must not keep it full.
        with suppress(OSError):
            _copy_end(path, size)
        os.truncate(path, 0)
    except OSError:
        return False
    return True


def read_tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, also of what was copied to `.1` where it holds fewer; empty if there is none."""
    found = _last_lines(path, lines)
    if len(found) < lines:
        found = _last_lines(_older(path), lines - len(found)) + found
    return "\n".join(found)


def _older(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _copy_end(path: Path, size: int) -> None:
    with (
        path.open("rb") as log,
        open(os.open(_older(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as older,
    ):
        log.seek(size - LARGEST)
        # A process that writes faster than this copies does not keep it here.
        for _ in range(2 * LARGEST // CHUNK):
            if not (chunk := log.read(CHUNK)):
                return
            older.write(chunk)
            older.flush()


def _last_lines(path: Path, lines: int) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]
