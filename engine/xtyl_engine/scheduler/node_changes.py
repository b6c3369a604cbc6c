"""What one transaction changes in the counts of each node: gathered as the states change, written once with the row of the
execution. Reading them, and counting anew, is for `database.node_counts`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
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
from xtyl_engine.database.node_counts import LATEST, SHOWN, SILENT_SECONDS
from xtyl_engine.database.tables import Serial, nodes
from xtyl_engine.states import JobState

_N = nodes.c
_NOW = sql.B("now", type_=_N.since.type)
_AT_WORK = {JobState.RUNNING, JobState.WAITING}
_FAILED = {JobState.FAILED, JobState.QUARANTINED}
_EVERY = tuple(JobState)
# Written into the statements, so that no driver gets them as parameters.
_ZERO, _ONE, _SILENT, _ROOM = (literal_column(str(value), Float()) for value in (0, 1, SILENT_SECONDS, LATEST))


def _passing(now: ColumnElement[float]) -> dict[str, Any]:
    """The times as of `now`. The database's clock may be set back, or forward, and no job runs while no process beats."""
    passed = case((_N.since < now, now - _N.since), else_=_ZERO)
    busy = case((_N.running == _ZERO, _ZERO), (passed > _SILENT, _SILENT), else_=passed)
    return {
        "job_seconds": _N.job_seconds + (_N.running + _N.waiting) * passed,
        "busy_seconds": _N.busy_seconds + busy,
        "since": now,
    }


_AT = (_N.execution_id == sql.B("execution_id"), _N.node == sql.B("at"))
_ADD = insert(nodes).values({name: sql.B(name) for name in ("execution_id", "node", "blocked", "ready", "latest")})
_BEAT = update(nodes).where(*_AT, _N.running > _ZERO).values(**_passing(Now()))
_TAKE = text(
    "INSERT INTO execution_branches (execution_id, node, branch, count) VALUES (:execution_id, :node, :branch, :count) "
    "ON CONFLICT (execution_id, node, branch) DO UPDATE SET count = execution_branches.count + excluded.count"
)
_MORE = {state: f"more_{state}" for state in JobState}
_NOTHING = {**dict.fromkeys(_MORE.values(), 0), "began": None, "newest": "", "mended": 0, "broken": None}
# The node, and the states that jobs of it leave and enter; new jobs leave none.
_Move = tuple[str, JobState | None, JobState]


@cache
def _change(states: tuple[JobState | None, ...]) -> Any:
    """The UPDATE of one node whose jobs leave and enter these states."""
    known = {state for state in states if state is not None}
    values: dict[str, Any] = {state: _N[state] + sql.B(_MORE[state], type_=Integer()) for state in known}
    if JobState.RUNNING in known:
        values["started"] = func.coalesce(_N.started, sql.B("began", type_=_N.started.type))
    if known & _AT_WORK:
        values |= _passing(_NOW)
    if any(state.is_terminal for state in known):
        values["finished"] = _NOW
    if JobState.COMPLETED in known:
        values["latest"] = func.substr(type_coerce(sql.B("newest"), Text).concat(_N.latest), _ONE, _ROOM)
    if known & _FAILED:
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


def beat(transaction: Transaction, running: Iterable[tuple[str, str]]) -> None:
    """Say of nodes, by execution, that a job of theirs still runs: what passes without a word counts for a minute only."""
    transaction.many(_BEAT, [{"execution_id": id, "at": node} for id, node in sorted(set(running))])


def _node_of(counted: tuple[_Move, int]) -> str:
    return counted[0][0]


class NodeChanges:
    """The changes of one transaction, by node. `save` writes one row for each node that changed."""

    def __init__(self) -> None:
        self._moves: Counter[_Move] = Counter()
        self._latest: defaultdict[str, list[int]] = defaultdict(list)
        self._broken: dict[str, int] = {}
        self._taken: Counter[tuple[str, str]] = Counter()

    def __bool__(self) -> bool:
        return bool(self._moves)

    def add(self, node: str, state: JobState, count: int = 1) -> None:
        """New jobs."""
        self._moves[node, None, state] += count

    def move(self, node: str, source: JobState, target: JobState, count: int = 1) -> None:
        """Jobs that go from one state to another."""
        self._moves[node, source, target] += count

    def complete(self, node: str, source: JobState, id: int, branch: str | None = None) -> None:
        """A job with a result, and with the branch it took if it is a conditional."""
        self._moves[node, source, JobState.COMPLETED] += 1
        self._latest[node].append(id)
        if branch is not None:
            self._taken[node, branch] += 1

    def fail(self, node: str, target: JobState, id: int) -> None:
        """A running job that failed for good."""
        self._moves[node, JobState.RUNNING, target] += 1
        self._broken.setdefault(node, id)

    def save(self, transaction: Transaction, execution_id: str, now: float) -> None:
        if transaction.is_sqlite:
            # Short statements, one for each kind of move, save a third of the time.
            found: defaultdict[Any, list[dict[str, Any]]] = defaultdict(list)
            for move, count in self._moves.items():
                found[_change(move[1:])].append(self._row(execution_id, move, count, now))
            for statement, rows in found.items():
                transaction.many(statement, rows)
        else:
            # One way to the server and back, in one order, so that no two transactions wait for each other.
            moves = sorted(self._moves.items(), key=_node_of)
            every = [_NOTHING | self._row(execution_id, move, count, now) for move, count in moves]
            transaction.many(_change(_EVERY), every)
        taken = [
            {"execution_id": execution_id, "node": node, "branch": branch, "count": count}
            for (node, branch), count in sorted(self._taken.items())
        ]
        transaction.many(_TAKE, taken)

    def _row(self, execution_id: str, move: _Move, count: int, now: float) -> dict[str, Any]:
        node, source, target = move
        row: dict[str, Any] = {"execution_id": execution_id, "at": node, "now": now, _MORE[target]: count}
        if source is not None:
            row[_MORE[source]] = -count
        if target is JobState.RUNNING or source is JobState.RUNNING:
            row["began"] = now if target is JobState.RUNNING else None
        if target is JobState.COMPLETED:
            row["newest"] = "".join(f"{id} " for id in self._latest[node][: -SHOWN - 1 : -1])
        if target in _FAILED or source in _FAILED:
            row["mended"], row["broken"] = int(source in _FAILED), self._broken.get(node)
        return row
