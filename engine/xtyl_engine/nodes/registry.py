"""The registry of node types: the built-in ones, and those of other packages under the entry point group `xtyl.nodes`,
each a NodeType. One is imported at first use.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, NoReturn

from pydantic import ValidationError

from xtyl_engine.errors import PermanentError, closest_name, with_article
from xtyl_engine.nodes.base import Context, NodeConfig, NodeType
from xtyl_engine.values.artifacts import is_artifact

GROUP = "xtyl.nodes"
BUILTIN = ("generate_copy", "generate_image", "attach", "review", "conditional", "parallel", "call", "unfold")
_log = logging.getLogger(__name__)


class UnknownNodeType(PermanentError, LookupError):
    """There is no such node type."""

    code = "node/unknown-type"


@cache
def node_type(name: str) -> NodeType:
    """The node type of a name. Raises UnknownNodeType with the closest name."""
    if name in BUILTIN:
        found = import_module(f"xtyl_engine.nodes.{name}").NODE_TYPE
    elif name in (offered := _offered()):
        found = _loaded(offered[name])
    else:
        hint = closest_name(name, [*BUILTIN, *offered])
        raise UnknownNodeType(f"there is no node type {name[:80]!r}", hint=hint)
    if not isinstance(found, NodeType):
        raise UnknownNodeType(
            f"{name!r} is offered as {with_article(type(found).__name__)}", hint="Let its entry point name a NodeType."
        )
    return found


@lru_cache(maxsize=256)
def type_facts(name: str) -> NodeType:
    """The node type of a name, for its facts only: if its package is not installed here, one with every default."""
    try:
        return node_type(name)
    except UnknownNodeType as error:
        unknown = error

    def run(config: NodeConfig, context: Context) -> NoReturn:
        raise unknown

    return NodeType(name=name, config=NodeConfig, run=run)


def node_types() -> Mapping[str, NodeType]:
    """Every node type by name. A type of another package that does not load is logged and left out."""
    found = {name: node_type(name) for name in BUILTIN}
    for name in _offered():
        try:
            found[name] = node_type(name)
        except UnknownNodeType as error:
            _log.warning("%s", error)
    return found


def configure(kind: NodeType, values: Mapping[str, Any]) -> NodeConfig:
    """The config of one job from its rendered values. Raises PermanentError, naming each wrong parameter."""
    try:
        return kind.config.model_validate(values)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc'])) or 'config'}: {one['msg']}" for one in error.errors(include_url=False)
        ]
        raise PermanentError(
            f"the parameters of this {kind.name} are wrong once filled in: {'; '.join(wrong)[:1000]}",
            hint="Check the values of this row that the Jinja texts read.",
        ) from error


def main_value(
    kind: NodeType,
    output: Mapping[str, Any],
    config: Mapping[str, Any] = MappingProxyType({}),
    main_of: Callable[[str], str | None] = lambda node: None,
) -> Any:
    """The value that stands for an output in text and in a frame; for an output with items, the list of their values. `main_of`
    tells the field that stands for the output of the node that a review is of."""
    main = kind.main_of(config)
    if main is not None and main in output:
        return output[main]
    if not kind.expands:
        return next((part for part in output.values() if isinstance(part, str)), next(iter(output.values()), None))
    reviewed = output.get("of")
    items = output.get("items")
    standing = None if reviewed is None else main_of(reviewed)
    if isinstance(items, list):
        return [_standing(item, reviewed, standing) for item in items]
    return _standing(output, reviewed, standing)


def _standing(value: Any, reviewed: str | None, main: str | None) -> Any:
    """The value that stands for one item: itself, or the main field, image, text or value of a node's output."""
    if reviewed is not None and isinstance(value, Mapping):
        value = value.get(reviewed)
    if not isinstance(value, Mapping) or is_artifact(value):
        return value
    return next((value[name] for name in (main, "image", "text", "value") if name in value), value)


@cache
def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILTIN}


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise UnknownNodeType(
            f"the node type {point.name!r} cannot be loaded from {point.value}: {type(error).__name__}: {error}",
            hint="Repair or uninstall the package that offers it.",
        ) from error
