"""The node that makes the list in one field of an output a list of items, so that others may run over it. Workflows need not
write it: `over="ad.ideas"` means one that is called so. It makes nothing new.
"""

from __future__ import annotations

from typing import Any

from xtyl_engine.errors import PermanentError, with_article
from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType
from xtyl_engine.values.plain import plain


class Unfold(NodeConfig):
    """The expression; in a job, its value."""

    items: Any


def run(config: Unfold, context: Context) -> Done:
    """Make the list's items those of the job. A field that an answer left out has none."""
    items = [] if config.items is None else config.items
    if not isinstance(items, (list, tuple)):
        raise PermanentError(
            f"{context.node} is {with_article(type(items).__name__)}, not a list",
            hint="Ask for a list in `returns`, or run over the step itself.",
        )
    return Done(output={"items": plain(list(items), context.artifacts, where="items")}, items=len(items))


NODE_TYPE = NodeType(
    name="unfold",
    config=Unfold,
    run=run,
    rendered=("items",),
    expressions=("items",),
    expands=True,
    computed=True,
    card_height=70.0,
)
