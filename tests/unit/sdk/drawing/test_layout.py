"""Cards stand left to right without overlap, and edges lead where they should."""

from __future__ import annotations

import re
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtyl_engine.workflow.document import Edge
from xtyl_nb.drawing.layout import Card, Layout, arrange, columns_width, drawn_edges, rank_levels
from xtyl_nb.drawing.paths import CARD_WIDTH


def edge(source: str, target: str, branch: str | None = None) -> Edge:
    return Edge(source=source, target=target, branch=branch)


def laid(ids: list[str], edges: list[Edge], within: float | None = None) -> Layout:
    levels = rank_levels(ids, edges)
    return arrange([Card(id=id, level=levels[id]) for id in ids], edges, within)


def ends(path: str) -> tuple[tuple[float, float], tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?\d+", path)]
    return (numbers[0], numbers[1]), (numbers[-2], numbers[-1])


def crossings(layout: Layout) -> int:
    spans = [ends(wire.path) for wire in layout.wires]
    return sum(
        (a[0][1] - b[0][1]) * (a[1][1] - b[1][1]) < 0
        for place, a in enumerate(spans)
        for b in spans[place + 1 :]
        if a[0][0] == b[0][0] and a[1][0] == b[1][0]
    )


def test_a_chain_is_one_straight_line() -> None:
    """Cards that follow each other stand at the same height, each to the right of the one before."""
    layout = laid(["a", "b", "c"], [edge("a", "b"), edge("b", "c")])
    (ax, ay), (bx, by), (cx, cy) = (layout.places[id] for id in "abc")
    assert ay == by == cy
    assert bx - ax == cx - bx > CARD_WIDTH


def test_edges_run_from_the_right_side_to_the_left_side() -> None:
    """A wire leaves the source's right side and enters the target's left side."""
    layout = laid(["a", "b"], [edge("a", "b")])
    start, end = ends(layout.wires[0].path)
    assert start[0] == layout.places["a"][0] + CARD_WIDTH
    assert end[0] == layout.places["b"][0]


def test_sweeps_untangle_crossed_pairs() -> None:
    """Pairs written in opposite order are drawn without a crossing."""
    ids = [f"a{i}" for i in range(6)] + [f"b{i}" for i in range(6)]
    assert crossings(laid(ids, [edge(f"a{i}", f"b{5 - i}") for i in range(6)])) == 0


def test_a_long_edge_keeps_clear_of_the_cards_between() -> None:
    """An edge over several levels gets a lane of its own."""
    layout = laid(["a", "b", "c"], [edge("a", "b"), edge("b", "c"), edge("a", "c")])
    path = next(wire.path for wire in layout.wires if wire.target == "c" and wire.source == "a")
    left, top = layout.places["b"]
    lane = re.search(r" (-?\d+)H(\d+)", path)
    assert lane is not None
    assert float(lane[2]) == left + CARD_WIDTH
    assert not top <= float(lane[1]) <= top + 112


def test_membership_edges_are_hidden() -> None:
    """A branch leads to the first node inside it; the later ones are reached through that."""
    edges = [edge("when", "x", "then"), edge("when", "y", "then"), edge("x", "y"), edge("when", "z", "otherwise")]
    assert [(e.source, e.target) for e in drawn_edges(edges)] == [("when", "x"), ("x", "y"), ("when", "z")]


def test_broken_edges_do_no_harm() -> None:
    """Cycles, self-edges, doubles and unknown ends still give a picture with every card in it."""
    edges = [edge("a", "b"), edge("b", "a"), edge("c", "c"), edge("a", "unknown"), edge("a", "b")]
    layout = laid(["a", "b", "c"], edges)
    assert set(layout.places) == {"a", "b", "c"}
    assert [(wire.source, wire.target) for wire in layout.wires] == [("a", "b"), ("b", "a"), ("c", "c")]


def test_nothing_is_laid_out_as_nothing() -> None:
    """An empty workflow has a layout too."""
    assert laid([], []).places == {}


def test_a_wide_level_wraps_into_columns() -> None:
    """A fan-out of a thousand is a block, not a column of a thousand cards."""
    ids = ["root", *(f"n{i}" for i in range(1000)), "end"]
    layout = laid(ids, [e for i in range(1000) for e in (edge("root", f"n{i}"), edge(f"n{i}", "end"))])
    assert layout.height < 6000
    assert layout.width < 12000


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=90))
def test_cards_never_overlap(pairs: list[tuple[int, int]]) -> None:
    """With any edges, no two cards share a point and all lie inside the picture."""
    ids = [f"n{i}" for i in range(31)]
    layout = laid(ids, [edge(f"n{a}", f"n{b}") for a, b in pairs])
    boxes = sorted(layout.places.values())
    for place, (x, y) in enumerate(boxes):
        assert 0 <= x <= layout.width - CARD_WIDTH
        assert 0 <= y <= layout.height - 112
        assert not any(abs(x - u) < CARD_WIDTH and abs(y - v) < 112 for u, v in boxes[place + 1 :])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=90), st.integers(1, 8))
def test_cards_stay_within_a_width(pairs: list[tuple[int, int]], columns: int) -> None:
    """With any edges and any width that holds a column, no card or wire leaves the width and no two cards overlap."""
    ids = [f"n{i}" for i in range(31)]
    layout = laid(ids, [edge(f"n{a}", f"n{b}") for a, b in pairs], columns_width(columns))
    assert layout.width <= columns_width(columns)
    boxes = sorted(layout.places.values())
    for place, (x, y) in enumerate(boxes):
        assert 0 <= x <= layout.width - CARD_WIDTH
        assert 0 <= y <= layout.height - 112
        assert not any(abs(x - u) < CARD_WIDTH and abs(y - v) < 112 for u, v in boxes[place + 1 :])
    for wire in layout.wires:
        (start, _), end = ends(wire.path)
        assert start == layout.places[wire.source][0] + CARD_WIDTH
        assert end == pytest.approx(
            [at + port for at, port in zip(layout.places[wire.target], (0, 27), strict=True)], abs=1
        )


def test_a_long_chain_goes_on_in_the_next_row() -> None:
    """Eleven steps in a width of four columns are three rows, and the edge between rows runs beside the cards."""
    ids = [f"n{place:02}" for place in range(11)]
    layout = laid(ids, [edge(a, b) for a, b in pairwise(ids)], columns_width(4))
    assert [len(list(row)) for _, row in groupby(layout.places[id][1] for id in ids)] == [4, 4, 3]
    turn = next(wire.path for wire in layout.wires if wire.source == "n03")
    right, *_ = re.findall(r"H(\d+)Q", turn)
    assert layout.places["n03"][0] + CARD_WIDTH < float(right) < layout.width
    assert ends(turn)[1] == (layout.places["n04"][0], layout.places["n04"][1] + 27)


def test_a_wide_level_is_a_block_within_a_width() -> None:
    """Twelve branches stand in three columns, and an edge leaves the block between two rows of cards."""
    ids = ["root", *(f"n{place}" for place in range(12)), "end"]
    layout = laid(
        ids, [e for place in range(12) for e in (edge("root", f"n{place}"), edge(f"n{place}", "end"))], columns_width(6)
    )
    assert len({layout.places[f"n{place}"][0] for place in range(12)}) == 3
    assert layout.height < 700
