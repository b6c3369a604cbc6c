"""Tells whether a page may still show a widget. Each page reports when it opens and closes, and once a minute in between; a
closed browser tab reports nothing. None of this is saved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

SILENCE_SECONDS = 900.0


class Cells:
    """Whether a cell runs, and when the last one ended. On ipykernel 6 no page is heard while a cell runs."""

    def __init__(self, now: Callable[[], float] = monotonic):
        self._now = now
        self._listens = False
        self.runs = False
        self.ended = now()

    def listen(self, events: Any) -> None:
        """Follow the cells of this IPython from now on, beginning with the one that runs."""
        if not self._listens:
            self._listens = self.runs = True
            events.register("pre_execute", self._begin)
            events.register("post_execute", self._end)

    def _begin(self) -> None:
        self.runs = True

    def _end(self) -> None:
        self.runs, self.ended = False, self._now()


class Audience:
    """The pages that show one widget. A page that was silent for `SILENCE_SECONDS` is gone; time in which a cell runs does not
    count."""

    def __init__(self, cells: Cells, now: Callable[[], float] = monotonic):
        self._cells = cells
        self._now = now
        self._lock = threading.Lock()
        self._heard: dict[str, float] = {}
        self._last = now()

    def hear(self, view: str) -> None:
        """Note that this page is open."""
        with self._lock:
            self._last = self._heard[view] = self._now()

    def leave(self, view: str) -> bool:
        """Note that this page is closed; whether it was the last."""
        with self._lock:
            self._heard.pop(view, None)
            self._heard = {view: heard for view, heard in self._heard.items() if self._is_recent(heard)}
            return not self._heard

    def is_there(self) -> bool:
        """Whether a page reported lately, or a running cell may keep it from being heard."""
        return self._cells.runs or self._is_recent(self._last)

    def _is_recent(self, heard: float) -> bool:
        return self._now() - max(heard, self._cells.ended) < SILENCE_SECONDS
