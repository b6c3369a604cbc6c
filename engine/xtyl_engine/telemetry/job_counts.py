"""Counts the jobs of unfinished executions by state of the execution, state of the job and node type. One grouped query, run when
Prometheus collects and cached in between, so that counting a large backlog does not slow the work on it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction, may_pass
from xtyl_engine.database.tables import executions, jobs
from xtyl_engine.states import ExecutionState
from xtyl_engine.workflow.plan import Plan

log = logging.getLogger("xtyl")
KEEP_SECONDS = 5.0
WAIT_SECONDS = 1.0
# Counting takes at most this share of the time, however many jobs there are.
SHARE = 0.02
# The type of jobs whose plan cannot be read.
UNKNOWN = "unknown"

Row = tuple[tuple[str, str, str], int]

UNFINISHED = [state for state in ExecutionState if not state.is_terminal]
STANDING = (
    select(executions.c.template_id, executions.c.state, jobs.c.node, jobs.c.state, func.count())
    .join(executions, executions.c.id == jobs.c.execution_id)
    .where(sql.among(executions.c.state, *UNFINISHED))
    .group_by(executions.c.template_id, executions.c.state, jobs.c.node, jobs.c.state)
)


class JobCounts:
    """Call it for rows of ((state of the execution, state, type), count); no rows while the database is away."""

    def __init__(self, database: Database, load: Callable[[Transaction, str], Plan]):
        self._database, self._load = database, load
        self._types: dict[str, dict[str, str]] = {}
        self._rows: list[Row] = []
        self._good_until = 0.0
        self._asking = threading.Lock()

    def __call__(self) -> list[Row]:
        if time.monotonic() >= self._good_until and self._asking.acquire(blocking=False):
            asking = threading.Thread(target=self._ask, name="xtyl-job-counts", daemon=True)
            asking.start()
            # A database that does not answer must not hold up the other metrics.
            asking.join(WAIT_SECONDS)
        return self._rows

    def _ask(self) -> None:
        """Count, and release the lock that the caller took."""
        began = time.monotonic()
        try:
            self._rows = self._count()
        except Exception as error:
            log.warning("jobs are not counted: %s", error)
            self._rows = []
        took = time.monotonic() - began
        self._good_until = began + took + max(KEEP_SECONDS, took / SHARE)
        self._asking.release()

    def _count(self) -> list[Row]:
        counts: Counter[tuple[str, str, str]] = Counter()
        with self._database.read() as transaction:
            found = transaction.rows(STANDING)
            self._types = {id: self._types_of(transaction, id) for id in {row[0] for row in found}}
        for template_id, run_state, node, state, count in found:
            counts[run_state, state, self._types[template_id].get(node, UNKNOWN)] += count
        return sorted(counts.items())

    def _types_of(self, transaction: Transaction, template_id: Any) -> dict[str, str]:
        known = self._types.get(template_id)
        try:
            return known or {node.id: node.type for node in self._load(transaction, template_id).nodes.values()}
        except Exception as error:
            if may_pass(error):
                raise
            # One run's plan hides no other run's jobs.
            log.warning("the types of a run's jobs are not known, its plan %s cannot be read: %s", template_id, error)
            return {}
