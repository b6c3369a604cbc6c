"""The graph of a workflow: its order, levels and loops, and the nodes upstream and downstream. The home of networkx, which
is imported when a graph is first made. Nothing here recurses, so a chain may be as long as memory allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from xtyl_engine.errors import Problem, WorkflowError
from xtyl_engine.workflow.document import Document, Edge

if TYPE_CHECKING:
    import networkx

    Graph = networkx.DiGraph[str]


def make_graph(document: Document, edges: Iterable[Edge]) -> Graph:
    """The graph of a document with these edges. Nodes carry `type`, `config` and `place` (their position in the
    document), edges carry `branch`; edges to missing nodes are left out."""
    import networkx

    graph: Graph = networkx.DiGraph(name=document.name)
    for place, node in enumerate(document.nodes):
        graph.add_node(node.id, type=node.type, config=node.config, place=place)
    graph.add_edges_from(
        (edge.source, edge.target, {"branch": edge.branch})
        for edge in edges
        if edge.source in graph and edge.target in graph
    )
    return graph


def order_nodes(graph: Graph) -> list[str]:
    """The nodes, each after all its dependencies, otherwise in document order. Raises WorkflowError for a cycle."""
    import networkx

    if loops := find_loops(graph):
        raise WorkflowError([loop_problem(loop) for loop in loops], workflow=graph.name)
    return list(networkx.lexicographical_topological_sort(graph, key=lambda node: graph.nodes[node]["place"]))


def level_nodes(graph: Graph) -> dict[str, int]:
    """Each node's execution level: 0 for a root, else one more than its latest parent's. Raises WorkflowError for a
    cycle."""
    levels: dict[str, int] = {}
    for node in order_nodes(graph):
        levels[node] = max((levels[parent] + 1 for parent in graph.predecessors(node)), default=0)
    return levels


def find_loops(graph: Graph) -> list[list[str]]:
    """Per group of nodes that wait for each other, one loop: the shortest through the node written first."""
    import networkx

    places: dict[str, int] = {node: data["place"] for node, data in graph.nodes(data=True)}
    groups = [
        group
        for group in networkx.strongly_connected_components(graph)
        if len(group) > 1 or any(graph.has_edge(node, node) for node in group)
    ]
    firsts = sorted(((min(group, key=places.__getitem__), group) for group in groups), key=lambda pair: places[pair[0]])
    return [_shortest_loop(graph, first, group) for first, group in firsts]


def loop_problem(loop: list[str]) -> Problem:
    """The problem of a loop, its nodes in order and closed: `a -> b -> a`."""
    shown = loop if len(loop) <= 12 else [*loop[:10], f"... {len(loop) - 11} more ...", loop[-1]]
    return Problem(
        code="workflow/cycle",
        node=loop[0],
        message=f"these nodes wait for each other: {' -> '.join([*shown, loop[0]])}",
        hint=f"Remove one of the references or edges, such as the one from {loop[-1]} to {loop[0]}.",
    )


def find_upstream(graph: Graph, node: str) -> set[str]:
    """All nodes that a node depends on, directly or indirectly."""
    import networkx

    return set(networkx.ancestors(graph, node))


def find_downstream(graph: Graph, nodes: Iterable[str]) -> set[str]:
    """The nodes themselves and all that depend on them."""
    import networkx

    layers = networkx.bfs_layers(graph, [node for node in nodes if node in graph])
    return {node for layer in layers for node in layer}


def _shortest_loop(graph: Graph, first: str, group: set[str]) -> list[str]:
    import networkx

    def inside(node: str) -> Iterator[str]:
        return (child for child in graph.successors(node) if child in group)

    came_from = {node: parent for parent, node in networkx.generic_bfs_edges(graph, first, inside)}
    path = [next(node for node in (first, *came_from) if graph.has_edge(node, first))]
    while path[-1] != first:
        path.append(came_from[path[-1]])
    return path[::-1]
