"""The parameters of a step as a document holds them: those alone that differ from their defaults, as Python's own values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xtyl_engine.nodes.base import Retry

DEFAULTS = {"n": 1, "size": "1024x1024", "choose": 1, "edit": False}


def given(**config: Any) -> dict[str, Any]:
    """The parameters that differ from their defaults, so that a default gives the same document written out or omitted."""
    from xtyl_engine.values.foreign import unwrapped

    # A missing value of pandas is neither equal to a default nor unequal.
    own = {name: unwrapped(value) for name, value in config.items()}
    return {
        name: value
        for name, value in own.items()
        if value is not None and (name not in DEFAULTS or value != DEFAULTS[name])
    }


def told(arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any], Iterable[str] | None]:
    """The id, the parameters and the steps to wait for of a verb, from its own arguments: its `locals()`."""
    own = {name: value for name, value in arguments.items() if name != "self"}
    id, after, *times = (own.pop(name) for name in ("id", "after", "retry", "timeout", "cache"))
    return id, given(**own) | tried(*times), after


def tried(retry: int | Mapping[str, Any] | Retry | None, timeout: float | None, cache: bool | None) -> dict[str, Any]:
    """The parameters that say how often a step is tried, how long, and whether a result is used again."""
    if isinstance(retry, int) and not isinstance(retry, bool):
        retry = {"attempts": retry}
    elif dump := getattr(retry, "model_dump", None):
        retry = dump(exclude_unset=True)
    return given(retry=retry, timeout=timeout, cache=cache)
