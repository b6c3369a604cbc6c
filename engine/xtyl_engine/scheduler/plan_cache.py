"""Caches plans by their digest, loaded from SQL once per process. A plan never changes, so no copy is ever stale."""

from __future__ import annotations

import threading
from collections import OrderedDict

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.errors import BackendError
from xtyl_engine.workflow.plan import Plan, load_plan

CAPACITY = 64


class PlanCache:
    """The latest `CAPACITY` plans that a process used."""

    def __init__(self) -> None:
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, template_id: str) -> Plan | None:
        """The plan, if it is in the cache."""
        return self._plans.get(template_id)

    def load(self, transaction: Transaction, template_id: str) -> Plan:
        """The plan with this digest. Raises BackendError if the template's row is gone."""
        with self._lock:
            if template_id not in self._plans:
                self._plans[template_id] = self._read(transaction, template_id)
            self._plans.move_to_end(template_id)
            while len(self._plans) > CAPACITY:
                self._plans.popitem(last=False)
            return self._plans[template_id]

    def _read(self, transaction: Transaction, template_id: str) -> Plan:
        found = transaction.row(sql.PLAN, {"template_id": template_id})
        if found is None:
            raise BackendError(
                f"the template {template_id} is gone from the database",
                hint="Restore the backup whole, if one was restored in part.",
            )
        return load_plan(found[0])
