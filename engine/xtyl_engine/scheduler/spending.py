"""Keeps an execution within its budget: holds the most that an attempt may cost before it starts, settles what it took, lets jobs
go on that waited for money, and pauses the execution once no attempt can give any back. Each is a step in a transaction of one
execution; without a budget it is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, func, literal_column, not_, select, update

from xtyl_engine.database import statements as sql
from xtyl_engine.database.tables import attempts, jobs
from xtyl_engine.errors import ControlRefused
from xtyl_engine.events import EventKind
from xtyl_engine.providers.prices import nano_dollars
from xtyl_engine.scheduler.budget import advised, dollars
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import Claim, Failed, Outcome, Released, Retrying
from xtyl_engine.scheduler.transitions import IS_PARKED
from xtyl_engine.states import ExecutionState, JobState

# So many jobs go on with one commit; those behind them with the commits that follow.
MOST_FREED = 64
_J, _A = jobs.c, attempts.c
_ATTEMPT = and_(_A.job_id == sql.B("job_id"), _A.number == sql.B("number"))
_CHARGE = select(_A.charge, _A.outcome).where(_ATTEMPT)
_SET_CHARGE = update(attempts).where(_ATTEMPT).values(charge=sql.B("charge"))
_IS_SHORT = and_(sql.OF_EXECUTION, IS_PARKED, _J.needs.is_not(None))
_FITTING = select(_J.id, _J.needs).where(_IS_SHORT, _J.needs <= sql.B("left")).order_by(_J.id).limit(sql.B("limit"))
_FREE = update(jobs).where(_J.id == sql.B("job_id"), sql.job_in(JobState.READY)).values(due=0.0)
# What those are meant for that were let go on, and may not hold it yet.
_MEANT = select(func.coalesce(func.sum(_J.needs), 0)).where(
    sql.OF_EXECUTION, sql.job_in(JobState.READY, JobState.RUNNING), not_(IS_PARKED)
)
LEAST = select(func.min(_J.needs)).where(_IS_SHORT)
_IS_AT_WORK = and_(sql.job_in(JobState.READY, JobState.RUNNING), not_(IS_PARKED))
_ENDED = and_(_A.job_id.in_(select(_J.id).where(sql.OF_EXECUTION)), _A.outcome.is_not(None), _A.cost > 0)
_PAID = select(func.coalesce(func.sum(_A.cost), 0)).where(_ENDED)
_CHARGE_PAID = update(attempts).where(_ENDED).values(charge=_A.cost)
AT_WORK: Any = select(literal_column("1")).where(sql.OF_EXECUTION, _IS_AT_WORK).limit(1)


def hold(locked: LockedExecution, claim: Claim, most: int) -> bool:
    """Hold the most that an attempt may cost; False, and nothing more held, where that is more than is left. What is held for it
    already, by a commit whose answer was lost, is not held twice."""
    attempt = {"job_id": claim.job_id, "number": claim.number}
    if locked.budget.limit is not None:
        before, _ = locked.transaction.row(_CHARGE, attempt) or (0, None)
        if most - before > locked.budget.left:
            return False
        locked.transaction.run(_SET_CHARGE, attempt | {"charge": most})
        locked.budget.held += most - before
    return True


def settle_charge(locked: LockedExecution, job_id: int, number: int, cost: int | None) -> None:
    """Let an attempt that ends, or whose result comes late, count with what it cost; with all that was held for it where that is
    not known. Call it before the attempt is closed."""
    if locked.budget.limit is None:
        return
    found = locked.transaction.row(_CHARGE, {"job_id": job_id, "number": number})
    if found is None:
        return
    before, outcome = found
    charge = before if cost is None else cost
    if outcome is None:
        locked.budget.held -= before
        locked.budget.spend(charge)
    else:
        locked.budget.spend(charge - before)
    if charge != before:
        locked.transaction.run(_SET_CHARGE, {"job_id": job_id, "number": number, "charge": charge})


def settle_charges(locked: LockedExecution, outcomes: Sequence[Outcome]) -> None:
    """The same for outcomes of attempts."""
    if locked.budget.limit is not None:
        for outcome in outcomes:
            settle_charge(locked, outcome.claim.job_id, outcome.claim.number, cost_of(outcome))


def cost_of(outcome: Outcome) -> int | None:
    """What an attempt took, None where that is not known. A provider that refuses, or says that it is busy, takes nothing; an
    answer that no price is known for is not free."""
    match outcome:
        case _ if outcome.usage is not None and outcome.usage.cost is not None:
            return nano_dollars(outcome.usage.cost)
        case Failed() | Retrying() if outcome.is_refused:
            return 0
        case Released() if not outcome.may_have_started:
            return 0
    return None


def free_short(locked: LockedExecution) -> None:
    """Let jobs go on for which there is money again."""
    budget = locked.budget
    if budget.limit is None or not budget.is_short or budget.left <= 0:
        return
    # Of many jobs that wait, only the cheapest is looked for at each commit.
    needs = _needs(locked)
    budget.is_short = needs is not None
    if needs is None or needs > budget.left:
        return
    (meant,) = locked.transaction.row(_MEANT, {"execution_id": locked.id}) or (0,)
    left, fitting = budget.left - int(meant), []
    asked = {"execution_id": locked.id, "left": left, "limit": MOST_FREED}
    for id, needs in locked.transaction.rows(_FITTING, asked):
        if needs <= left:
            left -= needs
            fitting.append({"job_id": id})
    locked.transaction.many(_FREE, fitting)


def raise_budget(locked: LockedExecution, limit: int) -> None:
    """Let an execution spend so much in all. Raises ControlRefused for no more than it has spent."""
    budget = locked.budget
    if budget.limit is None:
        # Until now nothing was counted.
        (paid,) = locked.transaction.row(_PAID, {"execution_id": locked.id}) or (0,)
        budget.spent = int(paid)
        locked.transaction.run(_CHARGE_PAID, {"execution_id": locked.id})
    if limit <= budget.spent:
        raise ControlRefused(
            f"a budget of {dollars(limit)} is no more than the {dollars(budget.spent)} that the run has spent",
            hint=f"It counts from the run's beginning: `run.resume(budget={advised(budget.spent)})`, for example.",
            state=str(locked.state),
        )
    needs = _needs(locked)
    if needs is not None and limit < budget.spent + budget.held + needs and not _is_at_work(locked):
        raise ControlRefused(
            f"a budget of {dollars(limit)} leaves {dollars(limit - budget.spent)}, and the next job may take {dollars(needs)}",
            hint=f"Say more: `run.resume(budget={advised(max(limit, budget.spent + needs))})`, for example.",
            state=str(locked.state),
        )
    budget.limit = limit
    free_short(locked)


def is_dry(locked: LockedExecution) -> bool:
    """Whether jobs wait for money, no attempt is at work that may give some back, and nothing else is left to do."""
    return locked.budget.is_short and _needs(locked) is not None and not _is_at_work(locked)


def pause_if_dry(locked: LockedExecution) -> None:
    """Pause an execution that cannot go on without more money."""
    budget = locked.budget
    if not budget.is_short or locked.state is not ExecutionState.RUNNING:
        return
    # Which of many jobs is the cheapest is asked last, for it takes longer.
    needs = None if _is_at_work(locked) else _needs(locked)
    if needs is not None and locked.make("pause"):
        # What is at work holds money: then nothing is held.
        locked.error = short_words(budget.left, needs)
        locked.note(EventKind.PAUSED, error=locked.error, spent=budget.spent, budget=budget.limit)


def short_words(left: int, needs: int) -> str:
    """What an execution waits for that cannot go on without more money."""
    return f"the budget has {dollars(left)} left, and the next job may take {dollars(needs)}"


def _needs(locked: LockedExecution) -> int | None:
    """The most that the cheapest of the jobs may take that wait for money; None where none waits."""
    (least,) = locked.transaction.row(LEAST, {"execution_id": locked.id}) or (None,)
    return None if least is None else int(least)


def _is_at_work(locked: LockedExecution) -> bool:
    return locked.transaction.row(AT_WORK, {"execution_id": locked.id}) is not None
