"""Paths: the lines of edges between cards that have their places. Within a row they are curves; from row to row they run
beside the cards and between the rows. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

CARD_WIDTH = 206.0
COLUMN_GAP = 42.0
ROW_GAP = 20.0
LANE_GAP = 10.0
MARGIN = 18.0
# Between rows, each source has a track of its own, as far as there are enough.
TRACKS = 5
TRACK_GAP = 5.0
GUTTER = MARGIN + TRACKS * TRACK_GAP
BEND = 7.0


@dataclass(slots=True, eq=False)
class LayerSpot:
    """A card, or the lane in which the long edges of a source cross a layer."""

    above: float
    below: float
    id: str | None = None
    before: list[LayerSpot] = field(default_factory=list)
    after: list[LayerSpot] = field(default_factory=list)
    rank: float = 0.0
    x: float = 0.0
    y: float = 0.0
    right: float = 0.0
    layer: int = 0
    band: int = 0
    # The sides of its layer, which is wider than a card where it has several columns.
    start: float = 0.0
    end: float = 0.0


@dataclass(slots=True, eq=False)
class Band:
    """Layers side by side; all that turn into it cross the space above it, each source on a track of its own."""

    layers: list[list[LayerSpot]]
    top: float = 0.0
    bottom: float = 0.0
    tracks: dict[int, int] = field(default_factory=dict)


def leads_back(route: Sequence[LayerSpot]) -> bool:
    """Whether an edge closes a loop."""
    return route[-1].layer <= route[0].layer


def path_of(route: Sequence[LayerSpot], bands: Sequence[Band], width: float) -> str:
    """The path of an edge through the slots of its route, as SVG."""
    first, last = route[0], route[-1]
    if leads_back(route):
        return _path_back(first, last, bands)
    path = f"M{first.right:.0f} {first.y:.0f}"
    for left, right in pairwise(route):
        y, above = left.y, right.y
        x = left.right
        if left.right < left.end:
            # Out of a block between two of its rows, and not behind the cards beside.
            y = left.y - left.above - ROW_GAP / 2
            path += f"{_curve(x, left.y, x + ROW_GAP, y)}H{left.end:.0f}"
            x = left.end
        if right.start < right.x:
            above = right.y - right.above - ROW_GAP / 2
        if left.band < right.band:
            path += _turn(x, y, right.start, above, bands[right.band], bands[right.band].tracks[id(first)], width)
        else:
            path += _curve(x, y, right.start, above)
        if right.start < right.x:
            path += f"H{right.x - ROW_GAP:.0f}{_curve(right.x - ROW_GAP, above, right.x, right.y)}"
        if right is not last:
            path += f"H{right.right:.0f}"
    return path


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    bend = (to_x - x) / 2
    return f"C{x + bend:.0f} {y:.0f} {to_x - bend:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"


def _turn(x: float, y: float, to_x: float, to_y: float, band: Band, track: int, width: float) -> str:
    """To the right side, down, back above the row, down at the left side, and to the right: with round corners."""
    right, left = width - MARGIN / 2 - track * TRACK_GAP, MARGIN / 2 + track * TRACK_GAP
    level = band.top - ROW_GAP - track * TRACK_GAP
    r = BEND
    return (
        f"H{right - r:.0f}Q{right:.0f} {y:.0f} {right:.0f} {y + r:.0f}"
        f"V{level - r:.0f}Q{right:.0f} {level:.0f} {right - r:.0f} {level:.0f}"
        f"H{left + r:.0f}Q{left:.0f} {level:.0f} {left:.0f} {level + r:.0f}"
        f"V{to_y - r:.0f}Q{left:.0f} {to_y:.0f} {left + r:.0f} {to_y:.0f}L{to_x:.0f} {to_y:.0f}"
    )


def _path_back(first: LayerSpot, last: LayerSpot, bands: Sequence[Band]) -> str:
    """Below all cards of a row and up again: only a cycle has such an edge, and it must be visible."""
    outside, inside = first.right + MARGIN, last.x - MARGIN
    floor, target = (bands[slot.band].bottom + LANE_GAP for slot in (first, last))
    down = (
        f"M{first.right:.0f} {first.y:.0f}C{outside:.0f} {first.y:.0f} {outside:.0f} {floor:.0f} "
        f"{first.right:.0f} {floor:.0f}"
    )
    # From a lower row it rises at the left side.
    rise = "" if first.band == last.band else f"H{MARGIN / 2:.0f}V{target:.0f}"
    return f"{down}{rise}H{last.x:.0f}C{inside:.0f} {target:.0f} {inside:.0f} {last.y:.0f} {last.x:.0f} {last.y:.0f}"
