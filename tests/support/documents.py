"""Documents written in a line or two, and the codes of their problems."""

from __future__ import annotations

from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_engine.workflow.validate import find_problems


def document(*nodes, edges=(), **rest):
    """A document from (id, type, config) triples and (source, target[, branch]) edges."""
    return Document(
        name="w",
        nodes=tuple(Node(id=id, type=type, config=config) for id, type, config in nodes),
        edges=tuple(Edge(source=edge[0], target=edge[1], branch=(*edge, None)[2]) for edge in edges),
        **rest,
    )


def copy(id, prompt="A line", **config):
    return (id, "generate_copy", {"prompt": prompt, **config})


def codes(*args, **kwargs):
    return [problem.code.removeprefix("workflow/") for problem in find_problems(*args, **kwargs)]
