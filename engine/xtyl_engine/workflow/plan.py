"""A Plan: a validated workflow with the answer to everything that the scheduler asks. Immutable, one per Template, the same
for every execution of it, cached per process by its digest. It is made here, and checked in `validate`.

**Axes.** Every node has axes: first the frame's rows, then the lists it runs `over`, then its own list if `n > 1`. An axis
is named by the node that makes the list. Its length is known when the plan is made (`n`), at submission (rows), or only at
run time, when the list is expanded (a function's list, the options chosen in a review). A job is a node and an item; an item
is a path of positions, one per axis: `3` is row 3, `3.0` the first item of that row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from xtyl_engine.workflow.document import Document, Edge, Node

if TYPE_CHECKING:
    from xtyl_engine.nodes.base import NodeType

ROWS = "$rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one node reads: the outputs of other nodes, and the columns of its row."""

    nodes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One edge as the scheduler sees it. `level` counts the leading axes that both ends share: jobs whose items agree in
    that many positions are linked."""

    source: str
    target: str
    branch: str | None
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanNode:
    """One node of a plan. `depth` is its execution level; `expands` says that its output is a list others run over."""

    id: str
    type: str
    config: Mapping[str, Any]
    axes: tuple[str, ...]
    reads: Reading
    depth: int
    expands: bool = False
    parents: tuple[Link, ...] = ()
    children: tuple[Link, ...] = ()

    @property
    def kind(self) -> NodeType:
        """The facts of the node's type."""
        from xtyl_engine.nodes.registry import type_facts

        return type_facts(self.type)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A workflow that may be submitted. `nodes` are in topological order; `lengths` has the axes of known length."""

    name: str
    nodes: Mapping[str, PlanNode]
    lengths: Mapping[str, int]
    inputs: tuple[str, ...]
    document: Document = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """The hash of the plan: equal plans share a Template."""
        return sha256(self.to_json().encode()).hexdigest()[:32]

    def expanded_by(self, node: str) -> str | None:
        """The node whose list brings this node's jobs into being, or None if they exist from the start."""
        dynamic = [axis for axis in self.nodes[node].axes[1:] if axis not in self.lengths]
        return dynamic[-1] if dynamic else None

    def with_configs(self, configs: Mapping[str, Mapping[str, Any]]) -> Plan:
        """The same plan with other configs for some nodes, and the same links."""
        nodes = {name: replace(node, config=configs.get(name, node.config)) for name, node in self.nodes.items()}
        return replace(self, nodes=nodes)

    def main_of(self, node: str) -> str | None:
        """The field that stands for a node's output."""
        found = self.nodes.get(node)
        return None if found is None else found.kind.main_of(found.config)

    def main_value(self, node: str, output: Mapping[str, Any]) -> Any:
        """The value that stands for an output of a node, in text and in a frame."""
        from xtyl_engine.nodes.registry import main_value

        found = self.nodes[node]
        return main_value(found.kind, output, found.config, self.main_of)

    @cached_property
    def expansions(self) -> Mapping[str, tuple[str, ...]]:
        """Per list-bearing node, the nodes whose jobs its list brings into being."""
        found: dict[str, list[str]] = {}
        for node in self.nodes:
            if (expander := self.expanded_by(node)) is not None:
                found.setdefault(expander, []).append(node)
        return {expander: tuple(nodes) for expander, nodes in found.items()}

    @cached_property
    def functions(self) -> Mapping[str, Any]:
        """The function of each node that takes one: the function itself, or the mapping it is stored as."""
        return {name: node.config.get("function") for name, node in self.nodes.items() if node.kind.takes_function}

    @cached_property
    def reviews(self) -> tuple[str, ...]:
        """The nodes where a person decides."""
        return tuple(name for name, node in self.nodes.items() if node.kind.waits)

    @cached_property
    def guarded(self) -> frozenset[str]:
        """The nodes inside a branch."""
        nodes = self.nodes.values()
        return frozenset(node.id for node in nodes if any(link.branch is not None for link in node.parents))

    def to_json(self) -> str:
        """Canonical JSON, enough for a worker to schedule and execute without validating again."""
        return json.dumps(
            {
                "name": self.name,
                "inputs": self.inputs,
                "lengths": dict(self.lengths),
                "nodes": [
                    {
                        "id": node.id,
                        "type": node.type,
                        "config": dict(node.config),
                        "axes": node.axes,
                        "reads": asdict(node.reads),
                        "depth": node.depth,
                        "bears": node.expands,
                        "parents": [[link.source, link.branch, link.level] for link in node.parents],
                    }
                    for node in self.nodes.values()
                ],
                "edges": [[edge.source, edge.target, edge.branch] for edge in self.document.edges],
                "document_inputs": self.document.inputs,
                # Left out where there is none, so that plans stored before have the same digest.
                **({} if self.document.budget is None else {"budget": self.document.budget}),
            },
            separators=(",", ":"),
        )


def load_plan(text: str) -> Plan:
    """The plan that `Plan.to_json` has written."""
    from xtyl_engine.workflow.unfolding import is_unfolded

    stored = json.loads(text)
    entries = stored["nodes"]
    links = [
        Link(source=source, target=entry["id"], branch=branch, level=level)
        for entry in entries
        for source, branch, level in entry["parents"]
    ]
    nodes = [
        PlanNode(
            id=entry["id"],
            type=entry["type"],
            config=entry["config"],
            axes=tuple(entry["axes"]),
            reads=Reading(nodes=tuple(entry["reads"]["nodes"]), columns=tuple(entry["reads"]["columns"])),
            depth=entry["depth"],
            expands=entry["bears"],
        )
        for entry in entries
    ]
    return Plan(
        name=stored["name"],
        nodes=_tied(nodes, links),
        lengths=stored["lengths"],
        inputs=tuple(stored["inputs"]),
        document=Document(
            name=stored["name"],
            nodes=tuple(
                Node(id=entry["id"], type=entry["type"], config=entry["config"])
                for entry in entries
                if not is_unfolded(entry["id"])
            ),
            edges=tuple(Edge(source=s, target=t, branch=b) for s, t, b in stored["edges"]),
            inputs=None if stored["document_inputs"] is None else tuple(stored["document_inputs"]),
            budget=stored.get("budget"),
        ),
    )


def make_plan(
    document: Document,
    *,
    order: Iterable[str],
    depths: Mapping[str, int],
    edges: Iterable[Edge],
    readings: Mapping[str, Reading],
    expanders: frozenset[str],
    inputs: tuple[str, ...],
    nodes: Collection[Node] | None = None,
) -> Plan:
    """Derive the axes and links of a document that has no problems.

    `edges` are all of them, written and implied by references; `expanders` are the nodes of a type whose output may be
    a list at run time, `nodes` all of them, if there are more than those of the document. Nothing is checked here.
    """
    nodes = document.nodes if nodes is None else nodes
    written = {node.id: node for node in nodes}
    overs = {node.id: node.config["over"] for node in nodes if node.config.get("over")}
    lengths = {node.id: length for node in nodes if (length := list_length(node.config)) > 1}
    expanding = expanders & set(overs.values())
    axes: dict[str, tuple[str, ...]] = {}
    planned = []
    for id in order:
        over = overs.get(id)
        base = (ROWS,) if over is None else axes[over] + ((over,) if over in expanding else ())
        axes[id] = base + ((id,) if id in lengths else ())
        planned.append(
            PlanNode(
                id=id,
                type=written[id].type,
                config=written[id].config,
                axes=axes[id],
                reads=readings[id],
                depth=depths[id],
                expands=id in expanding,
            )
        )
    links = [
        Link(source=e.source, target=e.target, branch=e.branch, level=shared_axes(axes[e.source], axes[e.target]))
        for e in edges
    ]
    return Plan(name=document.name, nodes=_tied(planned, links), lengths=lengths, inputs=inputs, document=document)


def list_length(config: Mapping[str, Any]) -> int:
    """How many items a node makes for each of its inputs, as its parameter `n` says. One that is no whole number is a word of
    the type's own."""
    count = config.get("n", 1)
    return count if type(count) is int and count > 1 else 1


def shared_axes(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """How many leading axes two nodes share."""
    pairs = zip(first, second, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _tied(nodes: Iterable[PlanNode], links: Iterable[Link]) -> Mapping[str, PlanNode]:
    parents: dict[str, list[Link]] = {}
    children: dict[str, list[Link]] = {}
    for link in links:
        parents.setdefault(link.target, []).append(link)
        children.setdefault(link.source, []).append(link)
    return {
        node.id: replace(node, parents=tuple(parents.get(node.id, ())), children=tuple(children.get(node.id, ())))
        for node in nodes
    }


def place_of(item: str) -> tuple[int, ...]:
    """An item's positions as numbers, by which items are sorted: jobs are made in any order."""
    return tuple(map(int, item.split(".")))


def reading_order(plan: Plan) -> Callable[[Any], tuple[Any, ...]]:
    """The key that sorts jobs of a plan: by row, then by node in the plan's order, then by item."""
    order = {name: number for number, name in enumerate(plan.nodes)}

    def key(job: Any) -> tuple[Any, ...]:
        place = place_of(job.item)
        return place[0], order[job.node], place

    return key


def head(item: str, level: int) -> str:
    """The first `level` positions of an item."""
    return ".".join(item.split(".")[:level])


def iterate_items(prefix: str, lengths: Iterable[int]) -> Iterator[str]:
    """Every item below a prefix, in order, for these lengths of the axes that follow."""
    lengths = tuple(lengths)
    if not lengths:
        yield prefix
        return
    for place in range(lengths[0]):
        yield from iterate_items(f"{prefix}.{place}", lengths[1:])
