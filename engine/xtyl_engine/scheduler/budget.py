"""The money of one execution: what it may spend, what it has spent, and what is held for attempts at work, in whole 1e-9 dollars.
It lies under the lock of the execution's row. Which jobs wait for money, and when the execution pauses for it, is for `spending`.
"""

from __future__ import annotations

from sqlalchemy import select, update

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.database.tables import executions
from xtyl_engine.providers.prices import nano_dollars
from xtyl_engine.workflow.plan import Plan

# Of a dollar.
UNIT = 10**9
_E = executions.c
_NAMES = ("budget", "spent", "held", "is_short")
MONEY = select(_E.budget, _E.spent, _E.held, _E.is_short).where(_E.id == sql.B("execution_id"))
_SAVE = update(executions).where(_E.id == sql.B("execution_id")).values({name: sql.B(name) for name in _NAMES})


class Budget:
    """`limit` is None for an execution that may spend any money; then nothing is counted. `is_short` says that jobs may wait."""

    def __init__(self, limit: int | None, spent: int, held: int, is_short: int):
        self.limit, self.spent, self.held, self.is_short = limit, spent, held, bool(is_short)
        self._stored = self._row()

    @property
    def left(self) -> int:
        """What no attempt has spent, nor may spend."""
        return 0 if self.limit is None else self.limit - self.spent - self.held

    def __str__(self) -> str:
        return f"{dollars(self.spent)} of {dollars(self.limit or 0)} is spent"

    def spend(self, amount: int) -> None:
        """Count money that an attempt took; less than nothing where it took less than was thought."""
        self.spent += amount

    def save(self, transaction: Transaction, execution_id: str) -> None:
        """Write it, if it changed."""
        row = self._row()
        if row != self._stored:
            transaction.run(_SAVE, dict(zip(_NAMES, row, strict=True)) | {"execution_id": execution_id})
            self._stored = row

    def _row(self) -> tuple[int | None, int, int, int]:
        return self.limit, self.spent, self.held, int(self.is_short)


def limit_of(plan: Plan, standing: float | None) -> int | None:
    """What an execution of a plan may spend: what its workflow says, else what the back end lets every execution spend."""
    limit = plan.document.budget if plan.document.budget is not None else standing
    return None if limit is None else nano_dollars(limit)


def advised(amount: int) -> str:
    """A budget that goes on for a while after this amount, in dollars, as a person types it."""
    return f"{max(1.5 * amount, UNIT / 100) / UNIT:.3g}"


def dollars(amount: int) -> str:
    """An amount for people: `$4.20`, and as many digits more as a small one needs."""
    value = amount / UNIT
    return f"${value:.2f}" if not value or abs(value) >= 0.1 else f"${value:.2g}"
