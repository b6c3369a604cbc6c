"""The node that runs the user's own Python function, in a process of its own. Calling it is for `runners`, packing it for
`functions.packing`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from xtyl_engine.functions.versions import versions
from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType


def _check_function(value: Any) -> Any:
    if callable(value) or isinstance(value, dict) or (isinstance(value, str) and ":" in value):
        return value
    raise ValueError("pass a function, or text such as 'package.module:name'")


def _find_versions(value: Any) -> Any:
    is_list = isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)
    if is_list or isinstance(value, dict):
        return versions(value) if is_list else value
    raise ValueError("pass a list of names, such as ['pandas']")


class Call(NodeConfig):
    """The function, its keyword arguments, and the versions of what it depends on, which are those of this process for a list of
    names. In a job the function is a mapping that names the stored one."""

    function: Annotated[Any, BeforeValidator(_check_function)]
    arguments: dict[str, Any] = Field(default_factory=dict)
    depends: Annotated[dict[str, str], BeforeValidator(_find_versions)] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Left out if it is empty: a cache key of an earlier release has no word of it."""
        facts: dict[str, Any] = serialize(self)
        return {name: value for name, value in facts.items() if name != "depends" or value}


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
