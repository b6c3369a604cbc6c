"""Folds a large graph: nodes that do the same in the same place share a card, such as a hundred branches side by side, and so do
nodes of one type in a row. Pure; a small graph is left as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from xtyl_engine.queries.views import NodeOverview, Overview
from xtyl_engine.states import JobState
from xtyl_engine.workflow.document import Edge
from xtyl_engine.workflow.plan import Plan
from xtyl_nb.drawing.layout import rank_levels

MOST_CARDS = 60
FEWEST_MEMBERS = 4
MOST_IMAGES = 4


@dataclass(frozen=True)
class Fold:
    """The cards of a graph: each by the id of its first node, with all its nodes."""

    stacks: Mapping[str, tuple[str, ...]]

    @cached_property
    def card_of(self) -> Mapping[str, str]:
        """The card that shows a node."""
        return {node: first for first, members in self.stacks.items() for node in members}

    def edges(self, edges: Iterable[Edge]) -> list[Edge]:
        """The edges between cards, at most one for each pair; several branches in one edge are not named."""
        between: dict[tuple[str, str], Edge] = {}
        for edge in edges:
            ends = source, target = self.card_of[edge.source], self.card_of[edge.target]
            if source != target:
                same = ends not in between or between[ends].branch == edge.branch
                between[ends] = Edge(source=source, target=target, branch=edge.branch if same else None)
        return list(between.values())

    def levels(self, plan: Plan, edges: Sequence[Edge]) -> Mapping[str, int]:
        """The level of each card; folded nodes leave no gap."""
        if len(self.stacks) == len(plan.nodes):
            return {id: node.depth for id, node in plan.nodes.items()}
        return rank_levels(self.stacks, edges)

    def overview(self, overview: Overview) -> Overview:
        """The same overview with one node overview for each card."""
        if len(self.stacks) == len(overview.nodes):
            return overview
        nodes = {
            first: _together([(id, overview.nodes.get(id, NodeOverview())) for id in members])
            for first, members in self.stacks.items()
        }
        return replace(overview, nodes=nodes)


def fold(plan: Plan, opened: Collection[str] = ()) -> Fold:
    """Fold a graph of many nodes, except the opened stacks, which are named by their first nodes."""
    if len(plan.nodes) <= MOST_CARDS:
        return Fold({id: (id,) for id in plan.nodes})
    groups = [*_alike(plan), *_in_a_row(plan)]
    stacks = {group[0]: group for group in groups if len(group) >= FEWEST_MEMBERS and group[0] not in opened}
    hidden = {id: group[0] for group in stacks.values() for id in group}
    return Fold({id: stacks.get(id, (id,)) for id in plan.nodes if hidden.get(id, id) == id})


def _alike(plan: Plan) -> list[tuple[str, ...]]:
    """Groups of nodes of one type that follow from the same start by the same steps."""
    kinds: dict[object, int] = {}
    kind_of: dict[str, int] = {}
    groups: dict[int, list[str]] = {}
    for node in sorted(plan.nodes.values(), key=lambda node: node.depth):
        likeness = (node.type, frozenset((kind_of[link.source], link.branch is None) for link in node.parents))
        kind = kind_of[node.id] = kinds.setdefault(likeness, len(kinds))
        groups.setdefault(kind, []).append(node.id)
    return [tuple(group) for group in groups.values() if len(group) >= FEWEST_MEMBERS]


def _in_a_row(plan: Plan) -> list[tuple[str, ...]]:
    """Groups of nodes of one type in a row: each is the only child of the one before, which is its only parent."""
    children: dict[str, set[str]] = {id: set() for id in plan.nodes}
    for node in plan.nodes.values():
        for link in node.parents:
            children[link.source].add(node.id)

    def goes_on(id: str) -> str | None:
        (only, *others) = children[id] or {""}
        node = plan.nodes.get(only)
        is_next = node and not others and {link.source for link in node.parents} == {id}
        return only if node and is_next and node.type == plan.nodes[id].type else None

    following = {id: after for id in plan.nodes if (after := goes_on(id))}
    rows = []
    for first in following.keys() - set(following.values()):
        row = [first]
        while row[-1] in following:
            row.append(following[row[-1]])
        rows.append(tuple(row))
    return rows


def _together(overviews: Sequence[tuple[str, NodeOverview]]) -> NodeOverview:
    if len(overviews) == 1:
        return overviews[0][1]
    nodes = [node for _, node in overviews]
    counts = sum((Counter(node.counts) for node in nodes), Counter[JobState]())
    is_over = NodeOverview(counts=counts).is_over
    return NodeOverview(
        counts=counts,
        started=min((node.started for node in nodes if node.started is not None), default=None),
        finished=max((node.finished for node in nodes if node.finished is not None), default=None) if is_over else None,
        # What its nodes worked together is known only as a sum.
        worked=sum(node.work[0] for node in nodes),
        at_work=sum(node.work[1] for node in nodes),
        starts=sum(node.work[2] for node in nodes),
        busy_until=max((node.busy_until for node in nodes if node.busy_until is not None), default=None),
        printed=next((node.printed for node in reversed(nodes) if node.printed), None),
        text=next((node.text for node in reversed(nodes) if node.text), None),
        spent=_sum(node.spent for node in nodes),
        unpriced=_sum(node.unpriced for node in nodes),
        from_cache=_sum(node.from_cache for node in nodes),
        saved=_sum(node.saved for node in nodes),
        cut=sum(node.cut for node in nodes),
        images=tuple(image for node in nodes for image in node.images[:1])[:MOST_IMAGES],
        error=next((f"{id}: {node.error}" for id, node in overviews if node.error), None),
    )


def _sum(amounts: Iterable[int | None]) -> int | None:
    found = list(amounts)
    return None if None in found else sum(amount or 0 for amount in found)
