"""The statements of the scheduler. Every change of state is one UPDATE whose guard names the states it may leave,
taken from the tables of moves; the caller reads from the row count whether it won.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Float,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from xtyl_engine.database import Now
from xtyl_engine.schedule import FATAL
from xtyl_engine.states import JOB_MOVES, ExecutionState, JobState, Move
from xtyl_engine.tables import attempts, decisions, events, executions, functions, jobs, rows, templates

B = bindparam


def among(column: ColumnElement[Any], *values: str) -> ColumnElement[bool]:
    """The column holds one of these states, written as literals: partial indexes match only literals."""
    literals: list[Any] = [literal_column(f"'{value}'") for value in values]
    return column == literals[0] if len(literals) == 1 else column.in_(literals)


def guard(column: ColumnElement[Any], move: Move) -> ColumnElement[bool]:
    """The row stands where the move may start."""
    return among(column, *move.sources)


def target(move: Move) -> Any:
    return literal_column(f"'{move.target}'")


def job_in(*values: JobState) -> ColumnElement[bool]:
    return among(jobs.c.state, *values)


def below(column: ColumnElement[Any], prefix: str = "item") -> ColumnElement[bool]:
    """Items under a prefix: `/` is the character after `.`, so the range holds every `prefix.…` and nothing else."""
    parameter = type_coerce(B(prefix), Text)
    return and_(column > parameter.concat("."), column < parameter.concat("/"))


AT = and_(jobs.c.execution_id == B("execution_id"), jobs.c.node == B("node"), jobs.c.item == B("item"))
BELOW = and_(jobs.c.execution_id == B("execution_id"), jobs.c.node == B("node"), below(jobs.c.item))
WHERE = {False: AT, True: BELOW}

CLOCK = select(Now())

LOCK = (
    select(
        executions.c.state,
        executions.c.epoch,
        executions.c.total,
        executions.c.done,
        executions.c.failed,
        executions.c.sequence,
        executions.c.template_id,
        executions.c.max_parallel,
        Now(),
    )
    .where(executions.c.id == B("execution_id"))
    .with_for_update()
)

SAVE_EXECUTION = (
    update(executions)
    .where(executions.c.id == B("execution_id"))
    .values(
        state=B("state"),
        epoch=B("epoch"),
        total=B("total"),
        done=B("done"),
        failed=B("failed"),
        sequence=B("sequence"),
        error=func.nullif(func.coalesce(type_coerce(B("error"), Text), executions.c.error), ""),
        started=func.coalesce(executions.c.started, B("started", type_=executions.c.started.type)),
        finished=B("finished", type_=executions.c.finished.type),
    )
)

ADD_EVENTS = insert(events)
ADD_JOBS = insert(jobs).values({name: B(name) for name in ("execution_id", "node", "item", "state", "pending", "live")})
ADD_ATTEMPT = insert(attempts).values({name: B(name) for name in ("job_id", "number", "because", "owner", "started")})
ADD_DECISION = insert(decisions)
ADD_FUNCTION = insert(functions)
ADD_ROW = insert(rows)
ADD_TEMPLATE = insert(templates)
ADD_EXECUTION = insert(executions)


def count_down(is_below: bool) -> Any:
    """Parents are over. A job whose last parent is over becomes ready if any parent was live."""
    last = and_(jobs.c.pending == B("by"), jobs.c.live + B("add") > 0)
    return (
        update(jobs)
        .where(WHERE[is_below], guard(jobs.c.state, JOB_MOVES["unblock"]))
        .values(
            pending=jobs.c.pending - B("by"),
            live=jobs.c.live + B("add"),
            state=case((last, target(JOB_MOVES["unblock"])), else_=jobs.c.state),
        )
    )


def skip_exhausted(is_below: bool) -> Any:
    """Every parent is over and none was live."""
    return _skip(and_(WHERE[is_below], jobs.c.pending == 0, jobs.c.live == 0, job_in(JobState.BLOCKED)))


def skip_cut(is_below: bool) -> Any:
    """A branch not taken, or a failure upstream."""
    return _skip(and_(WHERE[is_below], guard(jobs.c.state, JOB_MOVES["skip"])))


def _skip(condition: ColumnElement[bool]) -> Any:
    return (
        update(jobs)
        .where(condition)
        .values(state=target(JOB_MOVES["skip"]), because=B("reason"), finished=B("now"))
        .returning(jobs.c.node, jobs.c.item)
    )


def doom(is_below: bool) -> Any:
    """A failure upstream, while it is not decided whether the job's branch is taken."""
    return (
        update(jobs)
        .where(WHERE[is_below], job_in(JobState.BLOCKED))
        .values(because=B("reason"))
        .returning(jobs.c.node, jobs.c.item, jobs.c.because)
    )


def doomed(is_below: bool) -> Any:
    """The jobs that wait for their branch to be decided, only to be skipped."""
    return select(jobs.c.node, jobs.c.item, jobs.c.because).where(WHERE[is_below], IS_DOOMED)


IS_DOOMED = and_(job_in(JobState.BLOCKED), jobs.c.because.in_([literal_column(f"'{end}'") for end in FATAL]))
DOOM = {False: doom(False), True: doom(True)}
DOOMED = {False: doomed(False), True: doomed(True)}
COUNT_DOWN = {False: count_down(False), True: count_down(True)}
SKIP_EXHAUSTED = {False: skip_exhausted(False), True: skip_exhausted(True)}
SKIP_CUT = {False: skip_cut(False), True: skip_cut(True)}

TALLY = {
    is_below: select(jobs.c.state, jobs.c.because, jobs.c.branch, func.count())
    .where(where)
    .group_by(jobs.c.state, jobs.c.because, jobs.c.branch)
    for is_below, where in WHERE.items()
}

READY = (
    select(
        jobs.c.id, jobs.c.node, jobs.c.item, jobs.c.attempt, jobs.c.tries, jobs.c.because, jobs.c.output, jobs.c.lost
    )
    .where(jobs.c.execution_id == B("execution_id"), guard(jobs.c.state, JOB_MOVES["claim"]), jobs.c.due <= B("now"))
    .order_by(jobs.c.id)
    .limit(B("limit"))
)

CLAIM = (
    update(jobs)
    .where(jobs.c.id == B("job_id"), guard(jobs.c.state, JOB_MOVES["claim"]))
    .values(
        state=target(JOB_MOVES["claim"]),
        attempt=B("number"),
        tries=jobs.c.tries + 1,
        owner=B("owner"),
        lease=B("lease"),
        started=B("started"),
    )
)

SUSPECT_RUNNING = (
    select(jobs.c.id).where(jobs.c.owner == B("owner"), job_in(JobState.RUNNING), jobs.c.lost > 0).limit(1)
)

COUNT_RUNNING = select(func.count()).where(jobs.c.execution_id == B("execution_id"), job_in(JobState.RUNNING))

END_ATTEMPT = (
    update(attempts)
    .where(attempts.c.job_id == B("job_id"), attempts.c.number == B("number"))
    .values(outcome=B("outcome"), finished=B("now"), error_class=B("error_class"), error=B("error"))
)

ATTEMPT_OUTCOME = select(attempts.c.outcome).where(attempts.c.job_id == B("job_id"), attempts.c.number == B("number"))

COMPLETE = (
    update(jobs)
    .where(jobs.c.id == B("job_id"), guard(jobs.c.state, JOB_MOVES["complete"]))
    .values(
        state=target(JOB_MOVES["complete"]),
        output=B("output"),
        branch=B("branch"),
        cache_key=B("cache_key"),
        cached=B("cached"),
        # A result that was kept after a stop comes without its usage: it is in the row already.
        provider=func.coalesce(type_coerce(B("provider"), Text), jobs.c.provider),
        model=func.coalesce(type_coerce(B("model"), Text), jobs.c.model),
        tokens=func.coalesce(type_coerce(B("tokens"), Integer), jobs.c.tokens),
        cost=func.coalesce(type_coerce(B("cost"), Float), jobs.c.cost),
        finished=B("now"),
    )
)

KEEP_LATE = (
    update(jobs)
    .where(jobs.c.id == B("job_id"), job_in(JobState.STOPPED), jobs.c.output.is_(None))
    .values(
        output=B("output"),
        branch=B("branch"),
        provider=B("provider"),
        model=B("model"),
        tokens=B("tokens"),
        cost=B("cost"),
    )
)

_MINE = and_(jobs.c.id == B("job_id"), jobs.c.owner == B("owner"), jobs.c.attempt == B("number"))

WAIT = (
    update(jobs)
    .where(_MINE, guard(jobs.c.state, JOB_MOVES["wait"]))
    .values(state=target(JOB_MOVES["wait"]), output=B("output"))
)

RETRY = (
    update(jobs)
    .where(_MINE, guard(jobs.c.state, JOB_MOVES["retry"]))
    .values(
        state=target(JOB_MOVES["retry"]),
        due=B("due"),
        because=B("reason"),
        error_class=B("error_class"),
        error=B("error"),
        traceback=B("traceback"),
    )
)

FAIL = (
    update(jobs)
    .where(_MINE, guard(jobs.c.state, JOB_MOVES["fail"]))
    .values(
        state=target(JOB_MOVES["fail"]),
        finished=B("now"),
        error_class=B("error_class"),
        error=B("error"),
        traceback=B("traceback"),
    )
)

DECIDE = (
    update(jobs)
    .where(jobs.c.id == B("job_id"), guard(jobs.c.state, JOB_MOVES["decide"]))
    .values(state=target(JOB_MOVES["decide"]), output=B("output"), because=B("reason"), finished=B("now"))
)

BEAT = update(jobs).where(jobs.c.owner == B("owner"), job_in(JobState.RUNNING)).values(lease=Now() + B("lease_seconds"))

EXPIRED = select(jobs.c.execution_id, jobs.c.id, jobs.c.node, jobs.c.item, jobs.c.attempt, jobs.c.lost).where(
    job_in(JobState.RUNNING), jobs.c.lease < Now()
)

LOSE = (
    update(jobs)
    .where(
        jobs.c.id == B("job_id"),
        jobs.c.attempt == B("number"),
        guard(jobs.c.state, JOB_MOVES["lose"]),
        jobs.c.lease < Now(),
    )
    .values(
        state=target(JOB_MOVES["lose"]),
        lost=jobs.c.lost + 1,
        because=B("reason"),
        tries=jobs.c.tries - 1,
        due=0.0,
    )
)

QUARANTINE = (
    update(jobs)
    .where(
        jobs.c.id == B("job_id"),
        jobs.c.attempt == B("number"),
        guard(jobs.c.state, JOB_MOVES["quarantine"]),
        jobs.c.lease < Now(),
    )
    .values(
        state=target(JOB_MOVES["quarantine"]),
        lost=jobs.c.lost + 1,
        finished=B("now"),
        error_class=B("error_class"),
        error=B("error"),
    )
)

UNCLAIMED = (
    select(jobs.c.execution_id, func.count())
    .join(executions, executions.c.id == jobs.c.execution_id)
    .where(
        guard(jobs.c.state, JOB_MOVES["claim"]),
        jobs.c.due <= Now(),
        among(executions.c.state, ExecutionState.PENDING, ExecutionState.RUNNING),
    )
    .group_by(jobs.c.execution_id)
)

ACTIVE = (
    select(jobs.c.id)
    .join(executions, executions.c.id == jobs.c.execution_id)
    .where(
        job_in(JobState.READY, JobState.RUNNING),
        among(executions.c.state, ExecutionState.PENDING, ExecutionState.RUNNING),
    )
    .limit(1)
)

STOP_JOBS = (
    update(jobs)
    .where(jobs.c.execution_id == B("execution_id"), guard(jobs.c.state, JOB_MOVES["stop"]))
    .values(
        state=target(JOB_MOVES["stop"]),
        finished=B("now"),
        # What a review shows is no result; only a result may be found here when the run is resumed.
        output=case((job_in(JobState.WAITING), null()), else_=jobs.c.output),
    )
)

REOPENABLE = or_(guard(jobs.c.state, JOB_MOVES["reopen"]), IS_DOOMED)
REOPENED = select(jobs.c.id, jobs.c.node, jobs.c.item, jobs.c.state, jobs.c.because).where(
    jobs.c.execution_id == B("execution_id"), REOPENABLE
)

REOPEN = (
    update(jobs)
    .where(jobs.c.id == B("job_id"), REOPENABLE)
    .values(
        state=target(JOB_MOVES["reopen"]),
        because="reopened",
        pending=0,
        live=0,
        tries=0,
        lost=0,
        due=0.0,
        error=None,
        error_class=None,
        traceback=None,
        finished=None,
    )
)

SET_WAITING_FOR = (
    update(jobs)
    .where(jobs.c.id == B("job_id"), job_in(JobState.BLOCKED))
    .values(state=B("state"), pending=B("pending"), live=B("live"))
)

OUTPUT = select(jobs.c.state, jobs.c.output).where(AT)
OUTPUTS_BELOW = select(jobs.c.item, jobs.c.state, jobs.c.output).where(BELOW)

ROW = select(rows.c["values"]).where(rows.c.execution_id == B("execution_id"), rows.c.position == B("position"))

PLAN = select(templates.c.plan).where(templates.c.id == B("template_id"))

FUNCTION = select(
    functions.c.digest, functions.c.name, functions.c.python, functions.c.blob, functions.c.signature
).where(functions.c.execution_id == B("execution_id"), functions.c.digest == B("digest"))

CACHED = (
    select(jobs.c.output, jobs.c.branch, jobs.c.provider, jobs.c.model)
    .where(jobs.c.cache_key == B("cache_key"), job_in(JobState.COMPLETED), jobs.c.cache_key.is_not(None))
    .order_by(jobs.c.id.desc())
    .limit(1)
)

STATE = select(executions.c.state, executions.c.epoch).where(executions.c.id == B("execution_id"))
