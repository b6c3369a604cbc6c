"""Reads in pages: executions of a project, and an execution's jobs, rows and events, as far as somebody wants to turn them. A
page ends with the cursor that the next one begins after; None is the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Text, and_, null, select, tuple_

from xtyl_engine import statements as sql
from xtyl_engine.catalogue import Template, read_template
from xtyl_engine.cursors import LARGEST, closed, number, opened
from xtyl_engine.database import Database
from xtyl_engine.events import Event
from xtyl_engine.query import EVENTS, EXECUTION, JOB_COLUMNS, Execution, Job, read_event, read_execution, read_job
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.submit import Row
from xtyl_engine.tables import executions, jobs, rows, versions

T = TypeVar("T")
_E, _J, _V = executions.c, jobs.c, versions.c
# Larger than any time and any id: where the first page begins.
FIRST = [9e15, "\U0010ffff"]
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
# By node and item, for which there is an index: a run may have a million jobs.
_JOBS = {
    (by_node, by_state, outputs): select(*JOB_COLUMNS[:-1], _J.output if outputs else null())
    .where(
        _J.execution_id == sql.B("execution_id"),
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
_VERSIONS = (
    select(_V.project, _V.name, _V.version, _V.template_id, _V.created)
    .where(and_(_V.project == sql.B("project"), _V.name == sql.B("name"), _V.version < sql.B("before")))
    .order_by(_V.version.desc())
    .limit(sql.B("limit"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some of a list, and where the rest begins."""

    items: tuple[T, ...]
    next: str | None


class Listing:
    """The pages of one database."""

    def __init__(self, database: Database):
        self._database = database

    def executions(
        self, project: str, *, state: ExecutionState | None, name: str | None, after: str | None, limit: int
    ) -> Page[Execution]:
        """Executions of a project, newest first."""
        created, id = opened(after, FIRST, (int, float), str)
        at = {"project": project, "created": float(created), "id": id, "limit": limit + 1}
        at |= {"state": str(state)} if state else {}
        at |= {"name": name} if name is not None else {}
        found = self._rows(_EXECUTIONS[state is not None, name is not None], at)
        return _page(found, limit, read_execution, lambda last: closed([last.created, last.id]))

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
        """Jobs of an execution by node and item, with their output texts if asked for."""
        after_node, after_item = opened(after, ["", ""], str, str)
        at: dict[str, Any] = {
            "execution_id": execution_id,
            "after_node": after_node,
            "after_item": after_item,
            "limit": limit + 1,
        }
        at |= {"node": node} if node is not None else {}
        at |= {"state": str(state)} if state else {}
        found = self._rows(_JOBS[node is not None, state is not None, outputs], at)
        return _page(found, limit, read_job, lambda last: closed([last.node, last.item]))

    def rows(self, execution_id: str, *, after: str | None, limit: int) -> Page[Row]:
        """The input rows in order."""
        start = number(after, -1)
        found = self._rows(_ROWS, {"execution_id": execution_id, "after": start, "limit": limit + 1})
        places = [row[0] for row in found[:limit]]
        return _page(
            found,
            limit,
            lambda row: Row(label=json.loads(row[1]), values=json.loads(row[2])),
            lambda _: str(places[-1]),
        )

    def events(self, execution_id: str, *, after: str | None, limit: int) -> Page[Event]:
        """The events in order; the cursor is the number of the last one."""
        at = {"execution_id": execution_id, "after": number(after, 0), "limit": limit + 1}
        found = self._rows(EVENTS, at)
        return _page(found, limit, lambda row: read_event(execution_id, row), lambda last: str(last.sequence))

    def versions(self, project: str, name: str, *, after: str | None, limit: int) -> Page[Template]:
        """The versions of a template, newest first."""
        at = {"project": project, "name": name, "before": number(after, LARGEST), "limit": limit + 1}
        return _page(self._rows(_VERSIONS, at), limit, read_template, lambda last: str(last.version))

    def version(self, project: str, name: str, version: int | None) -> Template | None:
        """One version of a template, the newest if none is named."""
        before = LARGEST if version is None else version + 1
        found = self._rows(_VERSIONS, {"project": project, "name": name, "before": before, "limit": 1})
        return next((read_template(row) for row in found if version is None or row[2] == version), None)

    def _rows(self, statement: Any, at: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._database.read() as transaction:
            return transaction.rows(statement, at)


def _page(
    found: Sequence[tuple[Any, ...]], limit: int, read: Callable[[tuple[Any, ...]], T], cursor: Callable[[T], str]
) -> Page[T]:
    """A page of what was found, one more than was asked for where there is more."""
    items = tuple(read(row) for row in found[:limit])
    return Page(items=items, next=cursor(items[-1]) if len(found) > limit else None)
