"""How long jobs were ready before they started, for a sample of the jobs. A job became ready at the latest of: last parent's end,
submission, previous attempt's end, retry delay. No column stores that time, so it is computed from SQL, outside the work itself;
time in which the run was paused counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import func, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.database.tables import attempts, executions, jobs
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.workflow.plan import Plan, head

MOST = 32
# A retry by hand, or another option, makes jobs ready at a time that no column holds.
KNOWN_REASONS = ("first", "retry", "released", "unread", "lost")

_BEFORE = attempts.alias()
_START = (
    select(attempts.c.started, attempts.c.because, executions.c.created, jobs.c.due, _BEFORE.c.finished)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .join(executions, executions.c.id == jobs.c.execution_id)
    .outerjoin(_BEFORE, (_BEFORE.c.job_id == attempts.c.job_id) & (_BEFORE.c.number == attempts.c.number - 1))
    .where(attempts.c.job_id == sql.B("job_id"), attempts.c.number == sql.B("number"))
)
_END = {is_below: select(func.max(jobs.c.finished)).where(where) for is_below, where in sql.WHERE.items()}


class QueueTimes:
    """A sample of a process's attempts: at most `MOST` between one reading and the next."""

    def __init__(self, database: Database, load: Callable[[Transaction, str], Plan]):
        self._database, self._load = database, load
        self._claims: list[tuple[Claim, str]] = []
        self._lock = threading.Lock()

    def note(self, claim: Claim, type: str) -> None:
        """Put a started attempt into the sample, if there is room."""
        if len(self._claims) < MOST:
            with self._lock:
                self._claims.append((claim, type))

    def read(self) -> list[tuple[str, float]]:
        """Type and seconds of each attempt noted since the last reading. Raises BackendError."""
        with self._lock:
            claims, self._claims = self._claims, []
        if not claims:
            return []
        with self._database.read() as transaction:
            found = [(type, self._seconds(transaction, claim)) for claim, type in claims]
        return [(type, seconds) for type, seconds in found if seconds is not None]

    def _seconds(self, transaction: Transaction, claim: Claim) -> float | None:
        row = transaction.row(_START, {"job_id": claim.job_id, "number": claim.number})
        if row is None or row[1] not in KNOWN_REASONS:
            return None
        started, _, created, due, before = row
        # A due time after this start belongs to the next attempt.
        times = [created, before, due if due <= started else None, *self._ends(transaction, claim)]
        return max(0.0, float(started - max(time for time in times if time is not None)))

    def _ends(self, transaction: Transaction, claim: Claim) -> list[float | None]:
        plan = self._load(transaction, claim.template_id)
        found = []
        for link in plan.nodes[claim.node].parents:
            at = {"execution_id": claim.execution_id, "node": link.source, "item": head(claim.item, link.level)}
            row = transaction.row(_END[len(plan.nodes[link.source].axes) > link.level], at)
            found.append(row[0] if row else None)
        return found
