"""An amount of money as a person gives it to a run or a workflow. Whether there is that much to spend is for the engine."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

from xtyl_engine.errors import ControlRefused, with_article
from xtyl_engine.limits import LEAST_BUDGET, MAX_BUDGET


def dollars_of(budget: Any) -> float | None:
    """A number of dollars, of numpy too. Raises TypeError for anything else."""
    if budget is None:
        return None
    kind = type(budget).__name__
    # numpy has two names for its own `bool`.
    if kind in ("bool", "bool_") or not isinstance(budget, SupportsFloat):
        raise TypeError(f"budget is a number of US dollars, not {with_article(kind)}: budget=5.00")
    try:
        return float(budget)
    except OverflowError:
        return math.inf


def budget_of(budget: Any) -> float | None:
    """The same for a run that goes on. Raises ControlRefused for what is no amount that may be spent."""
    amount = dollars_of(budget)
    if amount is not None and not LEAST_BUDGET <= amount <= MAX_BUDGET:
        raise ControlRefused(
            f"budget is {amount!r}, which is no amount that a run may spend",
            hint=f"Write US dollars, more than 0 and at most {MAX_BUDGET:,}: `run.resume(budget=5.00)`, for example.",
        )
    return amount
