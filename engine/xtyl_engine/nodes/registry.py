"""The registry of node types: the built-in ones, imported when first asked for, and those that other packages offer
under the entry point group `xtyl.nodes`, each a NodeType.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn

from pydantic import ValidationError

from xtyl_engine.errors import PermanentError
from xtyl_engine.nodes.base import Context, NodeConfig, NodeType
from xtyl_engine.values.artifacts import is_artifact

GROUP = "xtyl.nodes"
BUILTIN = ("generate_copy", "generate_image", "attach", "review", "conditional", "parallel", "call")
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
        close = get_close_matches(name, [*BUILTIN, *offered], n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join([*BUILTIN, *offered])}"
        raise UnknownNodeType(f"there is no node type {name[:80]!r}", hint=hint)
    if not isinstance(found, NodeType):
        raise UnknownNodeType(f"{name!r} is offered as a {type(found).__name__}", hint="let it name a NodeType")
    return found


@lru_cache(maxsize=256)
def type_facts(name: str) -> NodeType:
    """The node type of a name to look at: where its package is not installed here, one with every default."""
    try:
        return node_type(name)
    except UnknownNodeType as error:
        unknown = error

    def run(config: NodeConfig, context: Context) -> NoReturn:
        raise unknown

    return NodeType(name=name, config=NodeConfig, run=run)


def node_types() -> Mapping[str, NodeType]:
    """Every node type by name. One that another package offers and that does not load is logged and left out."""
    found = {name: node_type(name) for name in BUILTIN}
    for name in _offered():
        try:
            found[name] = node_type(name)
        except UnknownNodeType as error:
            _log.warning("%s", error)
    return found


def configure(kind: NodeType, values: Mapping[str, Any]) -> NodeConfig:
    """The config of one job from its rendered values. Raises PermanentError naming each parameter that is wrong."""
    try:
        return kind.config.model_validate(values)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc'])) or 'config'}: {one['msg']}" for one in error.errors(include_url=False)
        ]
        raise PermanentError(
            f"the parameters of this {kind.name} are wrong once filled in: {'; '.join(wrong)[:1000]}",
            hint="look at the values of this row that the templates use",
        ) from error


def main_value(kind: NodeType, output: Mapping[str, Any]) -> Any:
    """The one value that stands for an output in text and in a frame: the list of main values where it holds items."""
    if kind.main is not None and kind.main in output:
        return output[kind.main]
    if not kind.bears:
        return next((part for part in output.values() if isinstance(part, str)), next(iter(output.values()), None))
    reviewed = output.get("of")
    items = output.get("items")
    return [_standing(item, reviewed) for item in items] if isinstance(items, list) else _standing(output, reviewed)


def _standing(value: Any, reviewed: str | None) -> Any:
    """What stands for one item: the value itself, or the telling part of a node's output."""
    if reviewed is not None and isinstance(value, Mapping):
        value = value.get(reviewed)
    if not isinstance(value, Mapping) or is_artifact(value):
        return value
    return next((value[name] for name in ("image", "text", "value") if name in value), value)


@cache
def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILTIN}


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise UnknownNodeType(
            f"the node type {point.name!r} cannot be loaded from {point.value}: {type(error).__name__}: {error}",
            hint="repair or uninstall the package that offers it",
        ) from error
