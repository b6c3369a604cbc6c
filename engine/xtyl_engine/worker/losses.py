"""Finds the jobs that a worker process has lost. Where the process can be asked it is asked: it has lost its jobs if it ended, or
if it lived and renewed no lease for long while this process watched. A clock decides only where no process can be asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.worker.owners import Pulse, unknown

ENDED = "its worker process ended"
LET_GO = "its worker process let go of its lock"
RAN_OUT = "its lease ran out"
LIVED = "its worker process lived"


class Running(NamedTuple):
    """A running job, as it was found. Without a beat its lease stays the same."""

    execution_id: str
    job_id: int
    node: str
    item: str
    number: int
    lost: int
    lease: float
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class Loss:
    """A running job that its owner has lost, and how. A job answers for what may be a death of its owner alone."""

    job: Running
    owner: str
    why: str
    is_death: bool

    @property
    def is_certain(self) -> bool:
        """Whether its owner cannot come back, however long one waits."""
        return self.why == ENDED


class Unchanged:
    """For how long values were seen not to change, by a monotonic clock: it stands still while the machine sleeps, and no clock
    that is set moves it."""

    def __init__(self) -> None:
        self._since: dict[Hashable, tuple[float, float]] = {}

    def watch(self, values: Mapping[Hashable, float], now: float) -> dict[Hashable, float]:
        """Look at all values again; for how many seconds each has been the same."""
        before = self._since
        self._since = {
            key: known if (known := before.get(key)) and known[0] == value else (value, now)
            for key, value in values.items()
        }
        return {key: now - since for key, (_, since) in self._since.items()}

    def forget(self) -> None:
        """Begin anew, because nothing is known of the time since the last look."""
        self._since.clear()


@dataclass(eq=False)
class Losses:
    """What one process finds. `held` gives the claims that it holds itself; `pulse` asks about another owner's process."""

    database: Database
    owner: str
    held: Callable[[], Collection[Claim]]
    lease_seconds: float
    beat_seconds: float
    silent_seconds: float
    pulse: Callable[[str], Pulse] = unknown
    _leases: Unchanged = field(default_factory=Unchanged)
    _looked: float = field(default_factory=time.monotonic)
    _database_looked: float | None = None
    _patient_until: float = 0.0

    def find(self) -> list[Loss]:
        """The jobs that are lost now."""
        with self.database.read() as transaction:
            if not transaction.is_sqlite:
                transaction.run(sql.PLAIN_SCAN)
            owners = transaction.rows(sql.OWNERS)
            self._note_time(transaction)
            mine = self._not_held(transaction, owners)
            newest = {owner: lease for owner, _, lease, _ in owners if owner != self.owner}
            silent = self._leases.watch({**newest, **{_key(job): job.lease for job in mine}}, self._looked)
            found = [(self.owner, job, self._why(Pulse.UNKNOWN, job.is_overdue, silent[_key(job)])) for job in mine]
            for owner, _, lease, is_overdue in owners:
                if owner == self.owner:
                    continue
                pulse, seconds = self.pulse(owner), silent[owner]
                if self._why(pulse, is_overdue, seconds):
                    jobs = _running(transaction, owner)
                    # A beat may have come since the first look.
                    seconds = seconds if lease in [job.lease for job in jobs] else 0.0
                    found += [(owner, job, self._why(pulse, job.is_overdue, seconds)) for job in jobs]
        return [Loss(job, owner, why, self._is_death(owner, why)) for owner, job, why in found if why]

    def _is_death(self, owner: str, why: str) -> bool:
        """Whether the owner may be dead: this process is not, nor is one that was seen to live."""
        return owner != self.owner and not why.startswith(LIVED)

    def _not_held(self, transaction: Transaction, owners: list[tuple[str, int, float, bool]]) -> list[Running]:
        """This process's own jobs that it does not hold: the answer to a claim was lost, or a slot broke down."""
        held = {(claim.job_id, claim.number) for claim in self.held()}
        for owner, count, _, is_overdue in owners:
            if owner == self.owner and (is_overdue or count > len(held)):
                return [job for job in _running(transaction, owner) if _key(job) not in held]
        return []

    def _why(self, pulse: Pulse, is_overdue: bool, seconds: float) -> str:
        """How a job is lost whose lease was the same for so many seconds; empty if it is not."""
        if pulse is Pulse.ENDED:
            return ENDED
        if pulse is Pulse.UNKNOWN and is_overdue and self._looked >= self._patient_until:
            return RAN_OUT
        if pulse is Pulse.FREE and seconds >= 2 * self.beat_seconds:
            return f"{LET_GO}, and its lease was not renewed for {2 * self.beat_seconds:g} s"
        if seconds < self.silent_seconds:
            return ""
        whose = f"{LIVED}, and its lease" if pulse is Pulse.ALIVE else "its lease"
        return f"{whose} was not renewed for {self.silent_seconds:g} s"

    def _note_time(self, transaction: Transaction) -> None:
        """Spare for a while all who cannot be asked, and watch all anew, if the time since the last look is not to be trusted:
        the database was out of reach, this process stood still, or the database's clock went another way than its own."""
        (database_now,) = transaction.row(sql.CLOCK) or (None,)
        now = time.monotonic()
        step = now - self._looked
        database_step = step if self._database_looked is None else database_now - self._database_looked
        self._looked, self._database_looked = now, database_now
        if step > self.lease_seconds / 2 or abs(database_step - step) > self.beat_seconds:
            self._patient_until = now + self.lease_seconds
            self._leases.forget()


def _running(transaction: Transaction, owner: str) -> list[Running]:
    return [Running(*row) for row in transaction.rows(sql.RUNNING_OF, {"owner": owner})]


def _key(job: Running) -> tuple[int, int]:
    return job.job_id, job.number
