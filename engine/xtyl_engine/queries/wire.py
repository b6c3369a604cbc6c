"""Turns the values of `views` into plain JSON and back, so that the API and the notebook's client share one form. Nothing here
reads or sends anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePath
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from xtyl_engine.errors import BackendError
from xtyl_engine.queries.views import JobDetail, JobPage, NodeOverview, Option, Overview, Review

T = TypeVar("T")
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """The API's answer about the caller and the back end: the token's name, role and project (None for all); whether it takes
    functions from notebooks, and of which Python; the provider of nodes that name none; its release; whether
    digests of functions are of their code, not of their bytes."""

    name: str
    role: str
    project: str | None
    functions: bool
    python: str
    provider: str | None
    version: str
    code_digests: bool = False


def to_json(value: Any) -> Any:
    """A value of `views`, or a list of them, as dicts, lists, texts and numbers."""
    return _adapter(type(value)).dump_python(value, mode="json")


def from_json(kind: type[T], data: Any) -> T:
    """The value of this kind that `to_json` wrote. Raises BackendError if `data` is not one."""
    try:
        value: T = _adapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BackendError(
            f"the answer is not of type {kind.__name__}: {first['msg']} at {place or 'the top'}",
            hint="Compare `xtyl --version` on both sides: the back end may be of another release.",
        ) from error
    return value


def name_images(value: T) -> T:
    """The same value with its image files' names in place of their paths, which mean nothing on another machine."""
    return map_images(value, lambda path: PurePath(path).name)


def map_images(value: T, change: Callable[[str], str]) -> T:
    """The same overview, page, job or review, or a tuple of them, with `change` applied to each image file's name."""
    return cast(T, _changed(value, change))


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    def each(parts: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(_changed(part, change) for part in parts)

    if isinstance(value, tuple):
        return each(value)
    if isinstance(value, Overview):
        nodes = dict(zip(value.nodes, each(value.nodes.values()), strict=True))
        return replace(value, nodes=nodes, reviews=each(value.reviews))
    if isinstance(value, JobPage):
        return replace(value, jobs=each(value.jobs))
    if isinstance(value, Review):
        return replace(value, options=each(value.options))
    if isinstance(value, Option):
        return replace(value, image=value.image and change(value.image))
    if isinstance(value, (NodeOverview, JobDetail)):
        return replace(value, images=tuple(map(change, value.images)))
    return value
