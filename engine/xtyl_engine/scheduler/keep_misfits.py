"""Writes answers that did not fit, each with its attempt: a job that failed for one keeps what was paid for, and the next attempt
tells its model. Attempts that fit cost no statement.
"""

from __future__ import annotations

from collections.abc import Sequence

from xtyl_engine.database import statements as sql
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import Failed, Outcome, Released, Retrying


def keep_misfits(locked: LockedExecution, outcomes: Sequence[Outcome]) -> None:
    """Write the answers that did not fit of the attempts with these outcomes, whatever becomes of the outcomes."""
    failures = [
        (outcome.claim, outcome.failure.misfit)
        for outcome in outcomes
        if isinstance(outcome, Failed | Retrying | Released) and outcome.failure is not None
    ]
    rows = [
        {"job_id": claim.job_id, "number": claim.number, "answer": misfit.answer, "reason": misfit.reason}
        for claim, misfit in failures
        if misfit is not None
    ]
    if rows:
        locked.transaction.many(sql.KEEP_MISFIT, rows)
