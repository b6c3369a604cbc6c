"""Writes what attempts printed: with their outcomes, and while they run. An attempt that printed nothing costs no statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import Outcome
from xtyl_engine.values.prints import Printed


def keep_prints(locked: LockedExecution, outcomes: Sequence[Outcome]) -> None:
    """Write what the attempts with these outcomes printed, whatever becomes of the outcomes."""
    printed = {outcome.claim.attempt: outcome.printed for outcome in outcomes if outcome.printed is not None}
    if printed:
        locked.transaction.many(sql.KEEP_PRINTS, _rows(printed, locked.now))


def keep_live_prints(database: Database, printed: Mapping[tuple[int, int], Printed], seconds: float) -> None:
    """Write what running attempts have printed so far. Raises BackendError if the database does not take it within `seconds`."""

    def work(transaction: Transaction) -> None:
        (now,) = transaction.row(sql.CLOCK) or (0.0,)
        transaction.many(sql.KEEP_PRINTS, _rows(printed, now))

    database.transact(work, seconds=seconds)


def _rows(printed: Mapping[tuple[int, int], Printed], now: float) -> list[dict[str, Any]]:
    # In one order, so that two transactions that write the same rows do not wait for each other.
    return [
        {"job_id": job_id, "number": number, "text": said.text, "done": said.done, "of": said.of, "now": now}
        for (job_id, number), said in sorted(printed.items(), key=itemgetter(0))
    ]
