"""Counts executions anew whose counts are not kept: the release before has submitted them, or has written them while both worked.
Until then an overview looks at each of their jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import delete, insert, select, update

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.database.node_counts import PAID, NodeCounts, scanned_counts
from xtyl_engine.database.tables import branches, executions, nodes
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.workflow.plan import Plan

# So many are counted in a fraction of a second, for which other writers may wait.
QUICK_JOBS = 50_000
_E = executions.c
_UNFINISHED = [state for state in ExecutionState if not state.is_terminal]
_UNCOUNTED = (
    select(_E.id, _E.total, _E.sequence, _E.unfinished)
    .where(sql.among(_E.state, *_UNFINISHED), _E.counted != _E.sequence)
    .order_by(_E.total)
)
_OF = {table: table.c.execution_id == sql.B("execution_id") for table in (nodes, branches)}
_CLEAR = [delete(table).where(of) for table, of in _OF.items()]
_ADD = insert(nodes)
_TAKE = insert(branches)
_COUNTED = update(executions).where(_E.id == sql.B("execution_id")).values(counted=_E.sequence)


def mend_counts(database: Database, load: Callable[[Transaction, str], Plan]) -> None:
    """Count one unfinished execution anew, the smallest that needs it. A large one is counted before its row is locked, and again
    another time if it has changed meanwhile."""
    with database.read(is_snapshot=True) as transaction:
        found = transaction.row(_UNCOUNTED)
        if found is None:
            return
        id, total, *place = found
        counts = scanned_counts(transaction, id) if total > QUICK_JOBS else None

    def mend(transaction: Transaction) -> None:
        locked = LockedExecution(transaction, id, load)
        if locked.is_counted:
            return
        if counts is None:
            recount(transaction, id, locked.plan, scanned_counts(transaction, id))
        # The steps of a long control write no events.
        elif [locked.sequence, locked.unfinished] == place:
            recount(transaction, id, locked.plan, counts)

    database.transact(mend)


def recount(transaction: Transaction, execution_id: str, plan: Plan, counts: Mapping[str, NodeCounts]) -> None:
    """Write the counts of a locked execution."""
    for statement in _CLEAR:
        transaction.run(statement, {"execution_id": execution_id})
    transaction.many(_ADD, [_row(execution_id, node, counts.get(node)) for node in plan.nodes])
    taken = [
        {"execution_id": execution_id, "node": node, "branch": branch, "count": count}
        for node, found in counts.items()
        for branch, count in found.taken.items()
    ]
    transaction.many(_TAKE, taken)
    transaction.run(_COUNTED, {"execution_id": execution_id})


def _row(execution_id: str, node: str, found: NodeCounts | None) -> dict[str, Any]:
    found = found or NodeCounts()
    return {
        "execution_id": execution_id,
        "node": node,
        **{str(state): found.counts.get(state, 0) for state in JobState},
        "started": found.started,
        "finished": found.finished,
        "since": found.since,
        "beat_within": found.beat_within,
        "job_seconds": found.job_seconds,
        "busy_seconds": found.busy_seconds,
        "latest": "".join(f"{id} " for id in found.latest),
        "failure": found.failure,
        **{name: getattr(found, name) or 0 for name in PAID},
    }
