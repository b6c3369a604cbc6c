"""What requests hold at the same time, bounded for all of them together and for one token: bytes, or places. One event loop
counts, and never waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from xtyl_engine.api.problems import RequestRefused

BUSY = "api/busy"


class Allowance:
    """An amount that may be held. One holder has at most half of it."""

    def __init__(self, most: int, *, of: str):
        self._most = most
        self._of = of
        self._held: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """All that is held now."""
        return self._held.total()

    def take(self, holder: str, amount: int) -> None:
        """Hold more. Raises RequestRefused, with 503, where that would be too much."""
        if self.total + amount > self._most or self._held[holder] + amount > self._most // 2:
            raise RequestRefused(
                f"too many {self._of}", status=503, code=BUSY, hint="Send it again in a moment; nothing of it was done."
            )
        self._held[holder] += amount

    def give(self, holder: str, amount: int) -> None:
        """Hold less."""
        self._held[holder] -= amount
        if self._held[holder] <= 0:
            del self._held[holder]

    @contextmanager
    def held(self, holder: str, amount: int) -> Iterator[None]:
        """Hold an amount for the length of a block."""
        self.take(holder, amount)
        try:
            yield
        finally:
            self.give(holder, amount)
