"""Values as they travel: what the engine knows of an execution, to plain JSON and back, so that the API and the notebook's client
share one form and neither writes it down twice. Nothing here reads or sends anything.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from xtyl_engine.errors import BackendError
from xtyl_engine.overview import JobDetail, NodeOverview, Option, Overview, Review

T = TypeVar("T")
_adapters: dict[Any, TypeAdapter[Any]] = {}


def to_json(value: Any) -> Any:
    """A value of ours, or a list of such, as dicts, lists, texts and numbers."""
    return _adapter(type(value)).dump_python(value, mode="json")


def from_json(kind: type[T], data: Any) -> T:
    """The value of this kind that `to_json` wrote. Raises BackendError for what is none."""
    try:
        value: T = _adapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BackendError(
            f"the answer is no {kind.__name__}: {first['msg']} at {place or 'the top'}",
            hint="The back end may be of another release: compare `xtyl --version` on both sides.",
        ) from error
    return value


def name_images(value: Any) -> Any:
    """The same overview, node or job with the names of its image files in place of their paths, which say nothing elsewhere."""
    if isinstance(value, Overview):
        nodes = {name: name_images(node) for name, node in value.nodes.items()}
        return replace(value, nodes=nodes, reviews=tuple(map(name_images, value.reviews)))
    if isinstance(value, (NodeOverview, JobDetail)):
        return replace(value, images=tuple(PurePath(path).name for path in value.images))
    if isinstance(value, Review):
        return replace(value, options=tuple(map(name_images, value.options)))
    if isinstance(value, Option):
        return replace(value, image=value.image and PurePath(value.image).name)
    return value


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
