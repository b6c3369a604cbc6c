"""What one transaction changes in the counts of each node: gathered as the states change, written once with the row of the
execution. Reading them, and counting anew, is for `database.node_counts`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Integer, Text, case, func, insert, null, text, type_coerce, update

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Now, Transaction
from xtyl_engine.database.node_counts import LATEST, SHOWN, SILENT_SECONDS
from xtyl_engine.database.tables import Serial, nodes
from xtyl_engine.states import JobState

_N = nodes.c
_FAILED = (JobState.FAILED, JobState.QUARANTINED)


def _passing(now: ColumnElement[float]) -> dict[str, Any]:
    """The times as of `now`. The database's clock may be set back, or forward, and no job runs while no process beats."""
    passed = case((_N.since < now, now - _N.since), else_=0.0)
    busy = case((_N.running == 0, 0.0), (passed > SILENT_SECONDS, SILENT_SECONDS), else_=passed)
    return {
        "job_seconds": _N.job_seconds + (_N.running + _N.waiting) * passed,
        "busy_seconds": _N.busy_seconds + busy,
        "since": now,
    }


_AT = (_N.execution_id == sql.B("execution_id"), _N.node == sql.B("at"))
_CHANGE = (
    update(nodes)
    .where(*_AT)
    .values(
        **{state: _N[state] + sql.B(f"more_{state}", type_=Integer()) for state in JobState},
        started=func.coalesce(_N.started, sql.B("began", type_=_N.started.type)),
        finished=func.coalesce(sql.B("ended", type_=_N.finished.type), _N.finished),
        latest=func.substr(type_coerce(sql.B("newest"), Text).concat(_N.latest), 1, LATEST),
        failure=case(
            (sql.B("mended", type_=Integer()) > 0, null()),
            else_=func.coalesce(_N.failure, sql.B("broken", type_=Serial)),
        ),
        **_passing(sql.B("now", type_=_N.since.type)),
    )
)
_ADD = insert(nodes).values({name: sql.B(name) for name in ("execution_id", "node", "blocked", "ready", "latest")})
_BEAT = update(nodes).where(*_AT, _N.running > 0).values(**_passing(Now()))
_TAKE = text(
    "INSERT INTO execution_branches (execution_id, node, branch, count) VALUES (:execution_id, :node, :branch, :count) "
    "ON CONFLICT (execution_id, node, branch) DO UPDATE SET count = execution_branches.count + excluded.count"
)
_NONE = {f"more_{state}": 0 for state in JobState}


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


class NodeChanges:
    """The changes of one transaction, by node. `save` writes one row for each node that changed."""

    def __init__(self) -> None:
        self._more: defaultdict[str, Counter[JobState]] = defaultdict(Counter)
        self._latest: defaultdict[str, list[int]] = defaultdict(list)
        self._broken: dict[str, int] = {}
        self._began: set[str] = set()
        self._ended: set[str] = set()
        self._mended: set[str] = set()
        self._taken: Counter[tuple[str, str]] = Counter()

    def __bool__(self) -> bool:
        return bool(self._more)

    def add(self, node: str, state: JobState, count: int = 1) -> None:
        """New jobs."""
        self._more[node][state] += count

    def move(self, node: str, source: JobState, target: JobState, count: int = 1) -> None:
        """Jobs that go from one state to another."""
        more = self._more[node]
        more[source] -= count
        more[target] += count
        if target is JobState.RUNNING:
            self._began.add(node)
        if target.is_terminal:
            self._ended.add(node)
        if source in _FAILED:
            self._mended.add(node)

    def complete(self, node: str, source: JobState, id: int, branch: str | None = None) -> None:
        """A job with a result, and with the branch it took if it is a conditional."""
        self.move(node, source, JobState.COMPLETED)
        self._latest[node].append(id)
        if branch is not None:
            self._taken[node, branch] += 1

    def fail(self, node: str, target: JobState, id: int) -> None:
        """A running job that failed for good."""
        self.move(node, JobState.RUNNING, target)
        self._broken.setdefault(node, id)

    def save(self, transaction: Transaction, execution_id: str, now: float) -> None:
        # In one order, so that no two transactions wait for each other.
        transaction.many(_CHANGE, [self._row(execution_id, node, now) for node in sorted(self._more)])
        taken = [
            {"execution_id": execution_id, "node": node, "branch": branch, "count": count}
            for (node, branch), count in sorted(self._taken.items())
        ]
        transaction.many(_TAKE, taken)

    def _row(self, execution_id: str, node: str, now: float) -> dict[str, Any]:
        return {
            **_NONE,
            **{f"more_{state}": count for state, count in self._more[node].items()},
            "execution_id": execution_id,
            "at": node,
            "now": now,
            "began": now if node in self._began else None,
            "ended": now if node in self._ended else None,
            "newest": "".join(f"{id} " for id in self._latest[node][: -SHOWN - 1 : -1]),
            "mended": int(node in self._mended),
            "broken": self._broken.get(node),
        }
