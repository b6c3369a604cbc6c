"""What a step reads while a workflow is being built, before anything is known to be right: this decides what follows
what.
"""

from __future__ import annotations

from xtyl_engine.errors import WorkflowException
from xtyl_engine.workflow.document import Document, Node

NODE_PARAMETERS = ("over", "of")


def names_read(node: Node) -> set[str]:
    """The names a node's templates and node parameters read, nodes or not; as many as can be read."""
    from xtyl_engine.workflow.templating.render import iterate_texts, read_names

    names = {value for name in NODE_PARAMETERS if isinstance(value := node.config.get(name), str)}
    try:
        for text in iterate_texts({name: value for name, value in node.config.items() if name != "function"}):
            names.update(read_names(text).roots)
    except WorkflowException:
        # What cannot be read is told by `validate`.
        pass
    return names


def branch_ends(document: Document, first_node: int, first_edge: int) -> tuple[str, ...]:
    """The nodes of a branch that no other node of it follows."""
    nodes = document.nodes[first_node:]
    followed = {edge.source for edge in document.edges[first_edge:] if edge.branch is None}
    for node in nodes:
        followed |= names_read(node)
    return tuple(node.id for node in nodes if node.id not in followed)
