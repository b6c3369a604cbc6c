"""Log files of the embedded back end's processes: private, appended to, and renamed when they grow large. Their lines are
written by the processes themselves.
"""

from __future__ import annotations

import os
from pathlib import Path

LARGEST = 5 * 1024 * 1024
TAIL_LINES = 20


def open_log(path: Path) -> int:
    """Open a log for appending; a large one is first renamed to `.1`, which replaces the previous `.1`."""
    try:
        if path.stat().st_size > LARGEST:
            os.replace(path, path.with_name(f"{path.name}.1"))
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def read_tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
