"""A dry run: how many jobs each node would have, and which of them have a cached result already. A cached output lets the jobs
after it be looked up too; what nobody has computed yet is not known, and counts as to be run. Nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xtyl_engine import statements as sql
from xtyl_engine.artifacts import ArtifactStore
from xtyl_engine.cache import cache_key
from xtyl_engine.catalogue import DEFAULT_PROJECT
from xtyl_engine.database import Database
from xtyl_engine.errors import WorkflowException
from xtyl_engine.execute import rendered
from xtyl_engine.gather import visible
from xtyl_engine.nodes import configure
from xtyl_engine.plan import Plan, PlanNode, head, iterate_items, shared_axes
from xtyl_engine.states import JobState

_UNKNOWN = object()
LookUp = Callable[[str], tuple[Any, ...] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeForecast:
    """What one node would do. `jobs` is None where a list born at run time decides."""

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
    project: str = DEFAULT_PROJECT,
) -> list[NodeForecast]:
    """One forecast per node, in topological order. `provider` is the one used where a node names none, `project` the one whose
    results count."""
    known: dict[tuple[str, str], Any] = {}
    with database.read() as transaction:

        def look_up(key: str) -> tuple[Any, ...] | None:
            return transaction.row(sql.CACHED_IN, {"cache_key": key, "project": project})

        return [_forecast_node(look_up, plan, node, rows, known, store, provider) for node in plan.nodes.values()]


def _forecast_node(
    look_up: LookUp,
    plan: Plan,
    node: PlanNode,
    rows: Sequence[Mapping[str, Any]],
    known: dict[tuple[str, str], Any],
    store: ArtifactStore,
    provider: str,
) -> NodeForecast:
    if plan.birth(node.id) is not None:
        return NodeForecast(node=node.id, type=node.type, jobs=None, cached=0)
    jobs, cached = 0, 0
    for item in _items(plan, node, len(rows)):
        jobs += 1
        found = _look(look_up, plan, node, item, rows, known, store, provider)
        if found is not _UNKNOWN:
            known[node.id, item] = found
            cached += 1
    return NodeForecast(node=node.id, type=node.type, jobs=jobs, cached=cached)


def _look(
    look_up: LookUp,
    plan: Plan,
    node: PlanNode,
    item: str,
    rows: Sequence[Mapping[str, Any]],
    known: Mapping[tuple[str, str], Any],
    store: ArtifactStore,
    provider: str,
) -> Any:
    upstream = {name: _known(plan, plan.nodes[name], node, item, known) for name in node.reads.nodes}
    kind = node.kind
    if kind.waits or kind.takes_function or any(value is _UNKNOWN for value in upstream.values()):
        return _UNKNOWN
    try:
        config = configure(kind, rendered(kind, node.config, {**rows[int(head(item, 1))], **upstream}))
    except WorkflowException:
        return _UNKNOWN
    key = cache_key(kind, node, config, item, provider)
    found = look_up(key) if key else None
    return _UNKNOWN if found is None else visible(node, JobState.COMPLETED, found[0], None, store)


def _known(plan: Plan, source: PlanNode, reader: PlanNode, item: str, known: Mapping[tuple[str, str], Any]) -> Any:
    """What the job would read from one node, if all of it is known."""
    if plan.birth(source.id) is not None:
        return _UNKNOWN
    shared = shared_axes(source.axes, reader.axes)
    prefix = head(item, shared)
    if shared == len(source.axes):
        return known.get((source.id, prefix), _UNKNOWN)
    lengths = [plan.lengths[axis] for axis in source.axes[shared:]]
    values = [known.get((source.id, each), _UNKNOWN) for each in iterate_items(prefix, lengths)]
    return _UNKNOWN if any(value is _UNKNOWN for value in values) else values


def _items(plan: Plan, node: PlanNode, rows: int) -> Iterator[str]:
    lengths = [plan.lengths[axis] for axis in node.axes[1:]]
    for row in range(rows):
        yield from iterate_items(str(row), lengths)
