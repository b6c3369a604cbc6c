"""Finds the executions that may start something in a process now: what is ready, less what its rates, its route and the
executions' own limits hold back. It only reads; a claim decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, literal_column, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction, may_pass
from xtyl_engine.database.tables import executions
from xtyl_engine.scheduler.rate_limits.permits import READY_OPEN, ClaimPolicy, Outlook
from xtyl_engine.workflow.plan import Plan

log = logging.getLogger("xtyl")
_OPEN: Any = READY_OPEN.with_only_columns(literal_column("1")).order_by(None).subquery()
_COUNT_OPEN = select(func.count()).select_from(_OPEN)
_LIMITS = select(executions.c.template_id, executions.c.max_parallel).where(executions.c.id == sql.B("execution_id"))


def startable(
    transaction: Transaction, policy: ClaimPolicy, load: Callable[[Transaction, str], Plan], limit: int
) -> dict[str, int]:
    """How many jobs of each execution this process may start now, `limit` at most; executions with none are left out."""
    (now,) = transaction.row(sql.CLOCK) or (0.0,)
    outlook = Outlook(transaction, policy, now)
    found: dict[str, int] = {}
    for execution_id, ready in transaction.rows(sql.UNCLAIMED, {"limit": limit}):
        if ready and (limits := transaction.row(_LIMITS, {"execution_id": execution_id})):
            template_id, max_parallel = limits
            try:
                closed = outlook.gate(load(transaction, template_id), template_id).closed()
            except Exception as error:
                if may_pass(error):
                    raise
                log.error("a run's plan cannot be read, and its jobs are left alone: %s", error)
                continue
            asked = {"execution_id": execution_id, "now": now, "shut": closed, "limit": limit}
            may_start = _count(transaction, _COUNT_OPEN, asked) if closed else ready
            if max_parallel is not None:
                may_start = min(may_start, max_parallel - _count(transaction, sql.COUNT_RUNNING, asked))
            if may_start > 0:
                found[execution_id] = may_start
    return found


def _count(transaction: Transaction, statement: Any, asked: dict[str, Any]) -> int:
    found = transaction.row(statement, asked)
    return int(found[0]) if found else 0
