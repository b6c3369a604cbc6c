"""Layout: the places of a workflow's cards and the paths of its edges, in layers from left to right by level. Within a given
width the layers go on in a row below, as words do on a page. Pure, and close to linear: a thousand cards take some tens of
milliseconds. The live widget and the static picture draw the same layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt

from xtyl_engine.workflow.document import Edge
from xtyl_nb.drawing.paths import (
    CARD_WIDTH,
    COLUMN_GAP,
    GUTTER,
    LANE_GAP,
    MARGIN,
    ROW_GAP,
    TRACK_GAP,
    TRACKS,
    Band,
    LayerSpot,
    leads_back,
    path_of,
)

PORT = 27.0
SWEEPS = 4
# Cards in a column: within a width, wide levels become blocks that a view of some 700 pixels holds.
TALLEST_COLUMN = 30
TALLEST_WITHIN = 5
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


def arrange(cards: Sequence[Card], edges: Iterable[Edge], within: float | None = None) -> Layout:
    """Place cards and route edges, except edges to missing cards, duplicate edges and membership edges.

    Layers that are together wider than `within` pixels are placed in several rows; at least one column stands in each.
    """
    levels = {card.id: card.level for card in cards}
    wanted = drawn_edges(edge for edge in edges if edge.source in levels and edge.target in levels)
    layers = _fill(cards)
    slots = {slot.id: slot for layer in layers for slot in layer if slot.id is not None}
    lanes = _Lanes(wanted, levels)
    routes = [_route(edge, levels, slots, layers, lanes) for edge in wanted]
    _order(layers)
    bands = _break(layers, within)
    most = _most_columns(within)
    _stack(layers, most)
    side = GUTTER if len(bands) > 1 else MARGIN
    width = max((_columns(band.layers, side, most) for band in bands), default=side) + side
    for route in routes:
        for left, right in pairwise(route):
            if left.band < right.band:
                bands[right.band].tracks.setdefault(id(route[0]), len(bands[right.band].tracks) % TRACKS)
    height = _place(bands)
    if any(leads_back(route) for route in routes):
        height += LANE_GAP
    return Layout(
        width=width,
        height=round(height + MARGIN, 1),
        places={id: (round(slot.x, 1), round(slot.y - slot.above, 1)) for id, slot in slots.items()},
        wires=tuple(
            Wire(source=edge.source, target=edge.target, branch=edge.branch, path=path_of(route, bands, width))
            for edge, route in zip(wanted, routes, strict=True)
        ),
    )


def columns_width(columns: int) -> float:
    """The width within which this many columns of cards stand side by side in several rows."""
    return columns * CARD_WIDTH + (columns - 1) * COLUMN_GAP + 2 * GUTTER


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


def _fill(cards: Sequence[Card]) -> list[list[LayerSpot]]:
    layers: list[list[LayerSpot]] = [[] for _ in range(1 + max((card.level for card in cards), default=0))]
    for card in cards:
        layers[card.level].append(LayerSpot(id=card.id, above=PORT, below=card.height - PORT))
    return layers


class _Lanes(dict[tuple[str, int], LayerSpot]):
    """One lane per source and layer, shared by all its edges; no lanes if there would be too many."""

    def __init__(self, edges: Sequence[Edge], levels: Mapping[str, int]):
        furthest: dict[str, int] = {}
        for edge in edges:
            furthest[edge.source] = max(furthest.get(edge.source, 0), levels[edge.target] - levels[edge.source] - 1)
        self.allowed = sum(furthest.values()) <= MOST_LANES


def _route(
    edge: Edge, levels: Mapping[str, int], slots: Mapping[str, LayerSpot], layers: list[list[LayerSpot]], lanes: _Lanes
) -> list[LayerSpot]:
    route = [slots[edge.source]]
    for level in range(levels[edge.source] + 1, levels[edge.target]) if lanes.allowed else ():
        if (lane := lanes.get((edge.source, level))) is None:
            lane = lanes[edge.source, level] = LayerSpot(above=LANE_GAP / 2, below=LANE_GAP / 2)
            layers[level].append(lane)
        route.append(lane)
    route.append(slots[edge.target])
    if levels[edge.source] < levels[edge.target]:
        for left, right in pairwise(route):
            if left not in right.before[-1:]:
                left.after.append(right)
                right.before.append(left)
    return route


def _order(layers: list[list[LayerSpot]]) -> None:
    for layer in layers:
        _number(layer)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            means = {id(slot): _mean([other.rank for other in (slot.before if down else slot.after)]) for slot in layer}
            layer.sort(key=lambda slot: slot.rank if (mean := means[id(slot)]) is None else mean)
            _number(layer)


def _number(layer: list[LayerSpot]) -> None:
    for place, slot in enumerate(layer):
        slot.rank = (place + 0.5) / len(layer)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _most_columns(within: float | None) -> int | None:
    """How many columns a layer may have."""
    if within is None:
        return None
    return max(1, int((within - 2 * GUTTER + ROW_GAP) // (CARD_WIDTH + ROW_GAP)))


def _break(layers: list[list[LayerSpot]], within: float | None) -> list[Band]:
    """Layers in as few rows as the width allows, and these about equally long."""
    most = _most_columns(within)
    widths = [_layer_width(layer, most) for layer in layers]
    whole = sum(widths) + COLUMN_GAP * (len(widths) - 1) + 2 * MARGIN
    starts = [0]
    if within is not None and whole > within:
        room = within - 2 * GUTTER
        starts = _starts(widths, room)
        while room > CARD_WIDTH and len(closer := _starts(widths, room - CARD_WIDTH / 2)) == len(starts):
            room, starts = room - CARD_WIDTH / 2, closer
    bands = [Band(layers[a:b]) for a, b in pairwise([*starts, len(layers)])]
    for place, band in enumerate(bands):
        for layer in band.layers:
            for slot in layer:
                slot.band = place
    for level, layer in enumerate(layers):
        for slot in layer:
            slot.layer = level
    return bands


def _starts(widths: Sequence[float], room: float) -> list[int]:
    starts, used = [0], 0.0
    for place, width in enumerate(widths):
        if place > starts[-1] and used + width > room:
            starts.append(place)
            used = 0.0
        used += width + COLUMN_GAP
    return starts


def _stack(layers: list[list[LayerSpot]], most: int | None) -> None:
    """Heights that put each slot as near to its neighbours as the order and the gaps allow."""
    for layer in layers:
        _settle(layer, [0.0] * len(layer), most)
    for direction in ("before", "after", "before", "after", "before"):
        for layer in layers if direction == "before" else reversed(layers):
            near = [_mean([other.y for other in getattr(slot, direction) if other.band == slot.band]) for slot in layer]
            wanted = [slot.y if mean is None else mean for slot, mean in zip(layer, near, strict=True)]
            _settle(layer, wanted, most)


def _settle(layer: list[LayerSpot], wanted: Sequence[float], most: int | None) -> None:
    """Columns of cards; where there are several, the lanes of edges that only pass by stand below them all."""
    columns = _split(layer, most)
    if len(columns) == 1:
        _settle_column(layer, wanted)
        return
    middle = sum(wanted) / len(wanted)
    for column in columns:
        _settle_column(column, [middle] * len(column))
    floor = max(slot.y + slot.below for column in columns for slot in column) + ROW_GAP
    for slot in layer:
        if slot.id is None:
            slot.y = floor + slot.above
            floor += LANE_GAP


def _settle_column(column: Sequence[LayerSpot], wanted: Sequence[float]) -> None:
    """Isotonic regression: least squares distance from the wanted heights, in order and with gaps."""
    offset, offsets, blocks = 0.0, [], list[tuple[float, int]]()
    for place, slot in enumerate(column):
        offset += (column[place - 1].below + ROW_GAP + slot.above) if place else 0.0
        offsets.append(offset)
        blocks.append((wanted[place] - offset, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (last, count), (former, more) = blocks.pop(), blocks.pop()
            blocks.append(((last * count + former * more) / (count + more), count + more))
    settled = [value for value, count in blocks for _ in range(count)]
    for slot, value, distance in zip(column, settled, offsets, strict=True):
        slot.y = value + distance


def _split(layer: Sequence[LayerSpot], most: int | None) -> list[list[LayerSpot]]:
    """The cards of a layer in one column or several, which are about equally long."""
    cards = [slot for slot in layer if slot.id is not None]
    tallest = max(TALLEST_COLUMN, isqrt(len(cards))) if most is None else TALLEST_WITHIN
    columns = max(1, -(-len(cards) // tallest))
    columns = columns if most is None else min(columns, most)
    rows = max(1, -(-len(cards) // columns))
    return [cards[start : start + rows] for start in range(0, len(cards), rows)] or [[]]


def _layer_width(layer: Sequence[LayerSpot], most: int | None) -> float:
    columns = len(_split(layer, most))
    return columns * CARD_WIDTH + (columns - 1) * ROW_GAP


def _columns(layers: list[list[LayerSpot]], x: float, most: int | None) -> float:
    """Place layers side by side from `x` on; returns where the last one ends."""
    for layer in layers:
        end = x + _layer_width(layer, most)
        for slot in layer:
            slot.x = slot.start = x
            slot.right = slot.end = end
        for place, column in enumerate(_split(layer, most)):
            for slot in column:
                slot.x = x + place * (CARD_WIDTH + ROW_GAP)
                slot.right = slot.x + CARD_WIDTH
        x = end + COLUMN_GAP
    return x - COLUMN_GAP


def _place(bands: Sequence[Band]) -> float:
    """Place rows below each other, with room for the edges between; returns where the last one ends."""
    bottom = 0.0
    for place, band in enumerate(bands):
        slots = [slot for layer in band.layers for slot in layer]
        tracks = min(TRACKS, len(band.tracks))
        band.top = bottom + (2 * ROW_GAP + tracks * TRACK_GAP if place else MARGIN)
        shift = band.top - min((slot.y - slot.above for slot in slots), default=band.top)
        for slot in slots:
            slot.y += shift
        bottom = band.bottom = max((slot.y + slot.below for slot in slots), default=band.top)
    return bottom
