"""Deletes old ended executions; readers see each whole or gone, and each step is short enough not to block workers. The
files they leave behind are for `files`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, delete, exists, func, or_, select, union

from xtyl_engine.database import statements as sql
from xtyl_engine.database import tables
from xtyl_engine.database.connection import Database, Now, Transaction
from xtyl_engine.database.steps import BREATH_SECONDS, is_quiet
from xtyl_engine.database.tables import (
    attempt_answers,
    attempt_logs,
    attempts,
    branches,
    decisions,
    events,
    executions,
    functions,
    jobs,
    nodes,
    rows,
)
from xtyl_engine.states import ExecutionState

STEP_ROWS = 2_000
PAGE = 100
_E, _J, _T, _V = executions.c, jobs.c, tables.templates.c, tables.versions.c
_SMALL = (functions, nodes, branches)
_OF = {table: table.c.execution_id == sql.B("execution_id") for table in (jobs, events, rows, *_SMALL)}
# Jobs last: what an interrupted removal leaves behind is found by them.
_PLACES = {events: events.c.sequence, rows: rows.c.position, jobs: _J.id}
_BETWEEN = {table: place.between(sql.B("low"), sql.B("high")) for table, place in _PLACES.items()}
_ENDS = {table: select(func.min(place), func.max(place)).where(_OF[table]) for table, place in _PLACES.items()}
_STEP = {
    table: delete(table).where(sql.AND_OF_EXECUTION if table is jobs else _OF[table], between)
    for table, between in _BETWEEN.items()
}
_STEP_JOBS = select(_J.id).where(sql.AND_OF_EXECUTION, _BETWEEN[jobs])
# Deleted before the jobs they refer to.
_OF_JOBS = (attempt_answers, attempt_logs, attempts, decisions)
_ABOUT_JOBS = [delete(table).where(table.c.job_id.in_(_STEP_JOBS)) for table in _OF_JOBS]
_DELETE_SMALL = [delete(table).where(_OF[table]) for table in _SMALL]
_DELETE_EXECUTION = delete(executions).where(_E.id == sql.B("execution_id"))
_LEFT_BEHIND = union(*(select(table.c.execution_id).where(table.c.execution_id.not_in(select(_E.id))) for table in _OF))
Step = Callable[[Transaction], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long ended executions and replaced plans are kept, in seconds, and whether failed executions are kept forever. What
    ended before the moment `unsure_until` is kept so long from that moment: how old it is, no worker has seen."""

    seconds: float
    keep_failed: bool = False
    unsure_until: float = 0.0

    @property
    def over(self) -> ColumnElement[bool]:
        """The condition that an execution has been kept long enough."""
        states = [ExecutionState.COMPLETED, ExecutionState.STOPPED]
        ended = states if self.keep_failed else [*states, ExecutionState.FAILED]
        return and_(sql.among(_E.state, *ended), self.is_past(_E.finished))

    def is_past(self, moment: ColumnElement[Any]) -> ColumnElement[bool]:
        """The condition that a moment lies long enough back."""
        limit = Now() - self.seconds
        return and_(moment <= limit, or_(moment > self.unsure_until, limit >= self.unsure_until))


def count_over(database: Database, retention: Retention) -> tuple[int, int]:
    """How many executions, and how many of their jobs, `prune` would delete."""
    over = select(_E.id).where(retention.over)
    with database.read() as transaction:
        found = transaction.row(select(func.count()).select_from(over.subquery()))
        held = transaction.row(select(func.count()).where(_J.execution_id.in_(over)))
    return (found or (0,))[0], (held or (0,))[0]


def prune(database: Database, retention: Retention) -> Iterator[tuple[str, int]]:
    """Delete the executions that are over, oldest first. Yields the id of each once it is gone, and how many jobs it had."""
    yield from _finish_interrupted(database)
    oldest = select(_E.id).where(retention.over).order_by(_E.finished, _E.id).limit(PAGE)
    take = select(_E.id).where(_E.id == sql.B("execution_id"), retention.over).with_for_update()
    while True:
        with database.read() as transaction:
            found = [id for (id,) in transaction.rows(oldest)]
        if not found:
            return
        for id in found:
            removed = _remove(database, id, take)
            if removed is not None:
                yield id, removed


def prune_templates(database: Database, retention: Retention) -> int:
    """Delete the plans that no execution uses and that a newer version replaced long enough ago. Return how many."""
    newer = tables.versions.alias("newer")
    is_replaced = exists().where(
        newer.c.project == _V.project,
        newer.c.name == _V.name,
        newer.c.version > _V.version,
        retention.is_past(newer.c.created),
    )
    is_used = exists().where(_E.template_id == _V.template_id)
    old = select(_V.template_id).where(is_replaced, ~is_used).limit(PAGE)
    # The same plan may be the newest in another project.
    forget = delete(tables.versions).where(_V.template_id == sql.B("template"), is_replaced)
    is_held = exists().where(_V.template_id == _T.id)
    is_run = exists().where(_E.template_id == _T.id)
    remove = delete(tables.templates).where(_T.id == sql.B("template"), ~is_held, ~is_run)

    def step(transaction: Transaction) -> tuple[int, int]:
        found = [{"template": id} for (id,) in transaction.rows(old)]
        return transaction.many(forget, found), transaction.many(remove, found)

    removed = 0
    while (done := database.transact(step))[0]:
        removed += done[1]
    return removed


def _remove(database: Database, id: str, take: Select[Any]) -> int | None:
    """Delete one execution. Return how many jobs it had, None if it is no longer over."""
    of = {"execution_id": id}

    def first(transaction: Transaction) -> bool:
        return transaction.row(take, of) is not None and bool(transaction.run(_DELETE_EXECUTION, of))

    def whole(transaction: Transaction) -> int | None:
        if transaction.row(take, of) is None:
            return None
        held = sum(step(transaction) for step in _steps(transaction, id))
        transaction.run(_DELETE_EXECUTION, of)
        return held

    if not database.is_sqlite:
        return database.transact(whole)
    # SQLite has one writer, which must not block others for long, and no foreign keys of ours. The execution goes first, so
    # that no reader sees half of one, then the rest step by step.
    return _remove_rest(database, id) if database.transact(first) else None


def _remove_rest(database: Database, id: str) -> int:
    with database.read() as transaction:
        steps = _steps(transaction, id)
    held = 0
    for step in steps:
        held += database.transact(step)
        time.sleep(BREATH_SECONDS)
    return held


def remove_unseen(database: Database, id: str) -> None:
    """Remove what a submission wrote, if its execution did not appear."""
    with database.read() as transaction:
        is_seen = transaction.row(sql.STATE, {"execution_id": id}) is not None
    if not is_seen:
        _remove_rest(database, id)


def _finish_interrupted(database: Database) -> Iterator[tuple[str, int]]:
    """Remove what an interrupted removal left behind, or an interrupted submission; no submission that goes on."""
    if not database.is_sqlite:
        return
    with database.read() as transaction:
        left = transaction.rows(_LEFT_BEHIND)
    if left and is_quiet(database):
        # Of those found, each that was still being written is complete by now, and seen.
        with database.read() as transaction:
            left = [row for row in left if transaction.row(sql.STATE, {"execution_id": row[0]}) is None]
        for (id,) in left:
            yield id, _remove_rest(database, id)


def _steps(transaction: Transaction, id: str) -> list[Step]:
    """The steps that delete all of an execution but its own row."""
    of = {"execution_id": id}
    steps: list[Step] = [lambda transaction: 0 * sum(transaction.run(each, of) for each in _DELETE_SMALL)]
    for table, ends in _ENDS.items():
        low, high = transaction.row(ends, of) or (None, None)
        if low is not None and high is not None:
            starts = range(low, high + 1, STEP_ROWS)
            steps += [partial(_step, table, of | {"low": low, "high": low + STEP_ROWS - 1}) for low in starts]
    return steps


def _step(table: Table, place: dict[str, Any], transaction: Transaction) -> int:
    """Delete the rows between two numbers. Return how many jobs were among them."""
    for statement in _ABOUT_JOBS if table is jobs else ():
        transaction.run(statement, place)
    removed = transaction.run(_STEP[table], place)
    return removed if table is jobs else 0
