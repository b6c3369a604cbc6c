"""Every change of a job's state: one UPDATE each, whose guard names the states it may leave, taken from the table of moves.
The caller reads from the row count whether it won.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, Integer, Text, and_, case, func, null, or_, select, type_coerce, update
from sqlalchemy.sql.elements import ColumnElement

from xtyl_engine.database import Now
from xtyl_engine.statements import IS_DOOMED, OF_EXECUTION, WHERE, B, guard, job_in, target
from xtyl_engine.states import JOB_MOVES, JobState
from xtyl_engine.tables import jobs


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


DOOM = {False: doom(False), True: doom(True)}

COUNT_DOWN = {False: count_down(False), True: count_down(True)}

SKIP_EXHAUSTED = {False: skip_exhausted(False), True: skip_exhausted(True)}

SKIP_CUT = {False: skip_cut(False), True: skip_cut(True)}

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
        tries=B("tries"),
        error_class=B("error_class"),
        error=B("error"),
        traceback=B("traceback"),
    )
)

RELEASE = (
    update(jobs)
    .where(_MINE, guard(jobs.c.state, JOB_MOVES["release"]))
    .values(state=target(JOB_MOVES["release"]), due=B("due"), because=B("reason"), tries=jobs.c.tries - 1)
)

RENEW = update(jobs).where(_MINE, job_in(JobState.RUNNING)).values(started=B("now"))

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

BEAT = update(jobs).where(_MINE, job_in(JobState.RUNNING)).values(lease=Now() + B("lease_seconds"))

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

STOP_JOBS = (
    update(jobs)
    .where(OF_EXECUTION, guard(jobs.c.state, JOB_MOVES["stop"]))
    .values(
        state=target(JOB_MOVES["stop"]),
        finished=B("now"),
        # What a review shows is no result; only a result may be found here when the run is resumed.
        output=case((job_in(JobState.WAITING), null()), else_=jobs.c.output),
    )
)

REOPENABLE = or_(guard(jobs.c.state, JOB_MOVES["reopen"]), IS_DOOMED)

REOPENED = select(jobs.c.id, jobs.c.node, jobs.c.item, jobs.c.state, jobs.c.because).where(OF_EXECUTION, REOPENABLE)

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

ANOTHER = (
    update(jobs)
    .where(jobs.c.id == B("job_id"), guard(jobs.c.state, JOB_MOVES["another"]))
    .values(state=target(JOB_MOVES["another"]), because="another", output=null(), pending=0, live=0, tries=0)
)

SET_WAITING_FOR = (
    update(jobs)
    .where(jobs.c.id == B("job_id"), job_in(JobState.BLOCKED))
    .values(state=B("state"), pending=B("pending"), live=B("live"))
)
