"""Documents written in a line or two, and the codes of their problems."""

from __future__ import annotations

from typing import Any

from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_engine.workflow.validate import find_problems


def document(*nodes: Any, edges: Any = (), **rest: Any) -> Document:
    """A document from (id, type, config) triples and (source, target[, branch]) edges."""
    return Document(
        name="w",
        nodes=tuple(Node(id=id, type=type, config=config) for id, type, config in nodes),
        edges=tuple(Edge(source=edge[0], target=edge[1], branch=(*edge, None)[2]) for edge in edges),
        **rest,
    )


def copy(id: str, prompt: str = "A line", **config: Any) -> tuple[str, str, dict[str, Any]]:
    return (id, "generate_copy", {"prompt": prompt, **config})


def codes(*args: Any, **kwargs: Any) -> list[str]:
    return [problem.code.removeprefix("workflow/") for problem in find_problems(*args, **kwargs)]
