"""Reads in pages: executions of a project, versions of a template, and an execution's jobs, rows, events and prints. A page ends
with the cursor that the next one begins after; None is the end. It is limited in number of items and in length of their texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import Text, and_, func, or_, select, tuple_

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.database.tables import attempt_logs, attempts, executions, jobs, rows, versions
from xtyl_engine.events import Event
from xtyl_engine.queries.cursors import LARGEST, closed, number, opened
from xtyl_engine.queries.executions import (
    EVENTS,
    EXECUTION,
    JOB_COLUMNS,
    JOB_COLUMNS_WITHOUT_OUTPUT,
    read_event,
    read_execution,
    read_job,
)
from xtyl_engine.queries.overview import label_of
from xtyl_engine.queries.views import AttemptLog, Execution, Job
from xtyl_engine.scheduler.submit import Row
from xtyl_engine.scheduler.templates import Template, read_template
from xtyl_engine.states import ExecutionState, JobState

T = TypeVar("T")
_A, _E, _J, _L, _V = attempts.c, executions.c, jobs.c, attempt_logs.c, versions.c
# Larger than any time and any id: the first page begins here.
FIRST = [9e15, "\U0010ffff"]
_LOG_FIELDS = ("job_id", "node", "item", "number", "outcome", "text", "done", "of")
# At most this much text in one page, except where a single item has more; rows in the first read, whose length is unknown.
PAGE_CHARACTERS = 8_000_000
TRIAL_ROWS = 32
_EXECUTIONS = {
    (by_state, by_name): EXECUTION.where(
        _E.project == sql.B("project"),
        tuple_(_E.created, _E.id) < tuple_(sql.B("created", type_=_E.created.type), sql.B("id", type_=Text())),
        *((_E.state == sql.B("state"),) if by_state else ()),
        *((_E.name == sql.B("name"),) if by_name else ()),
    )
    .order_by(_E.created.desc(), _E.id.desc())
    .limit(sql.B("limit"))
    for by_state in (False, True)
    for by_name in (False, True)
}
# By node and item, because that order has an index: a run may have a million jobs.
_JOBS = {
    (by_node, by_state, outputs): select(*(JOB_COLUMNS if outputs else JOB_COLUMNS_WITHOUT_OUTPUT))
    .where(
        sql.OF_EXECUTION,
        tuple_(_J.node, _J.item)
        > tuple_(sql.B("after_node", type_=_J.node.type), sql.B("after_item", type_=_J.item.type)),
        *((_J.node == sql.B("node"),) if by_node else ()),
        *((_J.state == sql.B("state"),) if by_state else ()),
    )
    .order_by(_J.node, _J.item)
    .limit(sql.B("limit"))
    for by_node in (False, True)
    for by_state in (False, True)
    for outputs in (False, True)
}
_ROWS = (
    select(rows.c.position, rows.c.label, rows.c["values"])
    .where(rows.c.execution_id == sql.B("execution_id"), rows.c.position > sql.B("after"))
    .order_by(rows.c.position)
    .limit(sql.B("limit"))
)
_READ = _ROWS.subquery()
_LONGEST = select(func.max(func.length(_READ.c["values"])))
# Of all jobs, of those of a node, of those at an item and under it, or both.
_LOGS = {
    (by_node, by_item): select(_L.job_id, _J.node, _J.item, _L.number, _A.outcome, _L.text, _L.done, _L.of)
    .join(jobs, _J.id == _L.job_id)
    .join(attempts, and_(_A.job_id == _L.job_id, _A.number == _L.number))
    .where(
        sql.OF_EXECUTION,
        tuple_(_L.job_id, _L.number)
        > tuple_(sql.B("after_job", type_=_L.job_id.type), sql.B("after_number", type_=_L.number.type)),
        *((_J.node == sql.B("node"),) if by_node else ()),
        *((or_(_J.item == sql.B("item"), sql.below(_J.item)),) if by_item else ()),
    )
    .order_by(_L.job_id, _L.number)
    .limit(sql.B("limit"))
    for by_node in (False, True)
    for by_item in (False, True)
}
_VERSIONS = (
    select(_V.project, _V.name, _V.version, _V.template_id, _V.created)
    .where(and_(_V.project == sql.B("project"), _V.name == sql.B("name"), _V.version < sql.B("before")))
    .order_by(_V.version.desc())
    .limit(sql.B("limit"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A part of a list; `next` is the cursor at which the rest begins."""

    items: tuple[T, ...]
    next: str | None


class Listing:
    """Reads one database in pages."""

    def __init__(self, database: Database):
        self._database = database

    def executions(
        self, project: str, *, state: ExecutionState | None, name: str | None, after: str | None, limit: int
    ) -> Page[Execution]:
        """Executions of a project, newest first. Raises CursorRefused."""
        created, id = opened(after, FIRST, (int, float), (str,))
        at = {"project": project, "created": float(created), "id": id, "state": state and str(state), "name": name}
        return self._page(
            _EXECUTIONS[state is not None, name is not None],
            at,
            limit,
            read=read_execution,
            place=lambda last: {"created": last.created, "id": last.id},
        )

    def jobs(
        self,
        execution_id: str,
        *,
        node: str | None,
        state: JobState | None,
        outputs: bool,
        after: str | None,
        limit: int,
    ) -> Page[Job]:
        """Jobs of an execution by node and item, with their output texts if `outputs`. Raises CursorRefused."""
        after_node, after_item = opened(after, ["", ""], (str,), (str,))
        wanted = {"execution_id": execution_id, "node": node, "state": state and str(state)}
        return self._page(
            _JOBS[node is not None, state is not None, outputs],
            wanted | {"after_node": after_node, "after_item": after_item},
            limit,
            read=read_job,
            place=lambda last: {"after_node": last.node, "after_item": last.item},
        )

    def logs(
        self, execution_id: str, *, node: str | None, item: str | None, after: str | None, limit: int
    ) -> Page[AttemptLog]:
        """What the attempts at jobs printed, in the order of the jobs; of one node, of one item and all under it, or both. Raises
        CursorRefused."""
        after_job, after_number = opened(after, [0, 0], (int,), (int,))
        wanted = {"execution_id": execution_id, "node": node, "item": item}
        found = self._page(
            _LOGS[node is not None, item is not None],
            wanted | {"after_job": after_job, "after_number": after_number},
            limit,
            read=lambda row: AttemptLog(**dict(zip(_LOG_FIELDS, row, strict=True)), label=row[2]),
            place=lambda last: {"after_job": last.job_id, "after_number": last.number},
        )
        with self._database.read() as transaction:
            labels = {each.item: label_of(transaction, execution_id, each.item) for each in found.items}
        return Page(
            items=tuple(replace(each, label=labels[each.item] or each.item) for each in found.items), next=found.next
        )

    def rows(self, execution_id: str, *, after: str | None, limit: int) -> Page[Row]:
        """The input rows in order. Raises CursorRefused."""
        found = self._page(
            _ROWS,
            {"execution_id": execution_id, "after": number(after, -1)},
            limit,
            read=lambda row: (row[0], Row(label=json.loads(row[1]), values=json.loads(row[2]))),
            place=lambda last: {"after": last[0]},
        )
        return Page(items=tuple(row for _, row in found.items), next=found.next)

    def longest_row(self, execution_id: str, *, after: str | None, limit: int) -> int:
        """The characters of the longest row that `rows` would read: as long as a body, at most. Raises CursorRefused."""
        at = {"execution_id": execution_id, "after": number(after, -1), "limit": limit}
        with self._database.read() as transaction:
            found = transaction.row(_LONGEST, at)
        return int(found[0] or 0) if found else 0

    def events(self, execution_id: str, *, after: str | None, limit: int) -> Page[Event]:
        """The events in order; the cursor is the number of the last one. Raises CursorRefused."""
        return self._page(
            EVENTS,
            {"execution_id": execution_id, "after": number(after, 0)},
            limit,
            read=lambda row: read_event(execution_id, row),
            place=lambda last: {"after": last.sequence},
        )

    def versions(self, project: str, name: str, *, after: str | None, limit: int) -> Page[Template]:
        """The versions of a template, newest first. Raises CursorRefused."""
        return self._page(
            _VERSIONS,
            {"project": project, "name": name, "before": number(after, LARGEST)},
            limit,
            read=read_template,
            place=lambda last: {"before": last.version},
        )

    def version(self, project: str, name: str, version: int | None) -> Template | None:
        """One version of a template, the newest where `version` is None; None if there is no such version."""
        at = {"project": project, "name": name, "before": LARGEST if version is None else version + 1, "limit": 1}
        with self._database.read() as transaction:
            found = transaction.rows(_VERSIONS, at)
        return next((read_template(row) for row in found if version is None or row[2] == version), None)

    def _page(
        self,
        statement: Any,
        at: dict[str, Any],
        limit: int,
        *,
        read: Callable[[tuple[Any, ...]], T],
        place: Callable[[T], dict[str, Any]],
    ) -> Page[T]:
        """Items after the place `at`. `place` is an item's place as parameters of the statement."""
        items: list[T] = []
        last: dict[str, Any] = {}
        size, is_more = 0, True
        with self._database.read() as transaction:
            while is_more and len(items) < limit and size < PAGE_CHARACTERS:
                asked = _next_count(limit - len(items), len(items), size)
                found = transaction.rows(statement, at | last | {"limit": asked + 1})
                is_more = len(found) > asked
                for row in found[:asked]:
                    size += _characters(row)
                    if items and size > PAGE_CHARACTERS:
                        is_more = True
                        break
                    items.append(read(row))
                last = place(items[-1]) if items else last
        return Page(items=tuple(items), next=closed(*last.values()) if is_more and items else None)


def _next_count(left: int, count: int, size: int) -> int:
    """How many rows to read next: as many as fit if they are as long as the rows read so far."""
    fitting = (PAGE_CHARACTERS - size) * count // max(size, 1) if count else TRIAL_ROWS
    return max(1, min(left, fitting))


def _characters(row: tuple[Any, ...]) -> int:
    return sum(len(part) for part in row if isinstance(part, str))
