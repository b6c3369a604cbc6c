"""The measured graphs: plain mappings from a node to its parents."""

from __future__ import annotations

import random
from typing import Any

Graph = dict[str, list[str]]


def chain(size: int) -> Graph:
    """A chain of nodes."""
    return {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(size)}


def fan(size: int) -> Graph:
    """One node, `size` after it, one after all of them."""
    middle = {f"m{i}": ["first"] for i in range(size)}
    return {"first": [], **middle, "last": list(middle)}


def layered(layers: int, width: int, seed: int = 1) -> Graph:
    """Layers of `width` nodes, each with two random parents in the layer before."""
    draw = random.Random(seed)
    return {
        f"n{layer}_{place}": sorted({f"n{layer - 1}_{draw.randrange(width)}" for _ in range(2)}) if layer else []
        for layer in range(layers)
        for place in range(width)
    }


def document(name: str, graph: Graph, function: str = "time:perf_counter") -> dict[str, Any]:
    """A workflow document whose nodes call a trivial function."""
    return {
        "name": name,
        "nodes": [{"id": node, "type": "call", "config": {"function": function}} for node in graph],
        "edges": [{"source": parent, "target": node} for node, parents in graph.items() for parent in parents],
    }
