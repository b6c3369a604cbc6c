"""Removes old executions, then the plans and files that nothing refers to. `xtyl prune` does so at once; workers do so once
a day, one process of the whole fleet at a time, with pauses. The conditions for removal are in `executions` and `files`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import update

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Now, Transaction
from xtyl_engine.database.retention.executions import Retention, count_over, prune, prune_templates
from xtyl_engine.database.retention.files import mentioned, sweep
from xtyl_engine.database.tables import rate_limits
from xtyl_engine.errors import BackendError
from xtyl_engine.settings import Settings

log = logging.getLogger("xtyl")
DAY_SECONDS = 86_400.0
BETWEEN_TURNS_SECONDS = 600.0
PAUSE_SECONDS = 0.05
# A turn that is not renewed, because its holder died, is free again.
TURN_SECONDS = 900.0
TURN = "xtyl.retention"
FORGET = 100
_TAKE_TURN = (
    update(rate_limits)
    .where(rate_limits.c.key == sql.B("turn"), rate_limits.c.held_until <= Now())
    .values(held_until=Now() + sql.B("seconds"))
)
_KEEP_TURN = update(rate_limits).where(rate_limits.c.key == sql.B("turn")).values(held_until=Now() + sql.B("seconds"))
Forget = Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What has been removed so far."""

    executions: int = 0
    jobs: int = 0
    plans: int = 0
    files: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        parts = (
            f"{self.executions:,} executions with {self.jobs:,} jobs, {self.plans:,} plans",
            f"{self.files:,} files ({self.bytes / 1e6:,.1f} MB)",
        )
        return ", ".join(parts)


def tidy(database: Database, folder: Path, retention: Retention, forget: Forget) -> Iterator[Tally]:
    """Remove what has been kept long enough. Yields the total after each step. `forget` drops executions' live events. A
    caller may stop after any step; the next call goes on from there."""
    tally, gone = Tally(), list[str]()
    for id, held in prune(database, retention):
        tally = replace(tally, executions=tally.executions + 1, jobs=tally.jobs + held)
        gone.append(id)
        if len(gone) == FORGET:
            forget(gone)
            gone = []
        yield tally
    forget(gone)
    tally = replace(tally, plans=prune_templates(database, retention.seconds))
    yield tally
    for freed in sweep(database, folder, mentioned(database, folder)):
        tally = replace(tally, files=freed.files, bytes=freed.bytes)
        yield tally


def foresee(database: Database, folder: Path, retention: Retention) -> Tally:
    """What `tidy` would remove, except plans. Changes nothing."""
    executions, held = count_over(database, retention)
    tally = Tally(executions=executions, jobs=held)
    for freed in sweep(database, folder, mentioned(database, folder, gone=retention), dry_run=True):
        tally = replace(tally, files=freed.files, bytes=freed.bytes)
    return tally


@dataclass(eq=False)
class Housekeeper:
    """Runs `tidy` in a worker process, if the settings ask for it. Each process has one; a row in SQL grants the turn."""

    database: Database
    folder: Path
    retention: Retention
    forget: Forget
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._repeat, name="xtyl-retention", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def look(self) -> Tally | None:
        """Run `tidy` if the last turn was a day ago. Return what was removed, None if it is not time."""
        if not self.database.transact(self._take_turn):
            return None
        tally = Tally()
        for step, tally in enumerate(tidy(self.database, self.folder, self.retention, self.forget), 1):
            if self._ended.wait(PAUSE_SECONDS):
                return tally
            if step % FORGET == 0:
                self.database.transact(lambda transaction: self._keep_turn(transaction, TURN_SECONDS))
        self.database.transact(lambda transaction: self._keep_turn(transaction, DAY_SECONDS))
        log.info("removed after %g days: %s", self.retention.seconds / DAY_SECONDS, tally)
        return tally

    def _repeat(self) -> None:
        while True:
            try:
                self.look()
            except BackendError as error:
                log.warning("retention: %s", error)
            except Exception:
                log.exception("retention failed and goes on")
            if self._ended.wait(BETWEEN_TURNS_SECONDS):
                return

    def _take_turn(self, transaction: Transaction) -> int:
        transaction.run(sql.ADD_RATE_LIMIT, {"key": TURN})
        return transaction.run(_TAKE_TURN, {"turn": TURN, "seconds": TURN_SECONDS})

    def _keep_turn(self, transaction: Transaction, seconds: float) -> int:
        return transaction.run(_KEEP_TURN, {"turn": TURN, "seconds": seconds})


def keep_house(settings: Settings, database: Database, forget: Forget) -> Housekeeper | None:
    """A started keeper for a worker process; None without XTYL_RETENTION_DAYS."""
    if settings.retention_days is None:
        return None
    retention = Retention(seconds=settings.retention_days * DAY_SECONDS)
    keeper = Housekeeper(database, settings.artifacts_folder, retention, forget)
    keeper.start()
    return keeper
