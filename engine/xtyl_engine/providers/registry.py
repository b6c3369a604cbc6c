"""The registry of providers: `offline`, `openai`, and those of other packages under the entry point group
`xtyl.providers`, each a callable that takes the environment and returns a Provider. One is imported at first use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from xtyl_engine.errors import PermanentError, closest_name
from xtyl_engine.providers.base import Provider

GROUP = "xtyl.providers"
# What a provider asks where no variable names another server.
CUSTOMARY = {"openai": "https://api.openai.com/v1"}
BUILTIN = {"offline": "offline.provider:OfflineProvider", "openai": "openai.provider:OpenAIProvider"}
Environment = Mapping[str, str]
Factory = Callable[[Environment], Provider]


class UnknownProvider(PermanentError, LookupError):
    """There is no such provider."""

    code = "provider/unknown"


def get_provider(name: str, environment: Environment = os.environ) -> Provider:
    """The provider of a name. It reads its settings from `environment` anew each time, so no secret is kept.

    Raises UnknownProvider with the closest name.
    """
    return _factory(name)(environment)


def server_of(name: str, environment: Environment) -> str | None:
    """The server that `<NAME>_BASE_URL` names, if it is another than the provider asks anyway."""
    variable = f"{name.upper().replace('-', '_')}_BASE_URL"
    address = environment.get(variable, "").strip().rstrip("/")
    return None if address in ("", CUSTOMARY.get(name)) else address


def check_provider(name: str) -> None:
    """Raise UnknownProvider, with the closest name, if no provider has this name; nothing is loaded."""
    if name not in provider_names():
        raise _unknown(name)


def provider_names() -> tuple[str, ...]:
    """Every provider's name."""
    return tuple(_offered())


@cache
def _factory(name: str) -> Factory:
    if (point := _offered().get(name)) is not None:
        return _loaded(point)
    raise _unknown(name)


def _unknown(name: str) -> UnknownProvider:
    return UnknownProvider(f"there is no provider {name[:80]!r}", hint=closest_name(name, provider_names()))


@cache
def _offered() -> dict[str, EntryPoint]:
    built_in = {name: EntryPoint(name, f"xtyl_engine.providers.{path}", GROUP) for name, path in BUILTIN.items()}
    return {**built_in, **{point.name: point for point in entry_points(group=GROUP) if point.name not in BUILTIN}}


def _loaded(point: EntryPoint) -> Factory:
    try:
        factory: Factory = point.load()
    except Exception as error:
        raise UnknownProvider(
            f"the provider {point.name!r} cannot be loaded from {point.value}: {type(error).__name__}: {error}",
            hint="Repair or uninstall the package that offers it.",
        ) from error
    return factory
