"""The statements that read and insert, shared by several rooms, and how guards are written. The statements that change a
job's state are in `scheduler.transitions`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal_column,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from xtyl_engine.database.connection import Now
from xtyl_engine.database.tables import (
    attempt_answers,
    attempts,
    decisions,
    events,
    executions,
    functions,
    jobs,
    rows,
    templates,
)
from xtyl_engine.states import FATAL, JOB_TRANSITIONS, ExecutionState, JobState, Transition

B = bindparam
_E, _J = executions.c, jobs.c


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
    return among(_J.state, *values)


def below(column: ColumnElement[Any], prefix: str = "item") -> ColumnElement[bool]:
    """Items under a prefix: `/` is the character after `.`, so the range holds every `prefix.…` and nothing else."""
    parameter = type_coerce(B(prefix), Text)
    return and_(column > parameter.concat("."), column < parameter.concat("/"))


OF_EXECUTION = _J.execution_id == B("execution_id")
# For statements that find jobs by a range of ids or by a partial index: SQLite would rather read all jobs of the execution.
AND_OF_EXECUTION = _J.execution_id.concat(literal_column("''")) == B("execution_id")
OF_NODE = and_(OF_EXECUTION, _J.node == B("node"))
AT = and_(OF_NODE, _J.item == B("item"))
BELOW = and_(OF_NODE, below(_J.item))
WHERE = {False: AT, True: BELOW}

CLOCK = select(Now())

LOCK = (
    select(
        _E.state,
        _E.epoch,
        _E.total,
        _E.done,
        _E.failed,
        _E.sequence,
        _E.counted,
        _E.template_id,
        _E.max_parallel,
        _E.unfinished,
        _E.budget,
        _E.spent,
        _E.held,
        _E.is_short,
        Now(),
    )
    .where(_E.id == B("execution_id"))
    .with_for_update()
)

SAVE_EXECUTION = (
    update(executions)
    .where(_E.id == B("execution_id"))
    .values(
        **{name: B(name) for name in ("epoch", "total", "done", "failed", "sequence", "counted", "unfinished")},
        error=func.nullif(func.coalesce(type_coerce(B("error"), Text), _E.error), ""),
        started=func.coalesce(_E.started, B("started", type_=_E.started.type)),
        finished=B("finished", type_=_E.finished.type),
    )
)
# Apart, because SQLite writes the index of states anew for each state that it is given, even the same one.
SAVE_STATE = SAVE_EXECUTION.values(state=B("state"))

ADD_EVENTS = insert(events)
ADD_JOBS = insert(jobs).values({name: B(name) for name in ("execution_id", "node", "item", "state", "pending", "live")})
ADD_ATTEMPT = insert(attempts).values({name: B(name) for name in ("job_id", "number", "because", "owner", "started")})
ADD_DECISION = insert(decisions)
ADD_FUNCTION = insert(functions)
ADD_ROW = insert(rows)
ADD_EXECUTION = insert(executions)
# Of an attempt that is gone, its run with it, nothing is kept.
KEEP_PRINTS = text("""
    INSERT INTO attempt_logs (job_id, number, text, done, "of", written)
    SELECT job_id, number, :text, CAST(:done AS FLOAT), CAST(:of AS FLOAT), CAST(:now AS FLOAT)
    FROM job_attempts WHERE job_id = :job_id AND number = :number
    ON CONFLICT (job_id, number) DO UPDATE
    SET text = excluded.text, done = excluded.done, "of" = excluded."of", written = excluded.written
""")
KEEP_MISFIT = text("""
    INSERT INTO attempt_answers (job_id, number, answer, reason)
    SELECT job_id, number, :answer, :reason FROM job_attempts WHERE job_id = :job_id AND number = :number
    ON CONFLICT (job_id, number) DO NOTHING
""")
ADD_RATE_LIMIT = text("INSERT INTO rate_limits (key) VALUES (:key) ON CONFLICT (key) DO NOTHING")


IS_DOOMED = and_(job_in(JobState.BLOCKED), _J.because.in_([literal_column(f"'{end}'") for end in FATAL]))
# Blocked jobs that are skipped once their branch is decided: an upstream job failed or was rejected.
DOOMED = {is_below: select(_J.node, _J.item, _J.because).where(where, IS_DOOMED) for is_below, where in WHERE.items()}

TALLY = {
    is_below: select(_J.state, _J.because, _J.branch, func.count())
    .where(where)
    .group_by(_J.state, _J.because, _J.branch)
    for is_below, where in WHERE.items()
}

READY = (
    select(_J.id, _J.node, _J.item, _J.attempt, _J.tries, _J.because, _J.waited, _J.output, _J.lost)
    .where(OF_EXECUTION, guard(_J.state, JOB_TRANSITIONS["claim"]), _J.due <= B("now"))
    .order_by(_J.id)
    .limit(B("limit"))
)

# Jobs that a process has claimed and not given back, and those of them that are suspects.
SUSPECT_LOST = 2
HELD = select(_J.id).where(_J.owner == B("owner"), job_in(JobState.RUNNING)).limit(1)
SUSPECT_HELD = HELD.where(_J.lost >= SUSPECT_LOST)

COUNT_RUNNING = select(func.count()).where(OF_EXECUTION, job_in(JobState.RUNNING))

END_ATTEMPT = (
    update(attempts)
    .where(attempts.c.job_id == B("job_id"), attempts.c.number == B("number"))
    .values(outcome=B("outcome"), finished=B("now"), error_class=B("error_class"), error=B("error"))
)

CLOSE_ATTEMPT = END_ATTEMPT.where(attempts.c.outcome.is_(None))

ATTEMPT_REASON = select(attempts.c.because).where(attempts.c.job_id == B("job_id"), attempts.c.number == B("number"))
ATTEMPT_OUTCOME = select(attempts.c.outcome).where(attempts.c.job_id == B("job_id"), attempts.c.number == B("number"))

# How many attempts ended with this error since the job was last begun anew.
_ANEW = select(func.max(attempts.c.number)).where(
    attempts.c.job_id == B("job_id"),
    attempts.c.because.in_([literal_column("'reopened'"), literal_column("'another'")]),
)
ENDED_WITH = select(func.count()).where(
    attempts.c.job_id == B("job_id"),
    attempts.c.error == B("error"),
    attempts.c.number >= func.coalesce(_ANEW.scalar_subquery(), 0),
)

MISFITS = (
    select(attempt_answers.c.answer, attempt_answers.c.reason)
    .where(
        attempt_answers.c.job_id == B("job_id"),
        attempt_answers.c.number >= func.coalesce(_ANEW.scalar_subquery(), 0),
    )
    .order_by(attempt_answers.c.number)
)

# On PostgreSQL: an index scan marks dead entries, and the next one passes them by. A bitmap scan reads them all again, in
# every process and each second, until the table is vacuumed; a larger table has more of them.
PLAIN_SCAN = text("SET LOCAL enable_bitmapscan = off")

# The owners of running jobs: how many each has, its newest lease, and whether one of its leases has run out.
OWNERS = (
    select(_J.owner, func.count(), func.max(_J.lease), func.min(_J.lease) < Now())
    .where(job_in(JobState.RUNNING))
    .group_by(_J.owner)
)
RUNNING_OF = select(_J.execution_id, _J.id, _J.node, _J.item, _J.attempt, _J.lost, _J.lease, _J.lease < Now()).where(
    job_in(JobState.RUNNING), _J.owner == B("owner")
)

_IS_UNCLAIMED = and_(guard(_J.state, JOB_TRANSITIONS["claim"]), _J.due <= Now())
_IS_OPEN = among(_E.state, ExecutionState.PENDING, ExecutionState.RUNNING)

# At most `limit` of each execution: the asking worker has that many free slots, and a hundred thousand jobs may be ready.
UNCLAIMED = select(
    _E.id,
    select(func.count())
    .select_from(
        select(literal_column("1"))
        .select_from(jobs)
        .where(_J.execution_id == _E.id, _IS_UNCLAIMED)
        .limit(B("limit"))
        .correlate(executions)
        .subquery()
    )
    .scalar_subquery(),
).where(_IS_OPEN)

ACTIVE = (
    select(_J.id)
    .join(executions, _E.id == _J.execution_id)
    .where(job_in(JobState.READY, JobState.RUNNING), _IS_OPEN)
    .limit(1)
)

BRANCH = select(_J.branch).where(_J.id == B("job_id"))

JOB_ID = select(_J.id).where(AT)
OUTPUT = select(_J.state, _J.output).where(AT)
OUTPUTS_BELOW = select(_J.item, _J.state, _J.output).where(BELOW)

_OF_ROW = and_(rows.c.execution_id == B("execution_id"), rows.c.position == B("position"))
ROW = select(rows.c["values"]).where(_OF_ROW)
LABELLED_ROW = select(rows.c.label, rows.c["values"]).where(_OF_ROW)

PLAN = select(templates.c.plan).where(templates.c.id == B("template_id"))

FUNCTIONS = select(
    functions.c.digest, functions.c.name, functions.c.python, functions.c.blob, functions.c.signature
).where(functions.c.execution_id == B("execution_id"))
FUNCTION = FUNCTIONS.where(functions.c.digest == B("digest"))

_ITS_PROJECT = select(_E.project).where(_E.id == _J.execution_id).scalar_subquery()


# What a job cost, in whole 1e-9 dollars: null where that is unknown. Earlier releases kept dollars alone.
SPENT = func.coalesce(_J.spent, cast(func.round(_J.cost * 1e9), BigInteger))
# What a job's result saves whom it serves again: what it cost itself, or what it had saved.
SAVED = case((_J.cached != 0, _J.saved), (func.coalesce(_J.unpriced, 0) == 0, SPENT))
# How many attempts at a job cost something unknown.
UNPRICED = func.coalesce(
    _J.unpriced, case((and_(_J.provider != "", _J.cost.is_(None), _J.spent.is_(None)), 1), else_=0)
)


def cached(project: ColumnElement[str]) -> Any:
    """The latest result by its key, in whatever state its job is: a late result that was kept is paid for too. The project of
    each result found is compared: projects share no results."""
    return (
        select(_J.output, _J.branch, _J.provider, _J.model, SAVED)
        .where(
            _J.cache_key == B("cache_key"),
            _J.cache_key.is_not(None),
            project == _ITS_PROJECT,
        )
        .order_by(_J.id.desc())
        .limit(1)
    )


_ASKING = executions.alias("asking")
CACHED = cached(select(_ASKING.c.project).where(_ASKING.c.id == B("execution_id")).scalar_subquery())
CACHED_IN = cached(B("project"))

# By state, for few jobs run at a time: a scan of all jobs of an execution takes longer the more it has.
LAST_START = {
    state: select(func.max(_J.started)).where(OF_EXECUTION, job_in(state))
    for state in (JobState.RUNNING, JobState.STOPPED)
}

IS_RECORDED = select(events.c.time, events.c.kind, events.c.node, events.c.item).where(
    events.c.execution_id == B("execution_id"), events.c.sequence == B("sequence")
)

SURROUNDINGS = select(_E.surroundings).where(_E.id == B("execution_id"))

STATE = select(_E.state, _E.epoch).where(_E.id == B("execution_id"))
