"""What the processes of one worker share: who of them is at work, and when all are to end. It is made before they fork and holds
no lock, so that one which is killed keeps nobody waiting. How they are forked is Celery's.
"""

from __future__ import annotations

import mmap
import os
import select


class Pool:
    """The processes of a worker, `size` of them, by their place among themselves."""

    def __init__(self, size: int):
        # Memory that forks have in common, a byte for each: nobody writes another's.
        self._busy = mmap.mmap(-1, size)
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def mark(self, place: int, is_busy: bool) -> None:
        """Say that a process is at work, or is not."""
        self._busy[place] = is_busy

    def idle(self) -> int:
        """How many processes are not at work."""
        return self._busy[:].count(0)

    def end(self) -> None:
        """Tell all processes to end. Safe in a signal's handler."""
        os.write(self._write, b".")

    def await_end(self) -> None:
        """Return when they are to end."""
        # Nobody reads what was written: it is there for each.
        select.select([self._read], [], [])
