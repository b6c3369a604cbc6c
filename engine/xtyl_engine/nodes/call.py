"""The node that runs the user's own Python function, in a process of its own. Calling it is for `runners`, packing it for
`values.packing`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType


def _check_function(value: Any) -> Any:
    if callable(value) or isinstance(value, dict) or (isinstance(value, str) and ":" in value):
        return value
    raise ValueError("pass a function, or text such as 'package.module:name'")


class Call(NodeConfig):
    """The function and its keyword arguments. In a job the function is a mapping that names the stored one."""

    function: Annotated[Any, BeforeValidator(_check_function)]
    arguments: dict[str, Any] = Field(default_factory=dict)


def run(config: Call, context: Context) -> Done:
    """Have the function called. A list or a table becomes items, anything else the one `value`."""
    return context.call(config.function, config.arguments)


NODE_TYPE = NodeType(
    name="call",
    config=Call,
    run=run,
    main="value",
    rendered=("arguments",),
    expands=True,
    takes_function=True,
    runs_apart=True,
    makes_images=True,
)
