"""One thread that calls back at set times; a name set twice fires once, at the earlier time. The thread starts at first use."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger("xtyl")


@dataclass(eq=False)
class Alarm:
    """Calls `ring` with each name at its time."""

    ring: Callable[[str], None]
    _due: dict[str, float] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None

    def set(self, name: str, seconds: float) -> None:
        """Ring for a name in so many seconds, or earlier if an earlier time is set already."""
        with self._changed:
            due = time.monotonic() + seconds
            self._due[name] = min(due, self._due.get(name, due))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="xtyl-alarm", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _watch(self) -> None:
        while True:
            for name in self._wait():
                try:
                    self.ring(name)
                except Exception:
                    log.exception("the alarm for %s failed; the next sweep looks there", name)

    def _wait(self) -> list[str]:
        with self._changed:
            while not (ready := [name for name, due in self._due.items() if due <= time.monotonic()]):
                next_due = min(self._due.values(), default=None)
                self._changed.wait(None if next_due is None else max(0.0, next_due - time.monotonic()))
            for name in ready:
                del self._due[name]
            return ready
