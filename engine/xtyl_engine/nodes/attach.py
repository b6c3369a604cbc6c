"""The node that gathers texts, images, tables and files under names that the user chooses, as one deliverable. It makes
nothing new.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType
from xtyl_engine.values.plain import plain


def _check_names(assets: dict[str, Any]) -> dict[str, Any]:
    for name in assets:
        if not name.isidentifier():
            raise ValueError(f"{name[:40]!r} cannot name an asset; use letters, digits and underscores")
    return assets


class Attach(NodeConfig):
    """The assets, by name."""

    assets: Annotated[dict[str, Any], Field(min_length=1), AfterValidator(_check_names)]


def run(config: Attach, context: Context) -> Done:
    """Gather the assets; images, tables and bytes become artifacts."""
    assets = config.assets.items()
    return Done(output={name: plain(asset, context.artifacts, where=name) for name, asset in assets})


NODE_TYPE = NodeType(
    name="attach",
    config=Attach,
    run=run,
    fields=lambda config: tuple(config.get("assets", ())),
    rendered=("assets",),
    delivers=True,
    card_height=110.0,
)
