"""What a document says, right or wrong, in the form that checks and drawings need: the names that each node reads, the
edges that references imply, the lists that each node runs over. Finds no problems: `checks` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from xtyl_engine.errors import WorkflowException
from xtyl_engine.nodes.base import NodeType
from xtyl_engine.nodes.registry import node_type, node_types
from xtyl_engine.workflow.document import Document, Edge, Node, as_stored
from xtyl_engine.workflow.graph import find_loops, find_upstream, make_graph, order_nodes
from xtyl_engine.workflow.plan import ROWS, list_length, shared_axes
from xtyl_engine.workflow.templating.names import ROW, Use, of_row
from xtyl_engine.workflow.templating.render import iterate_texts, read_names
from xtyl_engine.workflow.unfolding import DOT, is_unfolded, unfolded

if TYPE_CHECKING:
    from xtyl_engine.workflow.graph import Graph

MAX_AXES = 16
# Parameters whose value is the id of another node.
NODE_PARAMETERS = ("over", "of")


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What the Jinja texts of one node read, and the errors of those that cannot be read, each with its parameter."""

    uses: tuple[Use, ...] = ()
    errors: tuple[tuple[str, WorkflowException], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is known of a document. `nodes` has the first node of each id, and those for lists in fields; `kinds` their types."""

    document: Document
    nodes: Mapping[str, Node]
    kinds: Mapping[str, NodeType]
    texts: Mapping[str, Texts]
    edges: tuple[Edge, ...]

    @cached_property
    def graph(self) -> Graph:
        return make_graph(replace(self.document, nodes=tuple(self.nodes.values())), self.edges)

    @cached_property
    def repeated(self) -> frozenset[str]:
        """The ids that more than one node has."""
        counts = Counter(node.id for node in self.document.nodes)
        return frozenset(id for id, count in counts.items() if count > 1)

    @cached_property
    def loops(self) -> list[list[str]]:
        return find_loops(self.graph)

    @cached_property
    def expanders(self) -> frozenset[str]:
        """The nodes whose output may be a list at run time."""
        return frozenset(id for id, kind in self.kinds.items() if kind.expands and (not kind.waits or self.picks(id)))

    def picks(self, id: str) -> bool:
        """Whether a node is a review whose output is a list of choices."""
        return self.nodes[id].kind.waits and self.nodes[id].config.get("choose", 1) != 1

    @cached_property
    def overs(self) -> Mapping[str, str]:
        """Per node, the node that it runs over."""
        return {id: over for id, node in self.nodes.items() if (over := named(node, "over")) and over in self.nodes}

    def length(self, id: str) -> int:
        """How many items a node makes for each of its inputs, 1 where the number is not known."""
        return list_length(self.nodes[id].config)

    @cached_property
    def axes(self) -> Mapping[str, tuple[str, ...]]:
        """Per node its axes, as `make_plan` makes them; cut short where `over` forms a loop or is too deep."""
        expanding = self.expanders & set(self.overs.values())
        axes: dict[str, tuple[str, ...]] = {}
        for id in self.nodes:
            chain, last = {id: None}, id
            while (over := self.overs.get(last)) is not None and over not in axes and over not in chain:
                chain[last := over] = None
            for link in reversed(chain):
                over = self.overs.get(link)
                base = (ROWS,) if over is None else axes.get(over, (ROWS,)) + ((over,) if over in expanding else ())
                axes[link] = (base + ((link,) if self.length(link) > 1 else ()))[: MAX_AXES + 1]
        return axes

    def gives_list(self, source: str, reader: str) -> bool | None:
        """Whether a reader sees a list of a node's outputs; None where only the run decides."""
        axes = self.axes[source]
        if len(axes) > shared_axes(axes, self.axes[reader]):
            return True
        if source in self.expanders and source not in self.axes[reader]:
            return True if self.picks(source) else None
        return False

    @cached_property
    def lineages(self) -> Mapping[str, tuple[str, ...]]:
        """Per review: the node it is of, then the nodes upstream whose outputs belong to single items of that node."""
        reviews = {id: named(node, "of") for id, node in self.nodes.items() if node.kind.waits}
        return {id: self._lineage(of) for id, of in reviews.items() if of and of in self.nodes}

    def _lineage(self, of: str) -> tuple[str, ...]:
        upstream, axes = find_upstream(self.graph, of) - {of}, self.axes[of]
        aligned = [
            id
            for id in sorted(upstream, key=lambda id: self.graph.nodes[id]["place"])
            if self.axes[id] == axes[: len(self.axes[id])] and not self.branches(id)
        ]
        return (of, *aligned)

    def branches(self, id: str) -> tuple[str, ...]:
        """The names of a node's branches."""
        node = self.nodes[id]
        offered = node.kind.branches(node.config)
        return tuple(name for name in offered if isinstance(name, str))

    @cached_property
    def memberships(self) -> Mapping[str, Mapping[str, str]]:
        """Per node the branches it is in, the enclosing ones included: the id of the branching node, and the branch."""
        branched: dict[str, list[Edge]] = {}
        for edge in self.edges:
            if edge.branch is not None:
                branched.setdefault(edge.target, []).append(edge)
        found: dict[str, dict[str, str]] = {}
        for id in [] if self.loops else order_nodes(self.graph):
            for edge in branched.get(id, ()):
                inner = found.setdefault(id, {})
                inner.update(found.get(edge.source, {}))
                inner[edge.source] = edge.branch or ""
        return found


def survey(document: Document, columns: Collection[str] = ()) -> Survey:
    """Analyse a document, right or wrong, over a table that has these columns, as far as they are known."""
    document = as_stored(document)
    nodes: dict[str, Node] = {}
    for node in (*document.nodes, *unfolded(document)):
        nodes.setdefault(node.id, node)
    known = node_types()
    kinds = {id: node_type(node.type) for id, node in nodes.items() if node.type in known}
    taken = {*nodes, *({ROW} & {*columns, *(document.inputs or ())})}
    texts = {id: _read_texts(node, kinds.get(id), taken) for id, node in nodes.items()}
    return Survey(
        document=document, nodes=nodes, kinds=kinds, texts=texts, edges=_all_edges(document.edges, nodes, texts)
    )


def all_edges(document: Document) -> tuple[Edge, ...]:
    """The edges of a document between the nodes that are written: those written, then those that references imply."""
    found: dict[tuple[str, str], Edge] = {}
    for edge in survey(document).edges:
        source = edge.source.partition(DOT)[0]
        if not is_unfolded(edge.target) and source != edge.target:
            found.setdefault((source, edge.target), replace(edge, source=source))
    return tuple(found.values())


def written_graph(document: Document) -> Graph:
    """The graph of the nodes that are written."""
    return make_graph(document, all_edges(document))


def named(node: Node, parameter: str) -> str:
    """The node that a parameter such as `over` names, empty if none. A type without decisions may mean anything by `of`."""
    value = node.config.get(parameter)
    return value if isinstance(value, str) and (parameter != "of" or node.kind.waits) else ""


def _read_texts(node: Node, kind: NodeType | None, taken: Collection[str]) -> Texts:
    uses: dict[Use, None] = {}
    errors = []
    for parameter in kind.rendered if kind else ():
        try:
            for text in iterate_texts(node.config.get(parameter)):
                try:
                    found = read_names(text).uses
                    uses.update(dict.fromkeys(replace(use, path=of_row(use.path, taken)) for use in found))
                except WorkflowException as error:
                    errors.append((parameter, error))
        except WorkflowException as error:
            errors.append((parameter, error))
    return Texts(uses=tuple(uses), errors=tuple(errors))


def _all_edges(written: Iterable[Edge], nodes: Mapping[str, Node], texts: Mapping[str, Texts]) -> tuple[Edge, ...]:
    found: dict[tuple[str, str], Edge] = {}
    for edge in written:
        if edge.source in nodes and edge.target in nodes and edge.source != edge.target:
            known = found.setdefault((edge.source, edge.target), edge)
            if known.branch is None and edge.branch is not None:
                found[edge.source, edge.target] = edge
    for id, node in nodes.items():
        roots = [str(use.path[0]) for use in texts[id].uses]
        for source in (*(named(node, parameter) for parameter in NODE_PARAMETERS), *roots):
            if source and source in nodes and source != id:
                found.setdefault((source, id), Edge(source=source, target=id))
    return tuple(found.values())
