"""Shared cards in a large graph, and the words on them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from scripted_run import STARTED, node_overview, overview_of, plan_of
from xtyl_engine.states import JobState
from xtyl_nb.drawing.cards import card_kind, card_name, plan_edges
from xtyl_nb.drawing.folding import MOST_CARDS, fold
from xtyl_nb.widget.state import describe, draw_graph


def branches(count: int):
    """That many branches side by side, each a text, an image of it and a choice, all gathered at the end."""
    nodes: dict[str, Any] = {"start": ("call", {}), "end": ("attach", {})}
    edges: list[Any] = []
    for place in range(count):
        copy, image, pick = (f"{name}_{place}" for name in ("copy", "image", "pick"))
        nodes |= {copy: ("generate_copy", {}), image: ("generate_image", {}), pick: ("review", {"of": image})}
        edges += [("start", copy, f"b{place}"), (copy, image, None), (image, pick, None), (pick, "end", None)]
    return plan_of(nodes, edges)


def row(length: int):
    ids = [f"n{place}" for place in range(length)]
    return plan_of({id: ("call", {}) for id in ids}, [(a, b, None) for a, b in pairwise(ids)])


def test_a_small_graph_is_left_as_it_is():
    """Every node has its own card, as long as cards stay readable."""
    plan = row(MOST_CARDS)
    assert all(members == (id,) for id, members in fold(plan).stacks.items())
    assert len(fold(plan).stacks) == MOST_CARDS


def test_branches_that_do_the_same_share_their_cards():
    """A hundred branches of three steps are three cards between the first node and the last, none with the name of one."""
    plan = branches(100)
    folded = fold(plan)
    assert [len(members) for members in folded.stacks.values()] == [1, 100, 100, 100, 1]
    edges = [(edge.source, edge.target, edge.branch) for edge in folded.edges(plan_edges(plan))]
    ends = [("start", "copy_0"), ("copy_0", "image_0"), ("image_0", "pick_0"), ("pick_0", "end")]
    assert sorted(edges) == sorted((*each, None) for each in ends)
    members = folded.stacks["copy_0"]
    assert (card_name(members), card_kind(plan, members, None)) == ("copy_0…99", "100 × generate_copy")


def test_a_long_row_is_one_card():
    """Nodes of one type after each other, with no other way in or out."""
    assert list(fold(row(1000)).stacks) == ["n0"]


def test_a_stack_that_was_opened_shows_its_nodes():
    """The others stay folded."""
    stacks = fold(branches(100), {"image_0"}).stacks
    assert len(stacks) == 2 + 1 + 100 + 1
    assert stacks["image_7"] == ("image_7",)
    assert len(stacks["copy_0"]) == 100


def test_a_folded_card_hides_no_failure_and_no_question():
    """It counts all its nodes, names the one that failed first, and looks like its most pressing node."""
    plan = branches(100)
    nodes = {id: node_overview(completed=2, text=f"<{id}>") for id in plan.nodes}
    nodes |= {
        "copy_7": node_overview(failed=1, completed=1, error="row 0: no"),
        "pick_3": node_overview(waiting=1, completed=1),
    }
    overview = fold(plan).overview(overview_of(plan, nodes=nodes))
    copy = overview.nodes["copy_0"]
    assert (copy.counts[JobState.FAILED], copy.done, copy.total) == (1, 200, 200)
    assert copy.error == "copy_7: row 0: no"
    shown = describe(overview)["nodes"]
    assert (shown["copy_0"]["state"], shown["pick_0"]["state"], shown["image_0"]["state"]) == (
        "failed",
        "waiting",
        "completed",
    )
    assert overview.total == overview_of(plan, nodes=nodes).total


def test_a_folded_card_is_at_work_until_all_its_nodes_are_over():
    """Its time goes on while one of them waits, although others ended."""
    plan = branches(100)
    nodes = {f"pick_{place}": node_overview(completed=1, started=STARTED, finished=STARTED + 2) for place in range(100)}
    over = fold(plan).overview(overview_of(plan, nodes=nodes)).nodes["pick_0"]
    nodes["pick_3"] = node_overview(waiting=1, started=STARTED + 1)
    waits = fold(plan).overview(overview_of(plan, nodes=nodes)).nodes["pick_0"]
    assert (over.finished, waits.finished) == (STARTED + 2, None)
    assert waits.seconds_at_work(STARTED + 60) == 60


@given(st.integers(61, 90), st.lists(st.tuples(st.integers(0, 89), st.integers(0, 89)), max_size=200), st.data())
def test_folding_keeps_every_node_once_and_makes_no_circle(count, pairs, data):
    """This holds for any graph, with any stacks opened."""
    types = data.draw(st.lists(st.sampled_from(["call", "attach"]), min_size=count, max_size=count))
    ids = [f"n{place}" for place in range(count)]
    edges = {(ids[min(a, b)], ids[max(a, b)], None) for a, b in pairs if a != b and max(a, b) < count}
    plan = plan_of({id: (type, {}) for id, type in zip(ids, types, strict=True)}, sorted(edges))
    opened = data.draw(st.sets(st.sampled_from(sorted(fold(plan).stacks)), max_size=5))
    folded = fold(plan, opened)
    assert sorted(id for members in folded.stacks.values() for id in members) == sorted(ids)
    graph = nx.DiGraph((edge.source, edge.target) for edge in folded.edges(plan_edges(plan)))
    assert nx.is_directed_acyclic_graph(graph)
    assert len(draw_graph(plan, "key", folded)["nodes"]) == len(folded.stacks)
