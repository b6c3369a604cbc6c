"""The shape of a workflow: order, levels, loops and reach, without recursion."""

from __future__ import annotations

from itertools import pairwise

import pytest

from xtyl_engine.errors import WorkflowError
from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_engine.workflow.graph import find_downstream, find_loops, find_upstream, level_nodes, make_graph, order_nodes


def graph_of(nodes, *pairs):
    document = Document(name="w", nodes=tuple(Node(id=id, type="call") for id in nodes))
    return make_graph(document, [Edge(source=source, target=target) for source, target in pairs])


def test_orders_as_written_among_equals():
    """Nodes that do not depend on each other keep the order in which they were written."""
    assert order_nodes(graph_of("zyxw", "zw", "yw")) == ["z", "y", "x", "w"]
    assert order_nodes(graph_of("ab", "ba")) == ["b", "a"]


def test_levels():
    """A level is one more than that of the latest parent."""
    assert level_nodes(graph_of("abcd", "ab", "bc", "ad", "cd")) == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_tells_the_loop_in_order():
    """A cycle is told in order, starting from the node written first, and closed."""
    graph = graph_of("abcde", "ab", "bc", "ca", "cd", "de", "ed")
    assert find_loops(graph) == [["a", "b", "c"], ["d", "e"]]
    with pytest.raises(WorkflowError) as caught:
        level_nodes(graph)
    assert "a -> b -> c -> a" in str(caught.value)
    assert "d -> e -> d" in str(caught.value)


def test_tells_a_loop_of_one():
    """A node that waits for itself is a loop."""
    assert find_loops(graph_of("a", "aa")) == [["a"]]


def test_reach():
    """Upstream and downstream go all the way."""
    graph = graph_of("abcd", "ab", "bc", "cd")
    assert find_upstream(graph, "c") == {"a", "b"}
    assert find_downstream(graph, ["b"]) == {"b", "c", "d"}


def test_leaves_out_edges_to_nowhere():
    """An edge to a node that is not there is no part of the graph."""
    assert list(graph_of("ab", "ab", "ax", "xb").edges) == [("a", "b")]


def test_long_loops_and_chains():
    """A chain, and a loop, of twenty thousand nodes needs no recursion."""
    names = [f"n{place}" for place in range(20_000)]
    pairs = list(pairwise(names))
    assert level_nodes(graph_of(names, *pairs))[names[-1]] == 19_999
    assert len(find_loops(graph_of(names, *pairs, (names[-1], names[0])))[0]) == 20_000


def test_diamonds_take_linear_time():
    """Twenty layers of diamonds are no harder than their number of edges."""
    names = [f"n{layer}_{side}" for layer in range(20) for side in range(8)]
    pairs = [(f"n{layer}_{a}", f"n{layer + 1}_{b}") for layer in range(19) for a in range(8) for b in range(8)]
    assert level_nodes(graph_of(names, *pairs))["n19_0"] == 19
