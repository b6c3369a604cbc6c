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


class _Owner(NamedTuple):
    """An owner of running jobs, this process too: how many, the newest of their leases, and whether one of them is over."""

    name: str
    jobs: int
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
            owners = [_Owner(*row) for row in transaction.rows(sql.OWNERS)]
            # Only now: what ran out while this process waited for its look, or stood still in it, is spared.
            self._note_time(transaction)
            mine = self._not_held(transaction, owners)
            others = [owner for owner in owners if owner.name != self.owner]
            leases: dict[Hashable, float] = {
                **{owner.name: owner.lease for owner in others},
                **{_key(job): job.lease for job in mine},
            }
            same = self._leases.watch(leases, self._looked)
            lost = self._lost_here(mine, same)
            for owner in others:
                lost += self._lost_there(transaction, owner, same[owner.name])
        return lost

    def _lost_here(self, mine: list[Running], same: Mapping[Hashable, float]) -> list[Loss]:
        """Of this process's own jobs that it does not hold, those whose lease is over, as of an owner that cannot be asked."""
        whys = [(job, self._by_lease(job.is_overdue, same[_key(job)])) for job in mine]
        return [Loss(job, self.owner, why, is_death=False) for job, why in whys if why]

    def _lost_there(self, transaction: Transaction, owner: _Owner, seconds: float) -> list[Loss]:
        """The jobs that another owner has lost, whose newest lease was the same for so many seconds."""
        pulse = self.pulse(owner.name)
        if not self._why(pulse, owner.is_overdue, seconds):
            return []
        jobs = _running(transaction, owner.name)
        # A beat may have come since the first look.
        seconds = seconds if owner.lease in [job.lease for job in jobs] else 0.0
        whys = [(job, self._why(pulse, job.is_overdue, seconds)) for job in jobs]
        return [Loss(job, owner.name, why, is_death=pulse is not Pulse.ALIVE) for job, why in whys if why]

    def _not_held(self, transaction: Transaction, owners: list[_Owner]) -> list[Running]:
        """This process's own jobs that it does not hold: the answer to a claim was lost, or a slot broke down."""
        held = {(claim.job_id, claim.number) for claim in self.held()}
        for owner in owners:
            if owner.name == self.owner and (owner.is_overdue or owner.jobs > len(held)):
                return [job for job in _running(transaction, owner.name) if _key(job) not in held]
        return []

    def _why(self, pulse: Pulse, is_overdue: bool, seconds: float) -> str:
        """How another owner has lost a job whose lease was the same for so many seconds; empty if it has not."""
        match pulse:
            case Pulse.ENDED:
                return ENDED
            case Pulse.FREE:
                return _silent(f"{LET_GO}, and its lease", seconds, 2 * self.beat_seconds)
            case Pulse.ALIVE:
                return _silent(f"{LIVED}, and its lease", seconds, self.silent_seconds)
            case Pulse.UNKNOWN:
                return self._by_lease(is_overdue, seconds)

    def _by_lease(self, is_overdue: bool, seconds: float) -> str:
        """How a job is lost whose owner cannot be asked."""
        if is_overdue and self._looked >= self._patient_until:
            return RAN_OUT
        return _silent("its lease", seconds, self.silent_seconds)

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


def _silent(what: str, seconds: float, most: float) -> str:
    return f"{what} was not renewed for {most:g} s" if seconds >= most else ""


def _running(transaction: Transaction, owner: str) -> list[Running]:
    return [Running(*row) for row in transaction.rows(sql.RUNNING_OF, {"owner": owner})]


def _key(job: Running) -> tuple[int, int]:
    return job.job_id, job.number
