"""From a Plan and its rows to an Execution: one transaction writes the template, the rows, every job that exists
from the start, and the first event. Nothing runs before it is committed.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, text

from xtyl_engine import statements as sql
from xtyl_engine.database import Database, Transaction
from xtyl_engine.errors import LimitExceeded
from xtyl_engine.events import Event, EventKind
from xtyl_engine.functions import PackedFunction
from xtyl_engine.ledger import event_row
from xtyl_engine.limits import MAX_ROWS
from xtyl_engine.plan import Plan
from xtyl_engine.points import Point, reach
from xtyl_engine.schedule import count_initial_jobs, initial_jobs
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.tables import templates

MAX_JOBS = 1_000_000
_ADD_TEMPLATE = text(
    "INSERT INTO workflow_templates (id, name, version, plan, created) VALUES (:id, :name, :version, :plan, :created) "
    "ON CONFLICT (id) DO NOTHING"
)
_VERSION = select(func.count()).where(templates.c.name == sql.B("name"))
_KNOWN = select(templates.c.id).where(templates.c.id == sql.B("template_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the inputs: its label in the frame's index, and its values, plain."""

    label: Any
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What is asked for. `shape` describes the frame (index names, dtypes), for whoever builds one from the results;
    `functions` come signed for `id`."""

    id: str
    plan: Plan
    rows: Sequence[Row]
    shape: Mapping[str, Any] = field(default_factory=dict)
    functions: Sequence[PackedFunction] = ()
    max_parallel: int | None = None


def new_execution_id(name: str) -> str:
    """A readable id that sorts by time and cannot be guessed: `summer-launch-mgy3k2-7f3a9c21`."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    seconds, stamp = int(time.time()), ""
    while seconds:
        seconds, digit = divmod(seconds, 36)
        stamp = digits[digit] + stamp
    slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-")[:40]
    return f"{slug or 'run'}-{stamp}-{secrets.token_hex(4)}"


def submit(database: Database, submission: Submission) -> tuple[Event, ...]:
    """Write the execution; the events to publish. Raises LimitExceeded before anything is written."""
    plan, count = submission.plan, len(submission.rows)
    if count > MAX_ROWS:
        raise LimitExceeded(f"{count:,} rows; at most {MAX_ROWS:,}", hint="Run the table in parts.")
    jobs = count_initial_jobs(plan, count)
    if jobs > MAX_JOBS:
        raise LimitExceeded(
            f"{jobs:,} jobs; at most {MAX_JOBS:,} in one run", hint="Run the table in parts, or lower `n`."
        )
    events = database.transact(lambda transaction: _write(transaction, submission, jobs))
    reach(Point.SUBMIT_COMMITTED)
    return events


def _write(transaction: Transaction, submission: Submission, jobs: int) -> tuple[Event, ...]:
    if transaction.row(sql.STATE, {"execution_id": submission.id}) is not None:
        # It was committed, and the answer was lost.
        return ()
    found = transaction.row(sql.CLOCK)
    now = float(found[0]) if found else time.time()
    state = ExecutionState.PENDING if jobs else ExecutionState.COMPLETED
    event = Event(
        execution_id=submission.id,
        sequence=1,
        time=now,
        kind=EventKind.SUBMITTED if jobs else EventKind.COMPLETED,
        data={"jobs": jobs, "rows": len(submission.rows)},
    )
    _write_template(transaction, submission.plan, now)
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
        },
    )
    transaction.many(sql.ADD_ROW, list(_row_parameters(submission)))
    transaction.many(sql.ADD_JOBS, list(_job_parameters(submission)))
    transaction.many(sql.ADD_FUNCTION, [_function_parameters(submission.id, f) for f in submission.functions])
    transaction.run(sql.ADD_EVENTS, event_row(event))
    return (event,)


def _write_template(transaction: Transaction, plan: Plan, now: float) -> None:
    if transaction.row(_KNOWN, {"template_id": plan.digest}) is not None:
        return
    found = transaction.row(_VERSION, {"name": plan.name})
    version = 1 + (found[0] if found else 0)
    row = {"id": plan.digest, "name": plan.name, "version": version, "plan": plan.to_json(), "created": now}
    transaction.run(_ADD_TEMPLATE, row)


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


def _function_parameters(execution_id: str, function: PackedFunction) -> dict[str, Any]:
    return {
        "execution_id": execution_id,
        "digest": function.digest,
        "name": function.name,
        "python": function.python,
        "blob": function.blob,
        "signature": function.signature,
    }
