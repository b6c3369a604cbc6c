"""Turns a Plan and its rows into an Execution: one transaction writes the template, the rows, every job that exists from the
start, and the first event. It neither runs anything nor notifies workers.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import and_, func, select

from xtyl_engine import DEFAULT_PROJECT
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.database.tables import executions
from xtyl_engine.errors import KeyReused, LimitExceeded
from xtyl_engine.events import Event, EventKind
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.limits import MAX_ROWS
from xtyl_engine.scheduler.locked_execution import event_row
from xtyl_engine.scheduler.rules import count_initial_jobs, initial_jobs
from xtyl_engine.scheduler.templates import keep_version
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.values.functions import PackedFunction, check_size
from xtyl_engine.values.plain import mend
from xtyl_engine.workflow.plan import Plan

MAX_JOBS = 1_000_000
_SAME_KEY = select(executions.c.id, executions.c.submission_digest).where(
    and_(executions.c.project == sql.B("project"), executions.c.submission_key == sql.B("key"))
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
    later one asks for the same. `by` names the person, if known."""

    id: str
    plan: Plan
    rows: Sequence[Row]
    shape: Mapping[str, Any] = field(default_factory=dict)
    functions: Sequence[PackedFunction] = ()
    max_parallel: int | None = None
    project: str = DEFAULT_PROJECT
    key: str | None = None
    digest: str | None = None
    by: str = ""


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
    done = database.transact(lambda transaction: _write_once(transaction, submission, jobs))
    failpoint(Point.SUBMIT_COMMITTED)
    return done


def _write_once(transaction: Transaction, submission: Submission, jobs: int) -> Submitted:
    if transaction.row(sql.STATE, {"execution_id": submission.id}) is not None:
        # It was committed before, and the answer was lost.
        return Submitted(id=submission.id)
    if submission.key is not None and (earlier := _earlier(transaction, submission)) is not None:
        return Submitted(id=earlier)
    return Submitted(id=submission.id, events=_write(transaction, submission, jobs))


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


def _write(transaction: Transaction, submission: Submission, jobs: int) -> tuple[Event, ...]:
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
            "error": None,
            "created": now,
            "started": None,
            "finished": None if jobs else now,
            "project": submission.project,
            "submission_key": submission.key,
            "submission_digest": submission.digest,
        },
    )
    transaction.many(sql.ADD_ROW, list(_row_parameters(submission)))
    transaction.many(sql.ADD_JOBS, list(_job_parameters(submission)))
    functions = [asdict(f) | {"execution_id": submission.id, "name": mend(f.name)} for f in submission.functions]
    transaction.many(sql.ADD_FUNCTION, functions)
    transaction.run(sql.ADD_EVENTS, event_row(event))
    return (event,)


def _row_parameters(submission: Submission) -> Iterator[dict[str, Any]]:
    for position, row in enumerate(submission.rows):
        yield {
            "execution_id": submission.id,
            "position": position,
            "label": json.dumps(row.label),
            "values": json.dumps(dict(row.values), separators=(",", ":")),
        }


def _job_parameters(submission: Submission) -> Iterator[dict[str, Any]]:
    ready, blocked = str(JobState.READY), str(JobState.BLOCKED)
    for seed in initial_jobs(submission.plan, len(submission.rows)):
        yield {
            "execution_id": submission.id,
            "node": seed.node,
            "item": seed.item,
            "state": blocked if seed.pending else ready,
            "pending": seed.pending,
            "live": 0,
        }
