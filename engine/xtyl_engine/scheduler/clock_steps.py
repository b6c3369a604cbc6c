"""What a clock that was set back leaves behind: retries whose time was written before, and now lies hours ahead. It brings them
forward; holds and permits mend themselves in `rate_limits`.
"""

from __future__ import annotations

from sqlalchemy import exists, update

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Now, Transaction
from xtyl_engine.database.tables import attempts, jobs
from xtyl_engine.states import JOB_TRANSITIONS

# Clocks that are kept right by small steps go back by less.
STEP_SECONDS = 1.0
_J, _A = jobs.c, attempts.c
_ENDS_AHEAD = exists().where(_A.job_id == _J.id, _A.number == _J.attempt, _A.finished > Now() + STEP_SECONDS)
_BRING_FORWARD = (
    update(jobs).where(sql.guard(_J.state, JOB_TRANSITIONS["claim"]), _J.due > Now(), _ENDS_AHEAD).values(due=Now())
)


def bring_retries_forward(transaction: Transaction) -> int:
    """Let jobs start now that wait for a time which was written after now, for their last attempt ended after now. Return how
    many."""
    return transaction.run(_BRING_FORWARD)
