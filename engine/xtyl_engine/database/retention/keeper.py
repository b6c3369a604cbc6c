"""Removes old executions, then the plans and files that nothing refers to. `xtyl prune` does so at once; workers do so once
a day, one process of the whole fleet at a time, with pauses. The conditions for removal are in `executions` and `files`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import select, update

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
# A clock that was moved, or a fleet that was off: either way, no worker saw this time pass.
UNSEEN_SECONDS = DAY_SECONDS
# Results that were stored at that moment are recorded or given up by then.
PAUSE_AFTER_SECONDS = 7_200.0
_R = rate_limits.c
_SEEN = select(_R.since, _R.tat, _R.held_until, Now()).where(_R.key == sql.B("turn")).with_for_update()
_SEE = (
    update(rate_limits)
    .where(_R.key == sql.B("turn"))
    .values(since=sql.B("seen"), tat=sql.B("unsure_until"), held_until=sql.B("until"))
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
    tally = replace(tally, plans=prune_templates(database, retention))
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
        unsure_until = self.database.transact(self._take_turn)
        if unsure_until is None:
            return None
        tally, retention = Tally(), replace(self.retention, unsure_until=unsure_until)
        for step, tally in enumerate(tidy(self.database, self.folder, retention, self.forget), 1):
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

    def _take_turn(self, transaction: Transaction) -> float | None:
        """Note the time, and take the turn if it is due: the moment up to which ages are not sure, None without the turn. Age is
        time that workers saw pass: a clock that jumps years ahead makes nothing old, and nothing is removed soon after."""
        transaction.run(sql.ADD_RATE_LIMIT, {"key": TURN})
        seen, unsure_until, until, now = transaction.row(_SEEN, {"turn": TURN}) or (0.0, 0.0, 0.0, 0.0)
        unseen = now - (seen or now)
        # What lies ahead was written before the clock was set back.
        unsure_until = unsure_until if unsure_until <= now else 0.0
        until = until if until <= now + DAY_SECONDS else now
        if unseen > UNSEEN_SECONDS:
            log.warning("no worker saw the last %.1f days pass: nothing is removed for a while", unseen / DAY_SECONDS)
            until = max(until, now + PAUSE_AFTER_SECONDS)
        if unseen > self.retention.seconds / 2:
            unsure_until = now
        is_due = until <= now
        told = {"seen": now, "unsure_until": unsure_until, "until": now + TURN_SECONDS if is_due else until}
        transaction.run(_SEE, {"turn": TURN} | told)
        return unsure_until if is_due else None

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
