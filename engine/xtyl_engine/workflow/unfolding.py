"""Lists in fields of outputs: `over="ad.ideas"` runs over one. Each such list is made by a node that no document has, called as
the field is, so that each node still makes one list at most. Problems with such names are found by `checks`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from xtyl_engine.nodes.base import NodeType
from xtyl_engine.providers.schemas.fields import at, is_list
from xtyl_engine.workflow.document import Document, Node

# No node that is written may be called so.
DOT = "."


def is_unfolded(id: str) -> bool:
    """Whether a node is one for a list in a field."""
    return DOT in id


def unfolded(document: Document) -> tuple[Node, ...]:
    """A node for each list in a field that nodes of a document run over."""
    written = {node.id: node for node in reversed(document.nodes)}
    made: dict[str, Node] = {}
    for node in document.nodes:
        over = node.config.get("over")
        if not isinstance(over, str) or not is_unfolded(over) or over in written or over in made:
            continue
        root, *path = over.split(DOT)
        part = field_at(written, root, path)
        if part is not None and is_list(part) is not False:
            places = "".join(f"[{json.dumps(name)}]" for name in path)
            made[over] = Node(id=over, type="unfold", config={"over": root, "items": f"{{{{ {root}{places} }}}}"})
    return tuple(made.values())


def field_at(nodes: Mapping[str, Node], root: str, path: Sequence[str]) -> Mapping[str, Any] | None:
    """The schema of what a path from a node's output leads to, through a review to what it is of; None where there is none."""
    node = nodes.get(root)
    if node is None or not path or not all(path):
        return None
    if node.kind.waits:
        return field_at(nodes, path[0], path[1:]) if path[0] != root else None
    schema = schema_of(node.kind, node.config)
    return None if schema is None else at(schema, path)


def schema_of(kind: NodeType, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of a node's answer. A document may be wrong, and what is wrong with its config is told elsewhere."""
    try:
        return kind.schema(config)
    except Exception:
        return None
