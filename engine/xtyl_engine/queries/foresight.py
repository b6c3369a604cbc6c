"""What the jobs of a run would read and give, as far as it is known before the run: the results that the cache has, the options
that a review would offer, the lists of answers that are known. Nothing runs, and nothing is written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, NoReturn

from xtyl_engine.nodes.base import Context, NodeConfig, Wait
from xtyl_engine.nodes.registry import configure
from xtyl_engine.nodes.review import decide
from xtyl_engine.queries.job_inputs import visible, with_items
from xtyl_engine.queries.result_cache import cache_key
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.plain import encode
from xtyl_engine.workflow.plan import Plan, PlanNode, head, iterate_items, shared_axes
from xtyl_engine.workflow.templating.names import ROW
from xtyl_engine.workflow.templating.render import rendered
from xtyl_engine.workflow.unfolding import is_unfolded

UNKNOWN = object()
# More ways in which people may decide are not followed.
MOST_WAYS = 16
log = logging.getLogger("xtyl")
LookUp = Callable[[str], tuple[Any, ...] | None]


@dataclass(frozen=True, slots=True)
class Either:
    """What a value may be, as a person decides. Where it stands for a list, each item of it is one of `values`."""

    values: tuple[Any, ...]
    is_list: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One job before its run. `configs` are its rendered configs for which there is no result yet, one for each way in which what
    it reads may be decided; `found` says for how many there is one. Where it cannot be known what it reads, `after` names the
    first node that is to blame."""

    configs: tuple[NodeConfig, ...] = ()
    found: int = 0
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Goes through a plan node by node, in topological order; `known` holds the outputs found so far, by node and item."""

    look_up: LookUp
    plan: Plan
    rows: Sequence[Mapping[str, Any]]
    store: ArtifactStore
    provider: str
    variables: Mapping[str, str]
    known: dict[tuple[str, str], Any] = field(default_factory=dict)
    # Of lists that are not known themselves.
    _lengths: dict[tuple[str, str], int] = field(default_factory=dict)

    def items(self, node: PlanNode) -> list[str] | None:
        """The places of a node's jobs; None where the length of a list that is not known decides."""
        lengths = [self.plan.lengths.get(axis) for axis in node.axes[1:]]
        if None not in lengths:
            plain = [length for length in lengths if length is not None]
            return [item for row in range(len(self.rows)) for item in iterate_items(str(row), plain)]
        return self._below(node, [str(row) for row in range(len(self.rows))], 1)

    def job(self, node: PlanNode, item: str) -> Foreseen:
        """One job. Raises WorkflowException where its texts cannot be rendered."""
        kind = node.kind
        upstream = self._lineage(node, item) if kind.waits else self._upstream(node, item)
        ways = _ways(upstream)
        if ways is None:
            return Foreseen(after=next((name for name, value in upstream.items() if value is UNKNOWN), node.id))
        row = self.rows[int(head(item, 1))]
        missing, outputs = [], []
        for way in ways:
            read = with_items(way)
            config = configure(kind, rendered(kind, node.config, {ROW: row, **row, **read}))
            output = self._computed(node, item, config, read) if kind.computed else self._cached(node, item, config)
            missing += [config] if output is UNKNOWN else []
            outputs.append(output)
        if not missing and (len(outputs) == 1 or not node.expands):
            self.known[node.id, item] = outputs[0] if len(outputs) == 1 else _either(outputs)
        return Foreseen(configs=tuple(missing), found=len(outputs) - len(missing))

    def may_read(self, node: PlanNode, item: str, unknown_bytes: int) -> int:
        """About how many bytes of text a job reads whose inputs are not all known."""
        row = self.rows[int(head(item, 1))]
        read = sum(len(encode(row[name])) for name in node.reads.columns if name in row)
        for source in map(self.plan.nodes.__getitem__, node.reads.nodes):
            times = prod(self.plan.lengths.get(axis, 1) for axis in source.axes[shared_axes(source.axes, node.axes) :])
            # An image alone is no text.
            read += 0 if source.kind.makes_images and source.kind.asks_provider else unknown_bytes * times
        return read

    def _cached(self, node: PlanNode, item: str, config: NodeConfig) -> Any:
        key = cache_key(node.kind, node, config, item, self.provider, self.variables)
        found = self.look_up(key) if key else None
        return UNKNOWN if found is None else self._visible(node, found[0])

    def _computed(self, node: PlanNode, item: str, config: NodeConfig, upstream: Mapping[str, Any]) -> Any:
        done = node.kind.run(config, self._context(node, item, upstream))
        if not isinstance(done, Wait):
            return self._visible(node, encode(done.output))
        options = range(len(done.output["options"]))
        count = min(int(done.output["choose"]), len(options))
        if node.expands:
            self._lengths[node.id, item] = count
        if len(options) > MOST_WAYS:
            return UNKNOWN

        def chosen(first: int) -> Any:
            choice = [first, *(each for each in options if each != first)][:count]
            return self._visible(node, encode(decide(done.output, choose=choice).output))

        if count == len(options):
            return chosen(0)
        ways = [chosen(each) for each in options]
        return Either(tuple(ways)) if count == 1 else Either(tuple(way[0] for way in ways), is_list=True)

    def _visible(self, node: PlanNode, output: str) -> Any:
        return visible(self.plan, node, JobState.COMPLETED, output, None, self.store)

    def _context(self, node: PlanNode, item: str, upstream: Mapping[str, Any]) -> Context:
        return Context(
            execution_id="",
            node=node.id,
            item=item,
            attempt=1,
            key="",
            upstream=upstream,
            artifacts=self.store,
            provider=_refused,
            function=_refused,
            call=_refused,
            cancelled=lambda: False,
            log=log,
        )

    def _upstream(self, node: PlanNode, item: str) -> dict[str, Any]:
        return {name: self._read(self.plan.nodes[name], node, item) for name in node.reads.nodes}

    def _read(self, source: PlanNode, reader: PlanNode, item: str) -> Any:
        """What a job would read from one node, or UNKNOWN if a part of it is not known."""
        shared = shared_axes(source.axes, reader.axes)
        prefix = head(item, shared)
        if shared < len(source.axes):
            places = self._below(source, [prefix], shared)
            return (
                UNKNOWN if places is None else _whole([self.known.get((source.id, each), UNKNOWN) for each in places])
            )
        found = self.known.get((source.id, prefix), UNKNOWN)
        is_item = source.expands and source.id in reader.axes
        if isinstance(found, Either):
            # A whole list of which each item may be this or that is many lists.
            return found if is_item or not found.is_list else UNKNOWN
        return found[int(item.split(".")[shared])] if is_item and isinstance(found, list) else found

    def _lineage(self, review: PlanNode, item: str) -> dict[str, Any]:
        """What a review reads: for each option the outputs behind it, see `job_inputs.read_upstream`."""
        source = self.plan.nodes[review.config["of"]]
        shared = shared_axes(source.axes, review.axes)
        if shared == len(source.axes):
            return self._upstream(review, item)
        places = self._below(source, [head(item, shared)], shared)
        if places is None:
            return {source.id: UNKNOWN}
        if review.expands:
            self._lengths[review.id, item] = min(int(review.config.get("choose", 1)), len(places))
        lineage: dict[str, Any] = {}
        for name in (source.id, *review.reads.nodes):
            other = self.plan.nodes[name]
            depth = len(other.axes)
            if depth <= shared:
                found = [self._read(other, review, item)] * len(places)
            else:
                found = [self.known.get((name, head(place, depth)), UNKNOWN) for place in places]
            if is_unfolded(name) and name in source.axes:
                at = source.axes.index(name)
                found = [_at(each, int(place.split(".")[at])) for each, place in zip(found, places, strict=True)]
            lineage[name] = _whole(found)
        return lineage

    def _below(self, node: PlanNode, prefixes: list[str], level: int) -> list[str] | None:
        for axis in node.axes[level:]:
            longer = []
            for prefix in prefixes:
                length = self._length(axis, prefix)
                if length is None:
                    return None
                longer += [f"{prefix}.{place}" for place in range(length)]
            prefixes = longer
        return prefixes

    def _length(self, axis: str, item: str) -> int | None:
        if axis in self.plan.lengths:
            return self.plan.lengths[axis]
        found = self.known.get((axis, item))
        return len(found) if isinstance(found, list) else self._lengths.get((axis, item))


def _refused(*_: Any) -> NoReturn:
    raise AssertionError("a computed node asks nothing and calls nothing")


def _whole(values: list[Any]) -> Any:
    return UNKNOWN if any(value is UNKNOWN or isinstance(value, Either) for value in values) else values


def _at(value: Any, place: int) -> Any:
    return value[place] if isinstance(value, list) else UNKNOWN


def _either(outputs: Sequence[Any]) -> Any:
    """The values that outputs may have, which may be this or that themselves."""
    values = [each for output in outputs for each in (output.values if isinstance(output, Either) else (output,))]
    return Either(tuple(values)) if len(values) <= MOST_WAYS else UNKNOWN


def _ways(upstream: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """What a job may read, in each way in which it may be decided; None where something is not known, or there are too many."""
    choices = [value.values if isinstance(value, Either) else (value,) for value in upstream.values()]
    if any(value is UNKNOWN for value in upstream.values()) or prod(map(len, choices)) > MOST_WAYS:
        return None
    return [dict(zip(upstream, way, strict=True)) for way in product(*choices)]
