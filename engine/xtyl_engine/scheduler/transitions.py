"""Every change of a job's state: one UPDATE each, with a guard that names the states it may start from, taken from the table of
transitions in `states`. The row count tells the caller whether it won. Nothing here decides which transition to make.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, Integer, Text, and_, case, func, null, or_, select, type_coerce, update
from sqlalchemy.sql.elements import ColumnElement

from xtyl_engine.database.connection import Now
from xtyl_engine.database.statements import IS_DOOMED, OF_EXECUTION, WHERE, B, guard, job_in, target
from xtyl_engine.database.tables import jobs
from xtyl_engine.states import JOB_TRANSITIONS, JobState

_JOB = jobs.c.id == B("job_id")
_MINE = and_(_JOB, jobs.c.owner == B("owner"), jobs.c.attempt == B("number"))
_IS_LOST = and_(_JOB, jobs.c.attempt == B("number"), jobs.c.lease < Now())
_FAILURE: dict[str, Any] = {name: B(name) for name in ("error_class", "error", "traceback")}
_UNTRIED: dict[str, Any] = {"pending": 0, "live": 0, "tries": 0}


def transition(name: str, where: ColumnElement[bool], **values: Any) -> Any:
    """The UPDATE of one transition in the table: from its source states to its target state."""
    changed = {"state": target(JOB_TRANSITIONS[name]), **values}
    return update(jobs).where(where, guard(jobs.c.state, JOB_TRANSITIONS[name])).values(**changed)


def count_down(is_below: bool) -> Any:
    """Count ended parents down. A job whose last parent has ended becomes ready if any parent is live."""
    last = and_(jobs.c.pending == B("by"), jobs.c.live + B("add") > 0)
    return transition(
        "unblock",
        WHERE[is_below],
        pending=jobs.c.pending - B("by"),
        live=jobs.c.live + B("add"),
        state=case((last, target(JOB_TRANSITIONS["unblock"])), else_=jobs.c.state),
    )


def skip_exhausted(is_below: bool) -> Any:
    """Skip jobs whose parents have all ended, with none of them live."""
    return _skip(and_(WHERE[is_below], jobs.c.pending == 0, jobs.c.live == 0, job_in(JobState.BLOCKED)))


def skip_cut(is_below: bool) -> Any:
    """Skip jobs in a branch not taken, or after a failure upstream."""
    return _skip(and_(WHERE[is_below], guard(jobs.c.state, JOB_TRANSITIONS["skip"])))


def _skip(condition: ColumnElement[bool]) -> Any:
    return (
        update(jobs)
        .where(condition)
        .values(state=target(JOB_TRANSITIONS["skip"]), because=B("reason"), finished=B("now"))
        .returning(jobs.c.node, jobs.c.item)
    )


def doom(is_below: bool) -> Any:
    """Mark jobs that have a failure upstream, while it is not decided whether their branch is taken."""
    return (
        update(jobs)
        .where(WHERE[is_below], job_in(JobState.BLOCKED))
        .values(because=B("reason"))
        .returning(jobs.c.node, jobs.c.item, jobs.c.because)
    )


DOOM = {False: doom(False), True: doom(True)}

COUNT_DOWN = {False: count_down(False), True: count_down(True)}

SKIP_EXHAUSTED = {False: skip_exhausted(False), True: skip_exhausted(True)}

SKIP_CUT = {False: skip_cut(False), True: skip_cut(True)}

CLAIM = transition(
    "claim",
    _JOB,
    attempt=B("number"),
    tries=jobs.c.tries + 1,
    owner=B("owner"),
    lease=B("lease"),
    started=B("started"),
)

COMPLETE = transition(
    "complete",
    _JOB,
    output=B("output"),
    branch=B("branch"),
    cache_key=B("cache_key"),
    cached=B("cached"),
    # A result that was kept after a stop comes without its usage, which is in the row already.
    provider=func.coalesce(type_coerce(B("provider"), Text), jobs.c.provider),
    model=func.coalesce(type_coerce(B("model"), Text), jobs.c.model),
    tokens=func.coalesce(type_coerce(B("tokens"), Integer), jobs.c.tokens),
    cost=func.coalesce(type_coerce(B("cost"), Float), jobs.c.cost),
    finished=B("now"),
)

KEEP_LATE = (
    update(jobs)
    .where(_JOB, job_in(JobState.STOPPED), jobs.c.output.is_(None))
    .values({name: B(name) for name in ("output", "branch", "provider", "model", "tokens", "cost")})
)

WAIT = transition("wait", _MINE, output=B("output"))

RETRY = transition("retry", _MINE, due=B("due"), because=B("reason"), tries=B("tries"), **_FAILURE)

RELEASE = transition("release", _MINE, due=B("due"), because=B("reason"), tries=jobs.c.tries - 1)

RENEW = update(jobs).where(_MINE, job_in(JobState.RUNNING)).values(started=B("now"))

FAIL = transition("fail", _MINE, finished=B("now"), **_FAILURE)

DECIDE = transition("decide", _JOB, output=B("output"), because=B("reason"), finished=B("now"))

BEAT = update(jobs).where(_MINE, job_in(JobState.RUNNING)).values(lease=Now() + B("lease_seconds"))

LOSE = transition("lose", _IS_LOST, lost=jobs.c.lost + 1, because=B("reason"), tries=jobs.c.tries - 1, due=0.0)

QUARANTINE = transition(
    "quarantine",
    _IS_LOST,
    lost=jobs.c.lost + 1,
    finished=B("now"),
    error_class=B("error_class"),
    error=B("error"),
)

STOP_JOBS = transition(
    "stop",
    OF_EXECUTION,
    finished=B("now"),
    # Drop the options that a review shows: when the run is resumed, an output found here counts as a result.
    output=case((job_in(JobState.WAITING), null()), else_=jobs.c.output),
)

REOPENABLE = or_(guard(jobs.c.state, JOB_TRANSITIONS["reopen"]), IS_DOOMED)

REOPENED = select(jobs.c.id, jobs.c.node, jobs.c.item, jobs.c.state, jobs.c.because).where(OF_EXECUTION, REOPENABLE)

REOPEN = (
    update(jobs)
    .where(_JOB, REOPENABLE)
    .values(
        state=target(JOB_TRANSITIONS["reopen"]),
        because="reopened",
        lost=0,
        due=0.0,
        finished=None,
        **_UNTRIED,
        **dict.fromkeys(_FAILURE),
    )
)

ANOTHER = transition("another", _JOB, because="another", output=null(), **_UNTRIED)

SET_WAITING_FOR = (
    update(jobs).where(_JOB, job_in(JobState.BLOCKED)).values(state=B("state"), pending=B("pending"), live=B("live"))
)
