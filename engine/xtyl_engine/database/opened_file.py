"""The SQLite file that a process has open. Where the file is removed or another one takes its path, as with a home that is made
anew or a backup that is restored, what this process writes to it would be seen by no other.
"""

from __future__ import annotations

import os
from typing import Any

from xtyl_engine.errors import BackendError


class OpenedFile:
    """A path, and what tells the file that was opened there from others; without a path no file is ever replaced."""

    def __init__(self, path: str | None):
        self._path = path
        self.known: tuple[int, int] | None = None

    @property
    def now(self) -> tuple[int, int] | None:
        """What tells the file at the path now from others; None if there is none."""
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def note(self, *_: Any) -> None:
        """Remember the file, at the first connection."""
        self.known = self.known or self.now

    @property
    def is_other(self) -> bool:
        """Whether another file has taken the path. Raises BackendError if there is none."""
        if self.known is None or (here := self.now) == self.known:
            return False
        if here is None:
            raise BackendError(
                f"the database {self._path} was removed while this process used it, and its runs with it",
                hint="The next `flow.run` makes the home anew. To get it back, restore a backup with `xtyl restore`.",
            )
        return True
