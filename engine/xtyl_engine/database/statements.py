"""The statements that read and insert, shared by several rooms, and how guards are written. The statements that change a
job's state are in `scheduler.transitions`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Text, and_, bindparam, func, insert, literal_column, select, text, type_coerce, update
from sqlalchemy.sql.elements import ColumnElement

from xtyl_engine.database.connection import Now
from xtyl_engine.database.tables import attempts, decisions, events, executions, functions, jobs, rows, templates
from xtyl_engine.states import FATAL, JOB_TRANSITIONS, ExecutionState, JobState, Transition

B = bindparam


def among(column: ColumnElement[Any], *values: str) -> ColumnElement[bool]:
    """The column holds one of these states, written as literals: partial indexes match only literals."""
    literals: list[Any] = [literal_column(f"'{value}'") for value in values]
    return column == literals[0] if len(literals) == 1 else column.in_(literals)


def guard(column: ColumnElement[Any], transition: Transition) -> ColumnElement[bool]:
    """The row stands where the transition may start."""
    return among(column, *transition.sources)


def target(transition: Transition) -> Any:
    return literal_column(f"'{transition.target}'")


def job_in(*values: JobState) -> ColumnElement[bool]:
    return among(jobs.c.state, *values)


def below(column: ColumnElement[Any], prefix: str = "item") -> ColumnElement[bool]:
    """Items under a prefix: `/` is the character after `.`, so the range holds every `prefix.…` and nothing else."""
    parameter = type_coerce(B(prefix), Text)
    return and_(column > parameter.concat("."), column < parameter.concat("/"))


OF_EXECUTION = jobs.c.execution_id == B("execution_id")
OF_NODE = and_(OF_EXECUTION, jobs.c.node == B("node"))
AT = and_(OF_NODE, jobs.c.item == B("item"))
BELOW = and_(OF_NODE, below(jobs.c.item))
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
ADD_EXECUTION = insert(executions)
ADD_RATE_LIMIT = text("INSERT INTO rate_limits (key) VALUES (:key) ON CONFLICT (key) DO NOTHING")


def doomed(is_below: bool) -> Any:
    """Blocked jobs that are skipped once their branch is decided: an upstream job failed or was rejected."""
    return select(jobs.c.node, jobs.c.item, jobs.c.because).where(WHERE[is_below], IS_DOOMED)


IS_DOOMED = and_(job_in(JobState.BLOCKED), jobs.c.because.in_([literal_column(f"'{end}'") for end in FATAL]))
DOOMED = {False: doomed(False), True: doomed(True)}

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
    .where(OF_EXECUTION, guard(jobs.c.state, JOB_TRANSITIONS["claim"]), jobs.c.due <= B("now"))
    .order_by(jobs.c.id)
    .limit(B("limit"))
)

SUSPECT_LOST = 2
SUSPECT_RUNNING = (
    select(jobs.c.id).where(jobs.c.owner == B("owner"), job_in(JobState.RUNNING), jobs.c.lost >= SUSPECT_LOST).limit(1)
)

COUNT_RUNNING = select(func.count()).where(OF_EXECUTION, job_in(JobState.RUNNING))

END_ATTEMPT = (
    update(attempts)
    .where(attempts.c.job_id == B("job_id"), attempts.c.number == B("number"))
    .values(outcome=B("outcome"), finished=B("now"), error_class=B("error_class"), error=B("error"))
)

ATTEMPT_OUTCOME = select(attempts.c.outcome).where(attempts.c.job_id == B("job_id"), attempts.c.number == B("number"))

# On PostgreSQL: an index scan marks dead entries, and the next one passes them by. A bitmap scan reads them all again, in
# every process and each second, until the table is vacuumed; a larger table has more of them.
PLAIN_SCAN = text("SET LOCAL enable_bitmapscan = off")

EXPIRED = select(jobs.c.execution_id, jobs.c.id, jobs.c.node, jobs.c.item, jobs.c.attempt, jobs.c.lost).where(
    job_in(JobState.RUNNING), jobs.c.lease < Now()
)

_IS_UNCLAIMED = and_(guard(jobs.c.state, JOB_TRANSITIONS["claim"]), jobs.c.due <= Now())
_IS_OPEN = among(executions.c.state, ExecutionState.PENDING, ExecutionState.RUNNING)

# At most `limit` of each execution: the asking worker has that many free slots, and a hundred thousand jobs may be ready.
UNCLAIMED = select(
    executions.c.id,
    select(func.count())
    .select_from(
        select(literal_column("1"))
        .select_from(jobs)
        .where(jobs.c.execution_id == executions.c.id, _IS_UNCLAIMED)
        .limit(B("limit"))
        .correlate(executions)
        .subquery()
    )
    .scalar_subquery(),
).where(_IS_OPEN)

UNCLAIMED_NODES = (
    select(jobs.c.execution_id, func.count(), executions.c.template_id, jobs.c.node)
    .join(executions, executions.c.id == jobs.c.execution_id)
    .where(_IS_UNCLAIMED, _IS_OPEN)
    .group_by(jobs.c.execution_id, executions.c.template_id, jobs.c.node)
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

JOB_ID = select(jobs.c.id).where(AT)
OUTPUT = select(jobs.c.state, jobs.c.output).where(AT)
OUTPUTS_BELOW = select(jobs.c.item, jobs.c.state, jobs.c.output).where(BELOW)

_OF_ROW = and_(rows.c.execution_id == B("execution_id"), rows.c.position == B("position"))
ROW = select(rows.c["values"]).where(_OF_ROW)
LABELLED_ROW = select(rows.c.label, rows.c["values"]).where(_OF_ROW)

PLAN = select(templates.c.plan).where(templates.c.id == B("template_id"))

FUNCTION = select(
    functions.c.digest, functions.c.name, functions.c.python, functions.c.blob, functions.c.signature
).where(functions.c.execution_id == B("execution_id"), functions.c.digest == B("digest"))

_ITS_PROJECT = select(executions.c.project).where(executions.c.id == jobs.c.execution_id).scalar_subquery()


def cached(project: ColumnElement[str]) -> Any:
    """The latest result by its key. The project of each result found is compared: projects share no results."""
    return (
        select(jobs.c.output, jobs.c.branch, jobs.c.provider, jobs.c.model)
        .where(
            jobs.c.cache_key == B("cache_key"),
            job_in(JobState.COMPLETED),
            jobs.c.cache_key.is_not(None),
            project == _ITS_PROJECT,
        )
        .order_by(jobs.c.id.desc())
        .limit(1)
    )


_ASKING = executions.alias("asking")
CACHED = cached(select(_ASKING.c.project).where(_ASKING.c.id == B("execution_id")).scalar_subquery())
CACHED_IN = cached(B("project"))

# By state, for few jobs run at a time: a scan of all jobs of an execution takes longer the more it has.
LAST_START = {
    state: select(func.max(jobs.c.started)).where(OF_EXECUTION, job_in(state))
    for state in (JobState.RUNNING, JobState.STOPPED)
}

IS_RECORDED = select(events.c.time, events.c.kind, events.c.node, events.c.item).where(
    events.c.execution_id == B("execution_id"), events.c.sequence == B("sequence")
)

STATE = select(executions.c.state, executions.c.epoch).where(executions.c.id == B("execution_id"))
