"""One bucket: how many starts a key of a rate allows at a moment, by the generic cell rate algorithm over one row in SQL. It
knows no jobs; `permits` decides about those.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.database.tables import rate_limits
from xtyl_engine.errors import MAX_RETRY_AFTER
from xtyl_engine.rates import Rate
from xtyl_engine.scheduler.clock_steps import STEP_SECONDS

_R = rate_limits.c
_ONE = select(_R.tat, _R.since, _R.held_until, _R.count, _R.seconds).where(_R.key == sql.B("key"))
_ONE_LOCKED = _ONE.with_for_update()
_SET = (
    update(rate_limits)
    .where(_R.key == sql.B("key"))
    .values({name: sql.B(name) for name in ("tat", "since", "held_until", "count", "seconds")})
)
# The databases' clocks are no finer than this.
CLOCK_SECONDS = 1e-6


@dataclass(slots=True)
class Bucket:
    """`tat` is the time by which all taken permits are made up for, never before `now`; `since` is the last time when they all
    were: permits taken before it no longer count. Without a rate any number may start, unless the key is held."""

    key: str
    rate: Rate | None
    now: float
    tat: float = 0.0
    since: float = 0.0
    held_until: float = 0.0
    is_changed: bool = False

    def __post_init__(self) -> None:
        latest = self.now if self.rate is None else self.now + self.rate.burst * self.rate.interval
        # A row whose time lies ahead, or a hold longer than any, was written before the clock was set back. The provider
        # says so again if it must.
        if self.tat > latest + STEP_SECONDS or self.held_until > self.now + MAX_RETRY_AFTER:
            self.held_until = self.now
        if not self.now <= self.tat <= latest:
            # Unused time is not saved up, and permits used under a slower rate do not count.
            self.tat, self.since = min(max(self.tat, self.now), latest), self.now

    @property
    def seconds(self) -> float:
        """How long until a job may start; 0 means now."""
        ahead = 0.0 if self.rate is None else self.tat - self.now - (self.rate.burst - 1) * self.rate.interval
        return max(0.0, self.held_until - self.now, ahead if ahead > CLOCK_SECONDS else 0.0)

    def take(self) -> None:
        """Use up one permit."""
        if self.rate is not None:
            self.tat += self.rate.interval
            self.is_changed = True

    def give_back(self, permitted: float) -> None:
        """Return a permit that was taken at that time, unless it is made up for by now."""
        if self.rate is None or permitted < self.since:
            return
        self.tat -= self.rate.interval
        self.is_changed = True
        if self.tat < self.now:
            self.tat = self.since = self.now

    def hold(self, seconds: float) -> None:
        """Allow no start for so many seconds; an earlier, longer hold stays."""
        self.held_until = max(self.held_until, self.now + seconds)
        self.is_changed = True

    def save(self, transaction: Transaction) -> None:
        """Write the bucket if it changed. Its row must be locked."""
        if self.is_changed:
            count, seconds = (self.rate.count, self.rate.seconds) if self.rate else (0, 0.0)
            row = {name: getattr(self, name) for name in ("key", "tat", "since", "held_until")}
            transaction.run(_SET, row | {"count": count, "seconds": seconds})


def lock_bucket(transaction: Transaction, key: str, rate: Rate | None, now: float) -> Bucket:
    """Read a key and lock its row until this transaction ends."""
    found = transaction.row(_ONE_LOCKED, {"key": key})
    if found is None:
        transaction.run(sql.ADD_RATE_LIMIT, {"key": key})
        found = transaction.row(_ONE_LOCKED, {"key": key})
    tat, since, held_until, *_ = found or (0.0, 0.0, 0.0)
    return Bucket(key, rate, now, tat, since, held_until)


def see_bucket(transaction: Transaction, key: str, now: float) -> Bucket:
    """Read a key with the rate it was last used with, so that a process that claims nothing needs no rates of its own."""
    found = transaction.row(_ONE, {"key": key})
    if found is None:
        return Bucket(key, None, now)
    tat, since, held_until, count, seconds = found
    rate = Rate(key=key, count=count, seconds=seconds) if count else None
    return Bucket(key, rate, now, tat, since, held_until)


def see_limit(transaction: Transaction, key: str, rate: Rate | None, now: float) -> Bucket:
    """Read a key under this rate, without a lock; without a rate, only how long it is held."""
    tat, since, held_until, *_ = transaction.row(_ONE, {"key": key}) or (0.0, 0.0, 0.0)
    return Bucket(key, rate, now, tat, since, held_until)
