"""Finds the names that a step reads while a workflow is being built, which decide the steps that it follows. It checks nothing:
the step may still be wrong.
"""

from __future__ import annotations

from xtyl_engine.errors import WorkflowException
from xtyl_engine.workflow.document import Document, Node

NODE_PARAMETERS = ("over", "of")


def names_read(node: Node) -> set[str]:
    """The names that a node's Jinja and node parameters read, whether nodes or not, as far as they can be parsed."""
    from xtyl_engine.workflow.templating.render import iterate_texts, read_names

    # `over="ad.ideas"` runs over a list that `ad` has made.
    names = {value.partition(".")[0] for name in NODE_PARAMETERS if isinstance(value := node.config.get(name), str)}
    try:
        for text in iterate_texts({name: value for name, value in node.config.items() if name != "function"}):
            names.update(read_names(text).roots)
    except WorkflowException:
        # `validate` reports Jinja that cannot be parsed.
        pass
    return names


def branch_ends(document: Document, first_node: int, first_edge: int) -> tuple[str, ...]:
    """The last nodes of a branch: those that no other node of it follows."""
    nodes = document.nodes[first_node:]
    followed = {edge.source for edge in document.edges[first_edge:] if edge.branch is None}
    for node in nodes:
        followed |= names_read(node)
    return tuple(node.id for node in nodes if node.id not in followed)
