"""Small plans for tests of the scheduler, built without templates: nodes that follow each other by edges alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_engine.workflow.plan import Plan, Reading, make_plan


def plan_of(
    nodes: Mapping[str, Mapping[str, object]],
    edges: Iterable[tuple[str, str] | tuple[str, str, str]],
    *,
    expanders: Iterable[str] = (),
) -> Plan:
    """A plan of nodes in the order given, which must be topological; `over` and `n` in a node's config make axes."""
    written = [Edge(source=edge[0], target=edge[1], branch=edge[2] if len(edge) > 2 else None) for edge in edges]
    known = {(edge.source, edge.target) for edge in written}
    overs = [
        Edge(source=str(config["over"]), target=id)
        for id, config in nodes.items()
        if config.get("over") and (config["over"], id) not in known
    ]
    document = Document(
        name="test",
        nodes=tuple(Node(id=id, type=str(config.get("type", "call")), config=config) for id, config in nodes.items()),
        edges=tuple(written),
    )
    depths: dict[str, int] = {}
    for id in nodes:
        depths[id] = 1 + max((depths[edge.source] for edge in (*written, *overs) if edge.target == id), default=-1)
    return make_plan(
        document,
        order=list(nodes),
        depths=depths,
        edges=[*written, *overs],
        readings={id: Reading() for id in nodes},
        expanders=frozenset(expanders),
        inputs=(),
    )


def chain(size: int) -> Plan:
    """A chain of nodes."""
    return plan_of({f"n{i}": {} for i in range(size)}, [(f"n{i - 1}", f"n{i}") for i in range(1, size)])


def fan(size: int) -> Plan:
    """One node, `size` nodes after it, one after all of them."""
    middle = [f"m{i}" for i in range(size)]
    nodes: dict[str, dict[str, object]] = {"first": {}, **{id: {} for id in middle}, "last": {}}
    return plan_of(nodes, [*(("first", id) for id in middle), *((id, "last") for id in middle)])


def layered(layers: int, width: int, *, seed: int = 1) -> Plan:
    """Layers of nodes, each with two random parents in the layer before."""
    draw = random.Random(seed)
    nodes: dict[str, dict[str, object]] = {f"n{layer}_{place}": {} for layer in range(layers) for place in range(width)}
    edges = {
        (f"n{layer - 1}_{draw.randrange(width)}", f"n{layer}_{place}")
        for layer in range(1, layers)
        for place in range(width)
        for _ in range(2)
    }
    return plan_of(nodes, sorted(edges))
