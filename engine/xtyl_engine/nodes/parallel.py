"""The node that opens named branches, which run side by side. It does no work of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType


def _check_unique(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("two branches have the same name")
    return names


class Parallel(NodeConfig):
    """The names of the branches."""

    branches: Annotated[list[str], Field(min_length=1), AfterValidator(_check_unique)]


def run(config: Parallel, context: Context) -> Done:
    """Open every branch."""
    return Done(output={"branches": list(config.branches)})


NODE_TYPE = NodeType(
    name="parallel",
    config=Parallel,
    run=run,
    fields=lambda config: ("branches",),
    main="branches",
    branches=lambda config: tuple(config.get("branches", ())),
    branch_example="a=lambda flow: flow.generate_copy(...)",
    card_height=70.0,
)
