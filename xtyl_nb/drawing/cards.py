"""Cards: the name, kind, height and place of the card for a node, or for several similar nodes. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import digits
from typing import Any

from xtyl_engine.nodes.registry import type_facts
from xtyl_engine.workflow.document import Edge
from xtyl_engine.workflow.plan import Plan, list_length
from xtyl_nb.drawing.folding import Fold
from xtyl_nb.drawing.layout import Card, Layout, arrange, columns_width

# A still picture: five columns, which can be read down to some 700 pixels.
PICTURE_WIDTH = 5 * 250.0
# The columns of the layouts that a page chooses from; of many cards there are fewer layouts.
COLUMNS = (2, 3, 4, 5, 6, 8)
MANY_CARDS = 150
COLUMNS_OF_MANY = (4, 8)


def node_kind(type: str, config: Mapping[str, Any], branch: str | None = None) -> str:
    """The node's type and its most telling parameter, after the name of the branch that leads to it."""
    over = config.get("over")
    what = f"{type.removeprefix('generate_')}, one per {over}" if over else type
    parts = [f"{branch}: {what}" if branch else what]
    if type_facts(type).waits:
        parts.append(f"choose {config.get('choose', 1)}")
    elif (length := list_length(config)) > 1:
        parts.append(f"{length} each")
    return " · ".join(parts)


def lay_out(plan: Plan, folded: Fold, within: float = PICTURE_WIDTH) -> Layout:
    """The positions of a plan's cards, in rows that are not wider than `within` pixels."""
    edges = folded.edges(plan_edges(plan))
    levels = folded.levels(plan, edges)
    height = {id: plan.nodes[id].kind.card_height for id in folded.stacks}
    return arrange([Card(id=id, level=levels[id], height=height[id]) for id in folded.stacks], edges, within)


def page_layouts(plan: Plan, folded: Fold) -> list[Layout]:
    """One graph for pages of several widths, from narrow to wide; each page takes the one that fits it."""
    widths = COLUMNS if len(folded.stacks) <= MANY_CARDS else COLUMNS_OF_MANY
    found = [lay_out(plan, folded, columns_width(columns)) for columns in widths]
    return list({layout.width: layout for layout in found}.values())


def card_name(members: Sequence[str]) -> str:
    """The name of a card: its node's id, or the ids of the first and the last of several."""
    first, last = members[0], members[-1]
    return first if len(members) == 1 else f"{first}…{last.removeprefix(first.rstrip(digits))}"


def card_kind(plan: Plan, members: Sequence[str], branch: str | None) -> str:
    """The kind of a card's node, or the number and type of its nodes, after the name of the branch that leads to it."""
    node = plan.nodes[members[0]]
    if len(members) == 1:
        return node_kind(node.type, node.config, branch)
    return node_kind(f"{len(members)} × {node.type}", {}, branch)


def plan_edges(plan: Plan) -> list[Edge]:
    """Every edge of a plan, including those that references make."""
    links = (link for node in plan.nodes.values() for link in node.parents)
    return [Edge(source=link.source, target=link.target, branch=link.branch) for link in links]
