"""Layout: the places of a workflow's cards and the paths of its edges, in layers from left to right by level. Pure, and close to
linear: a thousand cards take some tens of milliseconds. The live widget and the static picture draw the same layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isqrt

from xtyl_engine.workflow.document import Edge

CARD_WIDTH = 206.0
PORT = 27.0
COLUMN_GAP = 42.0
ROW_GAP = 20.0
LANE_GAP = 10.0
MARGIN = 18.0
SWEEPS = 4
TALLEST_COLUMN = 30
MOST_LANES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A node to place: its level, and the height of its card."""

    id: str
    level: int
    height: float = 112.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """An edge as it is drawn: `path` is an SVG path."""

    source: str
    target: str
    branch: str | None
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The top left corner of every card, the wires between them, and the size of the whole, in pixels."""

    width: float
    height: float
    places: Mapping[str, tuple[float, float]]
    wires: tuple[Wire, ...]

    @property
    def branches(self) -> Mapping[str, str]:
        """The branch that leads to each card, for cards in a branch."""
        leading: dict[str, set[str]] = {}
        for wire in self.wires:
            if wire.branch:
                leading.setdefault(wire.target, set()).add(wire.branch)
        return {target: min(found) for target, found in leading.items() if len(found) == 1}


@dataclass(slots=True, eq=False)
class _Slot:
    """A card, or the lane in which the long edges of a source cross a layer."""

    above: float
    below: float
    id: str | None = None
    before: list[_Slot] = field(default_factory=list)
    after: list[_Slot] = field(default_factory=list)
    rank: float = 0.0
    x: float = 0.0
    y: float = 0.0
    right: float = 0.0


def arrange(cards: Sequence[Card], edges: Iterable[Edge]) -> Layout:
    """Place cards and route edges, except edges to missing cards, duplicate edges and membership edges."""
    levels = {card.id: card.level for card in cards}
    wanted = drawn_edges(edge for edge in edges if edge.source in levels and edge.target in levels)
    layers = _fill(cards)
    slots = {slot.id: slot for layer in layers for slot in layer if slot.id is not None}
    lanes = _Lanes(wanted, levels)
    routes = [_route(edge, levels, slots, layers, lanes) for edge in wanted]
    _order(layers)
    _stack(layers)
    width = _columns(layers)
    shift = MARGIN - min((slot.y - slot.above for slot in slots.values()), default=MARGIN)
    for layer in layers:
        for slot in layer:
            slot.y += shift
    floor = max((slot.y + slot.below for layer in layers for slot in layer), default=MARGIN)
    if any(_leads_back(route) for route in routes):
        floor += LANE_GAP
    return Layout(
        width=width,
        height=round(floor + MARGIN, 1),
        places={id: (round(slot.x, 1), round(slot.y - slot.above, 1)) for id, slot in slots.items()},
        wires=tuple(
            Wire(source=edge.source, target=edge.target, branch=edge.branch, path=_path(route, floor))
            for edge, route in zip(wanted, routes, strict=True)
        ),
    )


def drawn_edges(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """The edges worth drawing: a branch leads to its first nodes only, not to each node inside it."""
    unique = tuple({(edge.source, edge.target): edge for edge in edges}.values())
    members = {(edge.source, edge.target, edge.branch) for edge in unique}
    parents: dict[str, list[str]] = {}
    for edge in unique:
        parents.setdefault(edge.target, []).append(edge.source)

    def is_membership(edge: Edge) -> bool:
        others = (parent for parent in parents[edge.target] if parent not in (edge.source, edge.target))
        return edge.branch is not None and any((edge.source, parent, edge.branch) in members for parent in others)

    return tuple(edge for edge in unique if not is_membership(edge))


def rank_levels(ids: Iterable[str], edges: Iterable[Edge]) -> dict[str, int]:
    """A level for every id, even if the edges form cycles or lead nowhere."""
    levels = dict.fromkeys(ids, 0)
    waiting = dict.fromkeys(levels, 0)
    children: dict[str, list[str]] = {}
    for source, target in {(edge.source, edge.target): None for edge in edges}:
        if source in levels and target in levels and source != target:
            children.setdefault(source, []).append(target)
            waiting[target] += 1
    ready = [id for id in levels if not waiting[id]]
    stuck = iter(tuple(levels))
    placed: set[str] = set()
    while len(placed) < len(levels):
        id = ready.pop() if ready else next(id for id in stuck if id not in placed)
        if id in placed:
            continue
        placed.add(id)
        for child in children.get(id, ()):
            if child not in placed:
                levels[child] = max(levels[child], levels[id] + 1)
                waiting[child] -= 1
                if not waiting[child]:
                    ready.append(child)
    return levels


def _fill(cards: Sequence[Card]) -> list[list[_Slot]]:
    layers: list[list[_Slot]] = [[] for _ in range(1 + max((card.level for card in cards), default=0))]
    for card in cards:
        layers[card.level].append(_Slot(id=card.id, above=PORT, below=card.height - PORT))
    return layers


class _Lanes(dict[tuple[str, int], _Slot]):
    """One lane per source and layer, shared by all its edges; no lanes if there would be too many."""

    def __init__(self, edges: Sequence[Edge], levels: Mapping[str, int]):
        furthest: dict[str, int] = {}
        for edge in edges:
            furthest[edge.source] = max(furthest.get(edge.source, 0), levels[edge.target] - levels[edge.source] - 1)
        self.allowed = sum(furthest.values()) <= MOST_LANES


def _route(
    edge: Edge, levels: Mapping[str, int], slots: Mapping[str, _Slot], layers: list[list[_Slot]], lanes: _Lanes
) -> list[_Slot]:
    route = [slots[edge.source]]
    for level in range(levels[edge.source] + 1, levels[edge.target]) if lanes.allowed else ():
        if (lane := lanes.get((edge.source, level))) is None:
            lane = lanes[edge.source, level] = _Slot(above=LANE_GAP / 2, below=LANE_GAP / 2)
            layers[level].append(lane)
        route.append(lane)
    route.append(slots[edge.target])
    if levels[edge.source] < levels[edge.target]:
        for left, right in pairwise(route):
            if left not in right.before[-1:]:
                left.after.append(right)
                right.before.append(left)
    return route


def _order(layers: list[list[_Slot]]) -> None:
    for layer in layers:
        _number(layer)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            means = {id(slot): _mean([other.rank for other in (slot.before if down else slot.after)]) for slot in layer}
            layer.sort(key=lambda slot: slot.rank if (mean := means[id(slot)]) is None else mean)
            _number(layer)


def _number(layer: list[_Slot]) -> None:
    for place, slot in enumerate(layer):
        slot.rank = (place + 0.5) / len(layer)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _stack(layers: list[list[_Slot]]) -> None:
    """Heights that put each slot as near to its neighbours as the order and the gaps allow."""
    for layer in layers:
        _settle(layer, [0.0] * len(layer))
    for direction in ("before", "after", "before", "after", "before"):
        for layer in layers if direction == "before" else reversed(layers):
            near = [_mean([other.y for other in getattr(slot, direction)]) for slot in layer]
            _settle(layer, [slot.y if mean is None else mean for slot, mean in zip(layer, near, strict=True)])


def _settle(layer: list[_Slot], wanted: Sequence[float]) -> None:
    """Isotonic regression: least squares distance from the wanted heights, in order and with gaps. Tall columns wrap."""
    rows = _rows(layer)
    if rows < len(layer):
        wanted = [sum(wanted) / len(wanted)] * len(wanted)
    for start in range(0, len(layer), rows):
        column, offset, offsets, blocks = layer[start : start + rows], 0.0, [], list[tuple[float, int]]()
        for place, slot in enumerate(column):
            offset += (column[place - 1].below + ROW_GAP + slot.above) if place else 0.0
            offsets.append(offset)
            blocks.append((wanted[start + place] - offset, 1))
            while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
                (last, count), (former, more) = blocks.pop(), blocks.pop()
                blocks.append(((last * count + former * more) / (count + more), count + more))
        settled = [value for value, count in blocks for _ in range(count)]
        for slot, value, distance in zip(column, settled, offsets, strict=True):
            slot.y = value + distance


def _rows(layer: Sequence[_Slot]) -> int:
    tallest = max(TALLEST_COLUMN, isqrt(len(layer)))
    columns = max(1, -(-len(layer) // tallest))
    return max(1, -(-len(layer) // columns))


def _columns(layers: list[list[_Slot]]) -> float:
    x = MARGIN
    for layer in layers:
        rows = _rows(layer)
        columns = max(1, -(-len(layer) // rows))
        right = x + columns * CARD_WIDTH + (columns - 1) * ROW_GAP
        for place, slot in enumerate(layer):
            slot.x = x + (place // rows) * (CARD_WIDTH + ROW_GAP) if slot.id is not None else x
            slot.right = slot.x + CARD_WIDTH if slot.id is not None else right
        x = right + COLUMN_GAP
    return x - COLUMN_GAP + MARGIN


def _leads_back(route: Sequence[_Slot]) -> bool:
    return route[-1].x <= route[0].x


def _path(route: Sequence[_Slot], floor: float) -> str:
    first, last = route[0], route[-1]
    if _leads_back(route):
        # Below all cards and up again: only a cycle has such an edge, and it must be visible.
        outside, inside = first.right + MARGIN, last.x - MARGIN
        return (
            f"M{first.right:.0f} {first.y:.0f}C{outside:.0f} {first.y:.0f} {outside:.0f} {floor:.0f} "
            f"{first.right:.0f} {floor:.0f}H{last.x:.0f}"
            f"C{inside:.0f} {floor:.0f} {inside:.0f} {last.y:.0f} {last.x:.0f} {last.y:.0f}"
        )
    parts = [f"M{first.right:.0f} {first.y:.0f}"]
    for left, right in pairwise(route):
        bend = (right.x - left.right) / 2
        curve = f"C{left.right + bend:.0f} {left.y:.0f} {right.x - bend:.0f} {right.y:.0f}"
        parts.append(f"{curve} {right.x:.0f} {right.y:.0f}")
        if right is not last:
            parts.append(f"H{right.right:.0f}")
    return "".join(parts)
