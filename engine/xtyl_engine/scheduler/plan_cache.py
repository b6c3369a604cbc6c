"""Caches plans by their digest, loaded from SQL once while they are in use. A plan never changes, so no copy is ever stale."""

from __future__ import annotations

import threading

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.errors import BackendError
from xtyl_engine.values.recent import Recent
from xtyl_engine.workflow.plan import Plan, load_plan

# In characters of the stored plans: a loaded plan takes several times as much memory.
CAPACITY = 16 * 1024 * 1024
# However short they are, no more plans than this are kept.
MOST = 64


class PlanCache:
    """The latest plans that a process used."""

    def __init__(self) -> None:
        self._plans: Recent[str, Plan] = Recent(CAPACITY)
        self._lock = threading.Lock()

    def known(self, template_id: str) -> Plan | None:
        """The plan, if it is in the cache."""
        return self._plans.get(template_id)

    def load(self, transaction: Transaction, template_id: str) -> Plan:
        """The plan with this digest. Raises BackendError if the template's row is gone."""
        with self._lock:
            known = self._plans.get(template_id)
            if known is None:
                stored = self._read(transaction, template_id)
                known = load_plan(stored)
                self._plans.put(template_id, known, max(len(stored), CAPACITY // MOST))
            return known

    def _read(self, transaction: Transaction, template_id: str) -> str:
        found = transaction.row(sql.PLAN, {"template_id": template_id})
        if found is None:
            raise BackendError(
                f"the template {template_id} is gone from the database",
                hint="Restore the backup whole, if one was restored in part.",
            )
        return str(found[0])
