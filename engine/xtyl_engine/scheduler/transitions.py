"""Every change of a job's state: one UPDATE each, with a guard that names the states it may start from, taken from the table of
transitions in `states`. The row count tells the caller whether it won. Which transition to make, `cascade`, `claim` and
`apply_outcomes` decide.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Float, Integer, Text, and_, case, func, literal_column, null, or_, select, type_coerce, update
from sqlalchemy.sql.elements import ColumnElement

from xtyl_engine.database.connection import Now
from xtyl_engine.database.statements import (
    AND_OF_EXECUTION,
    IS_DOOMED,
    OF_EXECUTION,
    WHERE,
    B,
    guard,
    job_in,
    target,
)
from xtyl_engine.database.tables import attempts, jobs
from xtyl_engine.scheduler.outcomes import PARKED_UNTIL
from xtyl_engine.states import JOB_TRANSITIONS, JobState

_J = jobs.c
_JOB = _J.id == B("job_id")
_MINE = and_(_JOB, _J.owner == B("owner"), _J.attempt == B("number"))
# Without a beat since it was looked at: who is alive after all keeps its job.
_IS_LOST = and_(_MINE, _J.lease == B("lease"))
# Written into the statements of each job, so that no driver gets it as a parameter.
_ONE: ColumnElement[Any] = literal_column("1")
_IS_FREED = and_(_J.pending == B("by"), _J.live + B("add") > literal_column("0"))
# What a job was that a parent has skipped: a ready one waited for nothing, and has a live parent.
_STOOD = case((and_(_J.pending == 0, _J.live > 0), literal_column("'ready'")), else_=literal_column("'blocked'"))
_FAILURE: dict[str, Any] = {name: B(name) for name in ("error_class", "error", "traceback")}
# The attempt's outcome is not recorded: a process executes the job, or died with it.
_IS_IN_FLIGHT = (
    select(attempts.c.job_id)
    .where(attempts.c.job_id == _J.id, attempts.c.number == _J.attempt, attempts.c.outcome.is_(None))
    .exists()
)
IS_PARKED = and_(job_in(JobState.READY), _J.due >= literal_column(str(PARKED_UNTIL)))
_UNTRIED: dict[str, Any] = {"pending": 0, "live": 0, "tries": 0, "waited": 0.0}


def transition(name: str, where: ColumnElement[bool], **values: Any) -> Any:
    """The UPDATE of one transition in the table: from its source states to its target state."""
    changed = {"state": target(JOB_TRANSITIONS[name]), **values}
    return update(jobs).where(where, guard(_J.state, JOB_TRANSITIONS[name])).values(**changed)


def _skip(condition: ColumnElement[bool]) -> Any:
    return (
        update(jobs)
        .where(condition)
        .values(state=target(JOB_TRANSITIONS["skip"]), because=B("reason"), finished=B("now"))
        .returning(_J.node, _J.item, _STOOD)
    )


# Count ended parents down. A job whose last parent has ended becomes ready if any parent is live.
COUNT_DOWN = {
    is_below: transition(
        "unblock",
        where,
        pending=_J.pending - B("by"),
        live=_J.live + B("add"),
        state=case((_IS_FREED, target(JOB_TRANSITIONS["unblock"])), else_=_J.state),
    ).returning(_J.node, _J.state)
    for is_below, where in WHERE.items()
}

# Skip jobs whose parents have all ended, with none of them live.
SKIP_EXHAUSTED = {
    is_below: _skip(and_(where, _J.pending == 0, _J.live == 0, job_in(JobState.BLOCKED)))
    for is_below, where in WHERE.items()
}

# Skip jobs in a branch not taken, or after a failure upstream.
SKIP_CUT = {is_below: _skip(and_(where, guard(_J.state, JOB_TRANSITIONS["skip"]))) for is_below, where in WHERE.items()}

# Mark jobs that have a failure upstream, while it is not decided whether their branch is taken.
DOOM = {
    is_below: update(jobs)
    .where(where, job_in(JobState.BLOCKED))
    .values(because=B("reason"))
    .returning(_J.node, _J.item, _J.because)
    for is_below, where in WHERE.items()
}

CLAIM = transition(
    "claim", _JOB, attempt=B("number"), tries=_J.tries + _ONE, owner=B("owner"), lease=B("lease"), started=B("started")
)

# By the state it starts from, so that the counts know it.
COMPLETE = {
    source: update(jobs)
    .where(_JOB, job_in(JobState(source)))
    .values(
        state=target(JOB_TRANSITIONS["complete"]),
        **{name: B(name) for name in ("output", "branch", "cached")},
        # A late result that was kept comes without its key and its usage, which are in the row already.
        cache_key=func.coalesce(type_coerce(B("cache_key"), Text), _J.cache_key),
        provider=func.coalesce(type_coerce(B("provider"), Text), _J.provider),
        model=func.coalesce(type_coerce(B("model"), Text), _J.model),
        tokens=func.coalesce(type_coerce(B("tokens"), Integer), _J.tokens),
        cost=func.coalesce(type_coerce(B("cost"), Float), _J.cost),
        finished=B("now"),
    )
    for source in JOB_TRANSITIONS["complete"].sources
}

# A job that is neither ready nor running keeps the first result that comes, whatever its state: a completed one has its own,
# and a waiting one shows what it has.
KEEP_LATE = (
    update(jobs)
    .where(_JOB, _J.output.is_(None))
    .values({name: B(name) for name in ("output", "branch", "cache_key", "provider", "model", "tokens", "cost")})
)

# A key stands beside the result that it was made for, and never beside options or a decision.
WAIT = transition("wait", _MINE, output=B("output"), cache_key=null())

RETRY = transition("retry", _MINE, due=B("due"), because=B("reason"), tries=B("tries"), waited=B("waited"), **_FAILURE)

RELEASE = transition("release", _MINE, due=B("due"), because=B("reason"), tries=_J.tries - 1, needs=B("needs"))

# Jobs that wait for a variable of their kernel; the reason of their release names it.
VARIABLE = "variable "
WANTED = select(_J.because).where(OF_EXECUTION, IS_PARKED, _J.needs.is_(None)).limit(1)
FREE = update(jobs).where(OF_EXECUTION, IS_PARKED, _J.needs.is_(None)).values(due=0.0)

RENEW = update(jobs).where(_MINE, job_in(JobState.RUNNING)).values(started=B("now"))

FAIL = transition("fail", _MINE, finished=B("now"), **_FAILURE)

DECIDE = transition("decide", _JOB, output=B("output"), because=B("reason"), finished=B("now"))

# A stopped job that is still being executed keeps its lease: a resume lets it go on.
BEAT = update(jobs).where(_MINE, job_in(JobState.RUNNING, JobState.STOPPED)).values(lease=Now() + B("lease_seconds"))

LOSE = transition("lose", _IS_LOST, lost=_J.lost + B("deaths"), because=B("reason"), tries=_J.tries - 1, due=0.0)

QUARANTINE = transition(
    "quarantine", _IS_LOST, lost=_J.lost + 1, finished=B("now"), error_class=B("error_class"), error=B("error")
)


class Stop(NamedTuple):
    """What counts the jobs that a stop changes, by node and state, and what stops them."""

    count: Any
    stop: Any


def _stop(where: ColumnElement[bool]) -> Stop:
    # Drop the options that a review shows: when the run is resumed, an output found here counts as a result.
    values = {"finished": B("now"), "output": case((job_in(JobState.WAITING), null()), else_=_J.output)}
    counted = select(_J.node, _J.state, func.count()).where(where, guard(_J.state, JOB_TRANSITIONS["stop"]))
    return Stop(counted.group_by(_J.node, _J.state), transition("stop", where, **values))


STOP_ALL = _stop(OF_EXECUTION)
STOP_RUNNING = _stop(and_(job_in(JobState.RUNNING), AND_OF_EXECUTION))
STOP_BETWEEN = _stop(and_(_J.id.between(B("low"), B("high")), AND_OF_EXECUTION))

GO_ON = transition("go_on", and_(_JOB, _IS_IN_FLIGHT), finished=None)

REOPENABLE = or_(guard(_J.state, JOB_TRANSITIONS["reopen"]), IS_DOOMED)

_REOPENED = select(_J.id, _J.node, _J.item, _J.state, _J.because, _J.attempt)
REOPENED = _REOPENED.where(OF_EXECUTION, REOPENABLE)
REOPENED_JOB = _REOPENED.where(_JOB, REOPENABLE)

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
