"""Writes what attempts used and cost: to the attempt, to the sums of its job, and to those of its node, in the transaction that
records how the attempt ended. What was paid twice counts twice; what is recorded twice counts once. An attempt that used nothing
costs no statement.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from xtyl_engine.database.tables import TOKENS
from xtyl_engine.providers.base import Usage
from xtyl_engine.providers.prices import nano_dollars
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import Completed, Outcome

_COLUMNS = ("request_id", "notes", *TOKENS, "cost", "cost_kind", "price")
_WHOLE = {*TOKENS, "cost"}
_GIVEN = {name: f"CAST(:{name} AS BIGINT)" if name in _WHOLE else f":{name}" for name in _COLUMNS}
# The first word counts: a result may come twice, when the answer of a commit is lost.
KEEP_USAGE = text(f"""
    UPDATE job_attempts SET {", ".join(f"{name} = {given}" for name, given in _GIVEN.items())}
    WHERE job_id = :job_id AND number = :number AND cost_kind IS NULL
""")
_SUMS = {**{name: name for name in TOKENS}, "spent": "cost", "unpriced": "unpriced"}
_ADDED = [f"{to} = COALESCE({to} + CAST(:{by} AS BIGINT), {to}, CAST(:{by} AS BIGINT))" for to, by in _SUMS.items()]
ADD_USAGE = text(f"""
    UPDATE agent_jobs SET {", ".join(_ADDED)}, price = :price, saved = COALESCE(CAST(:saved AS BIGINT), saved)
    WHERE id = :job_id
""")


def keep_usage(locked: LockedExecution, outcomes: Sequence[Outcome]) -> bool:
    """Write what the attempts with these outcomes used, whatever becomes of the outcomes. Returns whether all of it is added to
    the sums: what is recorded already is not, and then only an outcome that is alone may be committed."""
    used = [outcome for outcome in outcomes if outcome.usage is not None]
    if not used:
        return True
    rows = [_row(outcome, outcome.usage) for outcome in used if outcome.usage is not None]
    if locked.transaction.many(KEEP_USAGE, rows) != len(rows):
        return False
    locked.transaction.many(ADD_USAGE, rows)
    for outcome, row in zip(used, rows, strict=True):
        is_cached = row["cost_kind"] == "none"
        locked.changes.pay(outcome.claim.node, row["cost"] or 0, row["unpriced"], int(is_cached), row["saved"] or 0)
    return True


def _row(outcome: Outcome, usage: Usage) -> dict[str, Any]:
    is_cached = isinstance(outcome, Completed) and outcome.cached
    kind = "none" if is_cached else "unknown" if usage.cost is None else "known"
    return {
        "job_id": outcome.claim.job_id,
        "number": outcome.claim.number,
        "request_id": usage.request_id,
        "notes": json.dumps(usage.notes, ensure_ascii=False) if usage.notes else None,
        **{name: getattr(usage, name) for name in TOKENS},
        "cost": None if usage.cost is None else nano_dollars(usage.cost),
        "cost_kind": kind,
        "price": usage.price,
        "unpriced": int(kind == "unknown"),
        "saved": outcome.saved if isinstance(outcome, Completed) else None,
    }
