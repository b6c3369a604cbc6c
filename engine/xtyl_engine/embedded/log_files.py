"""Log files of the embedded back end's processes: private, appended to, set aside when they have grown."""

from __future__ import annotations

import os
from pathlib import Path

LARGEST = 5 * 1024 * 1024
TAIL_LINES = 20


def open_log(path: Path) -> int:
    """A handle that appends to a log; a large one is first renamed to `.1`, which replaces the one before."""
    try:
        if path.stat().st_size > LARGEST:
            os.replace(path, path.with_name(f"{path.name}.1"))
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def read_tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, or nothing if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
