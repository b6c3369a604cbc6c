"""Wakes Celery's loop when a slot becomes free, so that it reads the next message at once. Only for pools of threads."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from kombu.asynchronous import get_event_loop

SLOT_FREED_SECONDS = 0.002


class Waker:
    """Makes Celery's loop look at the queue again when a slot becomes free. While every slot is taken the loop reads no messages,
    and without this it starts again only at its next timer, up to a second later."""

    def __init__(self) -> None:
        self._hub: Any = get_event_loop()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        if self._hub is not None:
            self._hub.add_reader(self._read, self._look)

    def wake(self) -> None:
        """Call it in a slot's thread, a moment before Celery counts the slot as free."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b".")

    def _look(self) -> None:
        os.read(self._read, 4096)
        self._hub.call_later(SLOT_FREED_SECONDS, lambda: None)
