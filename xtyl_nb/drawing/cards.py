"""A card stands for a node or for several alike: its name, its kind, its height, its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import digits
from typing import Any

from xtyl_engine.nodes.registry import type_facts
from xtyl_engine.workflow.document import Edge
from xtyl_engine.workflow.plan import Plan
from xtyl_nb.drawing.folding import Fold
from xtyl_nb.drawing.layout import Card, Layout, arrange


def node_kind(type: str, config: Mapping[str, Any], branch: str | None = None) -> str:
    """The node's type, and the one parameter that says most about it; before them the branch that leads here."""
    parts = [f"{branch}: {type}" if branch else type]
    if type_facts(type).waits:
        parts.append(f"choose {config.get('choose', 1)}")
    elif isinstance(n := config.get("n"), int) and n > 1:
        parts.append(f"{n} each")
    if over := config.get("over"):
        parts.append(f"over {over}")
    return " · ".join(parts)


def lay_out(plan: Plan, folded: Fold) -> Layout:
    """Where the cards of a plan stand."""
    edges = folded.edges(plan_edges(plan))
    levels = folded.levels(plan, edges)
    height = {id: plan.nodes[id].kind.card_height for id in folded.stacks}
    return arrange([Card(id=id, level=levels[id], height=height[id]) for id in folded.stacks], edges)


def card_name(members: Sequence[str]) -> str:
    """What a card is called: by its node, or by the first and the last of several, whose number says enough."""
    first, last = members[0], members[-1]
    return first if len(members) == 1 else f"{first}…{last.removeprefix(first.rstrip(digits))}"


def card_kind(plan: Plan, members: Sequence[str], branch: str | None) -> str:
    """What the node of a card is, or how many of what it stands for; before that the branch that leads here."""
    node = plan.nodes[members[0]]
    if len(members) == 1:
        return node_kind(node.type, node.config, branch)
    return node_kind(f"{len(members)} × {node.type}", {}, branch)


def plan_edges(plan: Plan) -> list[Edge]:
    """Every edge of a plan, also those that references made."""
    links = (link for node in plan.nodes.values() for link in node.parents)
    return [Edge(source=link.source, target=link.target, branch=link.branch) for link in links]
