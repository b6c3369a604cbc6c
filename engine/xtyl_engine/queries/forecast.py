"""A dry run: how many jobs each node would have, and how many of them have a cached result. A job whose inputs are all cached is
looked up in turn; one that needs an output not computed yet counts as to be run. Nothing runs, and nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xtyl_engine import DEFAULT_PROJECT
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import WorkflowException
from xtyl_engine.nodes.registry import configure
from xtyl_engine.queries.job_inputs import visible
from xtyl_engine.queries.result_cache import cache_key
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.workflow.plan import Plan, PlanNode, head, iterate_items, shared_axes
from xtyl_engine.workflow.templating.names import ROW
from xtyl_engine.workflow.templating.render import rendered

_UNKNOWN = object()
LookUp = Callable[[str], tuple[Any, ...] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeForecast:
    """How many jobs one node would have. `jobs` is None where the length of a list known only at run time decides."""

    node: str
    type: str
    jobs: int | None
    cached: int


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
    """One forecast per node, in topological order. `provider` serves nodes that name none; only cached results of `project`
    count."""
    with database.read() as transaction:

        def look_up(key: str) -> tuple[Any, ...] | None:
            return transaction.row(sql.CACHED_IN, {"cache_key": key, "project": project})

        look = _Look(look_up=look_up, plan=plan, rows=rows, store=store, provider=provider, variables=variables)
        return [look.node(node) for node in plan.nodes.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Goes through a plan node by node; `known` holds the cached outputs found so far, by node and item."""

    look_up: LookUp
    plan: Plan
    rows: Sequence[Mapping[str, Any]]
    store: ArtifactStore
    provider: str
    variables: Mapping[str, str]
    known: dict[tuple[str, str], Any] = field(default_factory=dict)

    def node(self, node: PlanNode) -> NodeForecast:
        """The forecast of one node; call it in topological order."""
        if self.plan.expanded_by(node.id) is not None:
            return NodeForecast(node=node.id, type=node.type, jobs=None, cached=0)
        jobs, cached = 0, 0
        for item in self._items(node):
            jobs += 1
            found = self._output(node, item)
            if found is not _UNKNOWN:
                self.known[node.id, item] = found
                cached += 1
        return NodeForecast(node=node.id, type=node.type, jobs=jobs, cached=cached)

    def _items(self, node: PlanNode) -> Iterator[str]:
        lengths = [self.plan.lengths[axis] for axis in node.axes[1:]]
        for row in range(len(self.rows)):
            yield from iterate_items(str(row), lengths)

    def _output(self, node: PlanNode, item: str) -> Any:
        upstream = {name: self._read(self.plan.nodes[name], node, item) for name in node.reads.nodes}
        kind = node.kind
        if kind.waits or any(value is _UNKNOWN for value in upstream.values()):
            return _UNKNOWN
        if kind.takes_function and not isinstance(node.config.get("function"), Mapping):
            # What is stored names the digest of its code; of this one none was made.
            return _UNKNOWN
        row = self.rows[int(head(item, 1))]
        try:
            config = configure(kind, rendered(kind, node.config, {ROW: row, **row, **upstream}))
        except WorkflowException:
            return _UNKNOWN
        key = cache_key(kind, node, config, item, self.provider, self.variables)
        found = self.look_up(key) if key else None
        return _UNKNOWN if found is None else visible(self.plan, node, JobState.COMPLETED, found[0], None, self.store)

    def _read(self, source: PlanNode, reader: PlanNode, item: str) -> Any:
        """What the job would read from one node, or `_UNKNOWN` if a part of it is not known."""
        if self.plan.expanded_by(source.id) is not None:
            return _UNKNOWN
        shared = shared_axes(source.axes, reader.axes)
        prefix = head(item, shared)
        if shared == len(source.axes):
            return self.known.get((source.id, prefix), _UNKNOWN)
        lengths = [self.plan.lengths[axis] for axis in source.axes[shared:]]
        values = [self.known.get((source.id, each), _UNKNOWN) for each in iterate_items(prefix, lengths)]
        return _UNKNOWN if any(value is _UNKNOWN for value in values) else values
