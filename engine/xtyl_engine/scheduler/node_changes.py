"""What one transaction changes in the counts of each node: gathered as the states change, written once with the row of the
execution. Reading them, and counting anew, is for `database.node_counts`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Text,
    case,
    func,
    insert,
    literal_column,
    null,
    text,
    type_coerce,
    update,
)

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Now, Transaction
from xtyl_engine.database.node_counts import BEATS, LATEST, PAID, SHOWN
from xtyl_engine.database.tables import Serial, nodes
from xtyl_engine.states import JobState

_N = nodes.c
_NOW = sql.B("now", type_=_N.since.type)
_AT_WORK = {JobState.RUNNING, JobState.WAITING}
_FAILED = {JobState.FAILED, JobState.QUARANTINED}
_PASSED = {JobState.BLOCKED, JobState.READY}
_EVERY = tuple(JobState)
# Written into the statements, so that no driver gets them as parameters.
_ZERO, _ONE, _ROOM = (literal_column(str(value), Float()) for value in (0, 1, LATEST))


def _passing(now: ColumnElement[float]) -> dict[str, Any]:
    """The times as of `now`. The database's clock may be set back, or forward, and no job runs where a beat is missing."""
    passed = case((_N.since < now, now - _N.since), else_=_ZERO)
    busy = case((_N.running == _ZERO, _ZERO), (passed > _N.beat_within, _N.beat_within), else_=passed)
    return {
        "job_seconds": _N.job_seconds + (_N.running + _N.waiting) * passed,
        "busy_seconds": _N.busy_seconds + busy,
        "since": now,
    }


_AT = (_N.execution_id == sql.B("execution_id"), _N.node == sql.B("at"))
_ADD = insert(nodes).values(
    {name: sql.B(name) for name in ("execution_id", "node", "blocked", "ready", "latest")} | dict.fromkeys(PAID, 0)
)
_WITHIN = sql.B("within", type_=_N.beat_within.type)
_BEAT = update(nodes).where(*_AT, _N.running > _ZERO).values(**_passing(Now()), beat_within=_WITHIN)
_TAKE = text(
    "INSERT INTO execution_branches (execution_id, node, branch, count) VALUES (:execution_id, :node, :branch, :count) "
    "ON CONFLICT (execution_id, node, branch) DO UPDATE SET count = execution_branches.count + excluded.count"
)
_MORE_PAID = tuple(f"more_{name}" for name in PAID)
# What an earlier release began to count is unknown, and stays so.
_PAY = update(nodes).where(*_AT).values({name: _N[name] + sql.B(f"more_{name}", type_=_N[name].type) for name in PAID})
_MORE = {state: f"more_{state}" for state in JobState}
_NOTHING = {**dict.fromkeys(_MORE.values(), 0), "newest": "", "mended": 0, "broken": None}


@cache
def _change(states: tuple[JobState, ...]) -> Any:
    """The UPDATE of one node whose jobs leave and enter these states."""
    values: dict[str, Any] = {state: _N[state] + sql.B(_MORE[state], type_=Integer()) for state in states}
    if JobState.RUNNING in states:
        values["started"] = func.coalesce(_N.started, sql.B("began", type_=_N.started.type))
        values["beat_within"] = func.coalesce(_WITHIN, _N.beat_within)
    if _AT_WORK.intersection(states):
        values |= _passing(_NOW)
    if any(state.is_terminal for state in states):
        values["finished"] = _NOW
    if JobState.COMPLETED in states:
        values["latest"] = func.substr(type_coerce(sql.B("newest"), Text).concat(_N.latest), _ONE, _ROOM)
    if _FAILED.intersection(states):
        first = func.coalesce(_N.failure, sql.B("broken", type_=Serial))
        values["failure"] = case((sql.B("mended", type_=Integer()) > _ZERO, null()), else_=first)
    return update(nodes).where(*_AT).values(values)


def add_nodes(transaction: Transaction, execution_id: str, initial: Iterable[tuple[str, bool, int]]) -> None:
    """Write the first counts of an execution: for each node, whether its jobs are ready, and how many there are."""
    rows = [
        {
            "execution_id": execution_id,
            "node": node,
            "ready": count * ready,
            "blocked": count * (not ready),
            "latest": "",
        }
        for node, ready, count in initial
    ]
    transaction.many(_ADD, rows)


def beat(transaction: Transaction, running: Iterable[tuple[str, str]], beat_seconds: float) -> None:
    """Say of nodes, by execution, that a job of theirs still runs: what passes without a word counts for a few beats only."""
    within = BEATS * beat_seconds
    at = [{"execution_id": id, "at": node, "within": within} for id, node in sorted(set(running))]
    transaction.many(_BEAT, at)


class NodeChanges:
    """The changes of one transaction, by node. `save` writes one row for each node that changed."""

    def __init__(self) -> None:
        # How many more jobs each state has, for every state that a job left or entered.
        self._more: dict[str, dict[JobState, int]] = {}
        self._begun: set[str] = set()
        self._latest: dict[str, list[int]] = {}
        self._mended: set[str] = set()
        self._broken: dict[str, int] = {}
        self._taken: dict[tuple[str, str], int] = {}
        self._within: float | None = None
        self._paid: dict[str, tuple[int, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._more or self._paid)

    def add(self, node: str, state: JobState, count: int = 1) -> None:
        """New jobs."""
        more = self._more.setdefault(node, {})
        more[state] = more.get(state, 0) + count

    def move(self, node: str, source: JobState, target: JobState, count: int = 1) -> None:
        """Jobs that go from one state to another."""
        more = self._more.setdefault(node, {})
        more[source] = more.get(source, 0) - count
        more[target] = more.get(target, 0) + count
        if target is JobState.RUNNING:
            self._begun.add(node)
        if source in _FAILED:
            self._mended.add(node)

    def claim(self, node: str, beat_seconds: float) -> None:
        """A job that starts in a worker with such beats."""
        self.move(node, JobState.READY, JobState.RUNNING)
        self._within = BEATS * beat_seconds

    def complete(self, node: str, source: JobState, id: int, branch: str | None = None) -> None:
        """A job with a result, and with the branch it took if it is a conditional."""
        self.move(node, source, JobState.COMPLETED)
        self._latest.setdefault(node, []).append(id)
        if branch is not None:
            self._taken[node, branch] = self._taken.get((node, branch), 0) + 1

    def fail(self, node: str, target: JobState, id: int) -> None:
        """A running job that failed for good."""
        self.move(node, JobState.RUNNING, target)
        self._broken.setdefault(node, id)

    def pay(self, node: str, *amounts: int) -> None:
        """What an attempt cost, in the order of `PAID`."""
        before = self._paid.get(node, (0,) * len(PAID))
        self._paid[node] = tuple(map(sum, zip(before, amounts, strict=True)))

    def save(self, transaction: Transaction, execution_id: str, now: float) -> None:
        if transaction.is_sqlite:
            # Short statements, of what has changed alone, save a third of the time.
            for node, more in self._more.items():
                transaction.run(_change(_told(more)), self._row(execution_id, node, now))
        else:
            # One way to the server and back, in one order, so that no two transactions wait for each other.
            rows = [_NOTHING | self._row(execution_id, node, now) for node in sorted(self._more)]
            transaction.many(_change(_EVERY), rows)
        if self._taken:
            taken = [
                {"execution_id": execution_id, "node": node, "branch": branch, "count": count}
                for (node, branch), count in sorted(self._taken.items())
            ]
            transaction.many(_TAKE, taken)
        paid = [
            {"execution_id": execution_id, "at": node, **dict(zip(_MORE_PAID, amounts, strict=True))}
            for node, amounts in sorted(self._paid.items())
            if any(amounts)
        ]
        transaction.many(_PAY, paid)

    def _row(self, execution_id: str, node: str, now: float) -> dict[str, Any]:
        row: dict[str, Any] = {"execution_id": execution_id, "at": node, "now": now}
        more = self._more[node]
        for state, count in more.items():
            row[_MORE[state]] = count
        row["began"], row["within"] = (now, self._within) if node in self._begun else (None, None)
        if node in self._latest:
            row["newest"] = "".join([f"{id} " for id in self._latest[node][: -SHOWN - 1 : -1]])
        if not _FAILED.isdisjoint(more):
            row["mended"], row["broken"] = int(node in self._mended), self._broken.get(node)
        return row


def _told(more: dict[JobState, int]) -> tuple[JobState, ...]:
    """The states to write: a job that was ready for this moment only is not counted in and out."""
    return tuple([state for state, count in more.items() if count or state not in _PASSED])
