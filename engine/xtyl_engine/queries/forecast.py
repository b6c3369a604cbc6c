"""A dry run: how many jobs each node would have, how many of them have a cached result, why the others run, and between what
amounts they will likely cost. Nothing runs, and nothing is written.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xtyl_engine import DEFAULT_PROJECT
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import WorkflowException, visible
from xtyl_engine.queries.earlier_runs import EarlierRuns
from xtyl_engine.queries.foresight import Foreseen, Foresight
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.workflow.cost_range import CostRange, Span
from xtyl_engine.workflow.plan import Plan, PlanNode

# Of a text that is not known yet.
UNKNOWN_BYTES = 6000
MOST_SAID = 120
MOST_NAMES, MOST_REASONS = 4, 3
NEW = "new, no result yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeForecast:
    """What one node would have to do. `jobs` is None where the length of a list known only at run time decides. `why` says in
    words which of its jobs run. The two amounts are those between which they will likely cost, in whole 1e-9 dollars; None where
    that is not known."""

    node: str
    type: str
    jobs: int | None
    cached: int
    why: str = ""
    cost_low: int | None = None
    cost_high: int | None = None


def forecast(
    plan: Plan,
    rows: Sequence[Mapping[str, Any]],
    *,
    database: Database,
    store: ArtifactStore,
    provider: str,
    variables: Mapping[str, str] = os.environ,
    project: str = DEFAULT_PROJECT,
) -> list[NodeForecast]:
    """One forecast per node, in topological order. `provider` serves nodes that name none; only cached results, and earlier runs
    of the workflow, of `project` count. Raises PricesInvalid."""
    with database.read() as transaction:

        def look_up(key: str) -> tuple[Any, ...] | None:
            return transaction.row(sql.CACHED_IN, {"cache_key": key, "project": project})

        look = Foresight(look_up=look_up, plan=plan, rows=rows, store=store, provider=provider, variables=variables)
        forecaster = _Forecaster(look=look, earlier=EarlierRuns(transaction, project, plan.name))
        return [forecaster.node(node) for node in plan.nodes.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forecaster:
    """Sums up a plan node by node, in topological order. `_unsure` are those that may be skipped."""

    look: Foresight
    earlier: EarlierRuns
    _unsure: set[str] = field(default_factory=set)
    _ranges: dict[str, CostRange] = field(default_factory=dict)

    def node(self, node: PlanNode) -> NodeForecast:
        """The forecast of one node."""
        if self._may_be_skipped(node):
            self._unsure.add(node.id)
        items = self.look.items(node)
        if items is None:
            return self._uncounted(node)
        reasons, cached = Counter[str](), 0
        span: Span | None = Span()
        for item in items:
            reason, is_cached, cost = self._job(node, item)
            reasons[reason] += 1
            cached += is_cached
            span = None if span is None or cost is None else span + cost
        return self._told(node, len(items), cached, self._words(node, reasons), span)

    def _job(self, node: PlanNode, item: str) -> tuple[str, bool, Span | None]:
        """Why one job runs, whether its result is in the cache instead, and what it will cost."""
        never = _never_cached(node)
        if node.kind.takes_function and (never or not isinstance(node.config.get("function"), Mapping)):
            # What is stored names the digest of its code; of this one none was made.
            return never or "the code is not known here", False, Span()
        try:
            found = self.look.job(node, item)
        except WorkflowException as error:
            return f"will fail: {visible(error.message)[:MOST_SAID]}", False, Span()
        if not node.kind.asks_provider:
            is_cached = not never and found.found > 0 and not found.configs
            return never or _reason(found), is_cached, Span()
        if found.after is not None:
            return never or _reason(found), False, self._unread(node, item)
        if not found.configs:
            return _reason(found), True, Span()
        spans = [self._costs(node).of(config) for config in found.configs]
        known = [span for span in spans if span is not None]
        if len(known) < len(spans):
            return never or _reason(found), False, None
        low = 0 if found.found else min(span.low for span in known)
        return never or _reason(found), False, Span(low, max(span.high for span in known))

    def _uncounted(self, node: PlanNode) -> NodeForecast:
        """A node whose jobs cannot be counted; they are as many for each row as in the latest run, if there is one."""
        lister = self.look.plan.expanded_by(node.id)
        rows = self.look.rows
        jobs = None if not rows else self.earlier.jobs(node.id, len(rows))
        why = f"as many as {lister} makes" + ("" if jobs is None else f", about {jobs:,} as in the latest run")
        cost: Span | None = Span()
        if node.kind.asks_provider:
            one = self._unread(node, "0") if rows else Span()
            is_free = one == Span()
            cost = one if is_free else None if jobs is None or one is None else one * jobs
        return self._told(node, None, 0, why, cost)

    def _told(self, node: PlanNode, jobs: int | None, cached: int, why: str, span: Span | None) -> NodeForecast:
        low, high = (None, None) if span is None else (span.low, span.high)
        if low and node.id in self._unsure:
            low = 0
        return NodeForecast(
            node=node.id, type=node.type, jobs=jobs, cached=cached, why=why, cost_low=low, cost_high=high
        )

    def _words(self, node: PlanNode, reasons: Counter[str]) -> str:
        """Why the jobs run, in words; of new ones also what was changed."""
        told = reasons.most_common()
        if reasons[NEW] and (changed := self.earlier.changed(node.id, node.config)):
            named = f"new: `{'`, `'.join(changed[:MOST_NAMES])}` changed since the latest run"
            told = [(named if reason == NEW else reason, count) for reason, count in told]
        if len(told) < 2:
            return "".join(reason for reason, _ in told)
        rest = sum(count for _, count in told[MOST_REASONS:])
        words = [f"{count:,} {reason}" for reason, count in told[:MOST_REASONS]]
        return "; ".join([*words, *([f"{rest:,} others"] if rest else [])])

    def _unread(self, node: PlanNode, item: str) -> Span | None:
        """What a job will cost of which it is not known what it reads."""
        return self._costs(node).of_unread(node.config, self.look.may_read(node, item, UNKNOWN_BYTES))

    def _costs(self, node: PlanNode) -> CostRange:
        """The costs of a node's jobs. Earlier runs are looked at only if one is asked for."""
        if node.id not in self._ranges:
            provider = str(node.config.get("provider") or self.look.provider)
            seen, variables = self.earlier.seen(node.id), self.look.variables
            self._ranges[node.id] = CostRange(kind=node.kind, provider=provider, environment=variables, seen=seen)
        return self._ranges[node.id]

    def _may_be_skipped(self, node: PlanNode) -> bool:
        parents = [link.source for link in node.parents]
        is_behind = bool(parents) and all(parent in self._unsure for parent in parents)
        return node.id in self.look.plan.guarded or is_behind


def _never_cached(node: PlanNode) -> str | None:
    """Why a node takes no results from the cache; None where it does."""
    kind, said = node.kind, node.config.get("cache")
    if kind.waits:
        return "a person decides" if node.config.get("auto") is None else "decided by itself"
    if node.expands:
        return "a list that others run over is made anew"
    if kind.cached if said is None else said:
        return None
    if kind.takes_function:
        return "a function runs anew without cache=True"
    return "cache=False" if kind.asks_provider else "made anew, at no cost"


def _reason(found: Foreseen) -> str:
    if found.after is not None:
        return f"after {found.after}, which is not known yet"
    if found.found and found.configs:
        return "in the cache for some of the options"
    return NEW if found.configs else "in the cache"
