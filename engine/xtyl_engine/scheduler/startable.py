"""Finds the executions that may start something in a process now: what is ready, less what its rates, its route and the
executions' own limits hold back. It only reads; a claim decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import func, literal_column, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction, may_pass
from xtyl_engine.database.node_counts import kept_counts
from xtyl_engine.database.tables import executions
from xtyl_engine.scheduler.rate_limits.permits import READY_OPEN, ClaimPolicy, Gate, Outlook
from xtyl_engine.states import JobState
from xtyl_engine.workflow.plan import Plan

Load = Callable[[Transaction, str], Plan]
log = logging.getLogger("xtyl")
_OPEN: Any = READY_OPEN.with_only_columns(literal_column("1")).order_by(None).subquery()
_COUNT_OPEN = select(func.count()).select_from(_OPEN)
_LIMITS = select(executions.c.template_id, executions.c.max_parallel).where(executions.c.id == sql.B("execution_id"))


class _Ready(NamedTuple):
    id: str
    jobs: int
    gate: Gate
    max_parallel: int | None


def startable(transaction: Transaction, policy: ClaimPolicy, load: Load, limit: int) -> dict[str, int]:
    """How many jobs of each execution this process may start now, `limit` at most; executions with none are left out."""
    found: dict[str, int] = {}
    for each in _ready(transaction, policy, load, limit):
        asked = {"execution_id": each.id, "now": each.gate.now, "shut": each.gate.closed(), "limit": limit}
        may_start = _count(transaction, _COUNT_OPEN, asked) if asked["shut"] else each.jobs
        if each.max_parallel is not None:
            may_start = min(may_start, each.max_parallel - _count(transaction, sql.COUNT_RUNNING, asked))
        if may_start > 0:
            found[each.id] = may_start
    return found


def waiting(transaction: Transaction, policy: ClaimPolicy, load: Load, besides: Collection[str]) -> dict[str, int]:
    """One job for each execution besides these that may start something now. Busy workers ask all the time, so it reads the kept
    counts where `startable` looks at every job. They do not tell late results, which need no permit; without them a claim
    decides."""
    found: dict[str, int] = {}
    for each in _ready(transaction, policy, load, 1, besides):
        closed = each.gate.closed_nodes()
        if (closed or each.max_parallel is not None) and (kept := kept_counts(transaction, each.id)):
            _, counts = kept
            running = sum(node.counts.get(JobState.RUNNING, 0) for node in counts.values())
            is_open = any(node.counts.get(JobState.READY) for id, node in counts.items() if id not in closed)
            if not is_open or (each.max_parallel is not None and running >= each.max_parallel):
                continue
        found[each.id] = 1
    return found


def _ready(
    transaction: Transaction, policy: ClaimPolicy, load: Load, limit: int, besides: Collection[str] = ()
) -> Iterator[_Ready]:
    (now,) = transaction.row(sql.CLOCK) or (0.0,)
    outlook = Outlook(transaction, policy, now)
    for execution_id, count in transaction.rows(sql.UNCLAIMED, {"limit": limit}):
        if not count or execution_id in besides:
            continue
        if limits := transaction.row(_LIMITS, {"execution_id": execution_id}):
            template_id, max_parallel = limits
            try:
                gate = outlook.gate(load(transaction, template_id), template_id)
            except Exception as error:
                if may_pass(error):
                    raise
                log.error("a run's plan cannot be read, and its jobs are left alone: %s", error)
                continue
            yield _Ready(execution_id, count, gate, max_parallel)


def _count(transaction: Transaction, statement: Any, asked: dict[str, Any]) -> int:
    found = transaction.row(statement, asked)
    return int(found[0]) if found else 0
