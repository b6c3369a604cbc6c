"""How often jobs of one kind may start, as the setting `XTYL_RATES` writes it. Use of a rate is counted in SQL, by
`scheduler.rate_limits`, not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BURST_SECONDS = 1.0
MAX_COUNT = 1_000_000
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"([\w.-]+)=([0-9]{1,7})/([smh])")


class UnreadableRate(ValueError):
    """Text that is not a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`count` starts per `seconds`, evenly spread. Starts not used in the last second may be made up for at once, and one
    start is always allowed: any stretch of time has at most count / seconds of it, and `burst` more."""

    key: str
    count: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds from one start to the next."""
        return self.seconds / self.count

    @property
    def burst(self) -> int:
        """How many may start at once."""
        return max(1, int(BURST_SECONDS / self.interval))


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Read `openai=60/m generate_image=2/s`. Raises UnreadableRate with the part that cannot be read."""
    rates: dict[str, Rate] = {}
    for part in text.replace(",", " ").split():
        found = _RATE.fullmatch(part)
        if found is None or not 1 <= int(found[2]) <= MAX_COUNT or found[1] in rates:
            raise UnreadableRate(part)
        rates[found[1]] = Rate(key=found[1], count=int(found[2]), seconds=_UNITS[found[3]])
    return tuple(rates.values())
