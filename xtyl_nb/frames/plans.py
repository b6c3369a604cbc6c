"""The frame of a plan before its run: what each node would have to do, why, and between what amounts it will likely cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from xtyl_engine.providers.prices import dollars
from xtyl_nb.drawing.words import price
from xtyl_nb.frames.result_frame import ResultFrame

if TYPE_CHECKING:
    from xtyl_engine.queries.forecast import NodeForecast
    from xtyl_engine.workflow.plan import Plan


@dataclass(frozen=True, slots=True)
class Total:
    """What all nodes would have to do together. The amounts, in whole 1e-9 dollars, are those of the nodes whose costs are known;
    `is_known` says that all are."""

    jobs: int
    low: int
    high: int
    is_known: bool

    @classmethod
    def of(cls, forecasts: Sequence[NodeForecast]) -> Total:
        """That of these nodes."""
        return cls(
            jobs=sum((each.jobs or 0) - each.cached for each in forecasts),
            low=sum(each.cost_low or 0 for each in forecasts),
            high=sum(each.cost_high or 0 for each in forecasts),
            is_known=all(each.cost_high is not None for each in forecasts),
        )

    def __str__(self) -> str:
        work = f"{self.jobs:,} job{'' if self.jobs == 1 else 's'} to run"
        if not self.high:
            return f"{work}, at {'no cost' if self.is_known else 'a cost that is not known'}"
        more = "" if self.is_known else " and what is not known"
        return f"{work}, for {self.amounts}{more}"

    @property
    def amounts(self) -> str:
        """Between what amounts it will likely cost, in dollars."""
        low, high = (price(dollars(each) or 0) for each in (self.low, self.high))
        return low if low == high else f"{low} to {high}"

    def doubt(self, budget: float | None) -> str | None:
        """That a run will not come to its end within its budget, or may not; None where it will."""
        if budget is None or (dollars(self.high) or 0) <= budget:
            return None
        will = "will" if (dollars(self.low) or 0) > budget else "may"
        told = f"its budget is {price(budget)}, and it will likely cost {self.amounts}"
        return f"The run {will} pause before its end: {told}. `run.resume(budget=...)` goes on then."


def plan_frame(plan: Plan, forecasts: Sequence[NodeForecast], warnings: Sequence[str] = ()) -> ResultFrame:
    """One row per node: its type, its level, the number of its jobs, of those with a cached result, and of those left to run, why
    they run, and between what amounts in dollars they will likely cost. It carries the warnings that were told of the workflow
    over its table."""
    jobs, cached = (pd.array([getattr(each, name) for each in forecasts], dtype="Int64") for name in ("jobs", "cached"))
    low, high = (
        pd.array([dollars(getattr(each, name)) for each in forecasts], dtype="Float64")
        for name in ("cost_low", "cost_high")
    )
    table = pd.DataFrame(
        {
            "type": pd.Series([each.type for each in forecasts], dtype="str"),
            "level": pd.array([plan.nodes[each.node].depth for each in forecasts], dtype="Int64"),
            "jobs": jobs,
            "cached": cached,
            "to_run": pd.Series(jobs) - pd.Series(cached),
            "why": pd.Series([each.why for each in forecasts], dtype="str"),
            "cost_low": low,
            "cost_high": high,
        }
    )
    table.index = pd.Index([each.node for each in forecasts], name="node", dtype="str")
    frame = ResultFrame(table)
    frame.warnings = tuple(warnings)
    frame.total = str(Total.of(forecasts))
    return frame
