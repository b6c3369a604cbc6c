"""How many pixels a process decodes at the same time: an image in hand takes up to eight bytes for each of its pixels,
whatever its file takes. An image that finds too many in hand waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from xtyl_engine.limits import MAX_IMAGE_PIXELS


class PixelTurns:
    """Pixels that may be in hand together; an image of more has its turn alone."""

    def __init__(self, most: int = MAX_IMAGE_PIXELS):
        self._most = most
        self._in_hand = 0
        self._changed = threading.Condition()

    @contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels have room, and hold them for the length of a block."""
        wanted = min(pixels, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._in_hand + wanted <= self._most)
            self._in_hand += wanted
        try:
            yield
        finally:
            with self._changed:
                self._in_hand -= wanted
                self._changed.notify_all()


TURNS = PixelTurns()
