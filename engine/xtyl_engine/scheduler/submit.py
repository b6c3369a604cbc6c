"""Turns a Plan and its rows into an Execution: the template, the rows, every job that exists from the start, and the first event.
It appears whole, or not at all. It neither runs anything nor notifies workers.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import and_, func, select

from xtyl_engine import DEFAULT_PROJECT
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.database.retention.executions import remove_unseen
from xtyl_engine.database.steps import Pace, unseen_rows
from xtyl_engine.database.tables import executions
from xtyl_engine.database.tables import jobs as all_jobs
from xtyl_engine.database.tables import rows as all_rows
from xtyl_engine.errors import BackendError, KeyReused, LimitExceeded
from xtyl_engine.events import Event, EventKind
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.functions.packed_function import PackedFunction, check_size
from xtyl_engine.limits import MAX_ROWS
from xtyl_engine.scheduler.beginning import Batch, Beginning
from xtyl_engine.scheduler.locked_execution import event_row
from xtyl_engine.scheduler.node_changes import add_nodes
from xtyl_engine.scheduler.rules import count_initial_jobs, initial_counts
from xtyl_engine.scheduler.templates import keep_version
from xtyl_engine.states import ExecutionState
from xtyl_engine.values.plain import mend
from xtyl_engine.workflow.plan import Plan

MAX_JOBS = 1_000_000
# Rows and jobs that SQLite writes in less than a tenth of a second.
AT_ONCE = 10_000
_SAME_KEY = select(executions.c.id, executions.c.submission_digest).where(
    and_(executions.c.project == sql.B("project"), executions.c.submission_key == sql.B("key"))
)
_WRITTEN = select(
    *(
        select(func.count()).where(table.c.execution_id == sql.B("execution_id")).scalar_subquery()
        for table in (all_rows, all_jobs)
    )
)
_LOCK_KEY = select(func.pg_advisory_xact_lock(func.hashtextextended(sql.B("key"), 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the inputs: its label in the frame's index, and its values, plain."""

    label: Any
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The request for an execution. `shape` describes the frame (index names, dtypes), so that the results can become one;
    `functions` are signed for `id`. Of submissions with the same `key` in a project the first counts; `digest` tells whether a
    later one asks for the same. `budget` is in whole 1e-9 dollars. `by` names the person, if known; `surroundings` are its
    kernel's, signed for `id`."""

    id: str
    plan: Plan
    rows: Sequence[Row]
    shape: Mapping[str, Any] = field(default_factory=dict)
    functions: Sequence[PackedFunction] = ()
    max_parallel: int | None = None
    budget: int | None = None
    project: str = DEFAULT_PROJECT
    key: str | None = None
    digest: str | None = None
    by: str = ""
    surroundings: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The execution that a submission made, or that an earlier one with the same key made; then there are no events."""

    id: str
    events: tuple[Event, ...] = ()


def new_execution_id(name: str) -> str:
    """A readable id that sorts by time and cannot be guessed: `summer-launch-mgy3k2-7f3a9c21`."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    seconds, stamp = int(time.time()), ""
    while seconds:
        seconds, digit = divmod(seconds, 36)
        stamp = digits[digit] + stamp
    slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-")[:40]
    return f"{slug or 'run'}-{stamp}-{secrets.token_hex(4)}"


def submit(database: Database, submission: Submission) -> Submitted:
    """Write the execution; returns its id and the events to publish. Raises LimitExceeded before anything is written, and
    KeyReused."""
    plan, count = submission.plan, len(submission.rows)
    if count > MAX_ROWS:
        raise LimitExceeded(f"{count:,} rows; at most {MAX_ROWS:,}", hint="Run the table in parts.")
    jobs = count_initial_jobs(plan, count)
    if jobs > MAX_JOBS:
        raise LimitExceeded(
            f"{jobs:,} jobs; at most {MAX_JOBS:,} in one run", hint="Run the table in parts, or lower `n`."
        )
    for function in submission.functions:
        check_size(mend(function.name), function.blob)
    beginning = Beginning(submission)
    # PostgreSQL has no single writer, and its foreign keys want the execution first.
    batch = beginning.take(AT_ONCE if database.is_sqlite else None)
    if batch.is_last:
        done = database.transact(lambda transaction: _write_once(transaction, submission, jobs, batch))
    else:
        done = _submit_in_steps(database, submission, jobs, beginning, batch)
    failpoint(Point.SUBMIT_COMMITTED)
    return done


def _submit_in_steps(
    database: Database, submission: Submission, jobs: int, beginning: Beginning, batch: Batch
) -> Submitted:
    """Write the execution last: rows and jobs without one are not seen. What is not seen in the end is removed, here or, if the
    process dies, by retention."""
    with database.read() as transaction:
        if (known := _known(transaction, submission)) is not None:
            return known

    def last(transaction: Transaction) -> Submitted:
        done = _write_once(transaction, submission, jobs, batch)
        if done.events:
            _check_whole(transaction, submission, jobs)
        return done

    pace = Pace(database, AT_ONCE)
    with unseen_rows(database):
        try:
            while not batch.is_last:
                pace.step(batch.write)
                failpoint(Point.SUBMIT_STEPPED)
                batch = beginning.take(pace.count)
            return pace.step(last)
        finally:
            remove_unseen(database, submission.id)


def _known(transaction: Transaction, submission: Submission) -> Submitted | None:
    """The execution, if it was written before: by a commit whose answer was lost, or by a submission with the same key."""
    if transaction.row(sql.STATE, {"execution_id": submission.id}) is not None:
        return Submitted(id=submission.id)
    earlier = None if submission.key is None else _earlier(transaction, submission)
    return None if earlier is None else Submitted(id=earlier)


def _write_once(transaction: Transaction, submission: Submission, jobs: int, batch: Batch) -> Submitted:
    known = _known(transaction, submission)
    return known or Submitted(id=submission.id, events=_write(transaction, submission, jobs, batch))


def _earlier(transaction: Transaction, submission: Submission) -> str | None:
    """The id of an execution submitted with the same key before. Raises KeyReused if that was another submission."""
    if not transaction.is_sqlite:
        # Of two at the same moment, one waits here for the other; SQLite allows only one writer anyway.
        transaction.row(_LOCK_KEY, {"key": f"{submission.project}/{submission.key}"})
    found = transaction.row(_SAME_KEY, {"project": submission.project, "key": submission.key})
    if found is None:
        return None
    if found[1] != submission.digest:
        raise KeyReused(
            f"the key {submission.key!r} was used for another submission, which became {found[0]}",
            hint="Use a new key for each different submission, a random one for example.",
        )
    return str(found[0])


def _write(transaction: Transaction, submission: Submission, jobs: int, batch: Batch) -> tuple[Event, ...]:
    found = transaction.row(sql.CLOCK)
    now = float(found[0]) if found else time.time()
    state = ExecutionState.PENDING if jobs else ExecutionState.COMPLETED
    event = Event(
        execution_id=submission.id,
        sequence=1,
        time=now,
        kind=EventKind.SUBMITTED if jobs else EventKind.COMPLETED,
        data={"jobs": jobs, "rows": len(submission.rows), **({"by": submission.by} if submission.by else {})},
    )
    keep_version(transaction, submission.plan, submission.project, now)
    transaction.run(
        sql.ADD_EXECUTION,
        {
            "id": submission.id,
            "template_id": submission.plan.digest,
            "name": submission.plan.name,
            "state": str(state),
            "epoch": 0,
            "shape": json.dumps(submission.shape),
            "rows": len(submission.rows),
            "total": jobs,
            "done": 0,
            "failed": 0,
            "sequence": 1,
            "max_parallel": submission.max_parallel,
            "budget": submission.budget,
            "spent": 0,
            "held": 0,
            "is_short": 0,
            "error": None,
            "created": now,
            "started": None,
            "finished": None if jobs else now,
            "project": submission.project,
            "submission_key": submission.key,
            "submission_digest": submission.digest,
            "counted": 1,
            "unfinished": None,
            "surroundings": submission.surroundings,
        },
    )
    add_nodes(transaction, submission.id, initial_counts(submission.plan, len(submission.rows)))
    batch.write(transaction)
    functions = [asdict(f) | {"execution_id": submission.id, "name": mend(f.name)} for f in submission.functions]
    transaction.many(sql.ADD_FUNCTION, functions)
    transaction.run(sql.ADD_EVENTS, event_row(event))
    return (event,)


def _check_whole(transaction: Transaction, submission: Submission, jobs: int) -> None:
    """Raise BackendError if rows or jobs that were written in earlier steps are gone: an execution is whole or absent."""
    found = transaction.row(_WRITTEN, {"execution_id": submission.id})
    if found != (len(submission.rows), jobs):
        raise BackendError(
            f"rows of {submission.id} were removed while it was written, by the retention of an older release",
            hint="Submit it again.",
        )
