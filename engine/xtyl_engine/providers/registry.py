"""The registry of providers: `offline`, `openai`, the vendors of `vendors.table`, and those of other packages under the entry
point group `xtyl.providers`, each a callable that takes the environment and returns a Provider. One is imported at first use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points

from xtyl_engine.errors import PermanentError, closest_name
from xtyl_engine.providers.base import Provider
from xtyl_engine.providers.capabilities import UNKNOWN, Capabilities
from xtyl_engine.providers.vendors.table import BY_NAME, VENDORS, Vendor, address_variable, lacking, why_missing

GROUP = "xtyl.providers"
# What a provider asks where no variable names another server.
CUSTOMARY = {"openai": "https://api.openai.com/v1", **{vendor.name: vendor.address for vendor in VENDORS}}
_VENDOR, _GATEWAY = "vendors.provider:VendorProvider", "vendors.gateway:GatewayProvider"
_OWN = {"offline": "offline.provider:OfflineProvider", "openai": "openai.provider:OpenAIProvider"}
_KEYS = {"openai": ("OPENAI_API_KEY",)}
# Which it asks to write and to draw, where a step names none.
_MODELS = {"openai": ("gpt-4.1-mini", "gpt-image-1")}
_KNOWN = {"offline": Capabilities(draws=True, edits=True, masks=True, sees=True, seeds=True, free=True)}
BUILTIN = {**_OWN, **{vendor.name: _VENDOR if vendor.wiring else _GATEWAY for vendor in VENDORS}}
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
    address = environment.get(address_variable(name), "").strip().rstrip("/")
    return None if address in ("", CUSTOMARY.get(name)) else address


def check_provider(name: str) -> None:
    """Raise UnknownProvider, with the closest name, if no provider has this name; nothing is loaded."""
    if name not in provider_names():
        raise _unknown(name)


def provider_names() -> tuple[str, ...]:
    """Every provider's name."""
    return tuple(_offered())


def key_variables(name: str) -> tuple[str, ...]:
    """The variables that may hold the key which a provider needs, the customary one first; none where it needs no key, or where
    that is not known, as of a provider of another package."""
    if (vendor := vendor_of(name)) is not None:
        return vendor.keys if vendor.needs_key else ()
    return _KEYS.get(name, ())


def provider_variables() -> frozenset[str]:
    """The variables that providers read, of their keys, servers and accounts; of those of other packages the customary ones."""
    keys = {key for vendor in VENDORS for key in vendor.keys} | {
        f"{name.upper().replace('-', '_')}_API_KEY" for name in _offered()
    }
    return frozenset({*keys, *map(address_variable, _offered()), "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"})


def split_model(model: str) -> tuple[str | None, str]:
    """The provider that a model's name begins with, as `anthropic:claude-opus-5-5` does, and the model. A beginning counts only
    where it is a provider's name: `llama3:8b` is a model."""
    first, colon, rest = model.partition(":")
    name = first.strip().lower()
    return (name, rest.strip()) if colon and name in _offered() else (None, model)


def vendor_of(name: str) -> Vendor | None:
    """The vendor of a provider; None for one that is none, or that another package serves."""
    point = _offered().get(name)
    return BY_NAME.get(name) if point is not None and point.value.endswith((_VENDOR, _GATEWAY)) else None


def capabilities_of(name: str) -> Capabilities:
    """What a provider is known to do and not to do; nothing is loaded."""
    vendor = vendor_of(name)
    return _KNOWN.get(name, UNKNOWN) if vendor is None else vendor.capabilities


def default_model(name: str, *, draws: bool) -> str | None:
    """The model that a provider asks where a step names none, to draw or to write; None where that is not known."""
    if (vendor := vendor_of(name)) is not None:
        return vendor.image_model if draws else vendor.text_model
    return _MODELS[name][draws] if name in _MODELS else None


def missing_package(name: str) -> tuple[str, str] | None:
    """What to say where a package that a provider needs is not installed in this Python, and what to do about it; nothing is
    loaded."""
    if (vendor := vendor_of(name)) is not None:
        package, extra = vendor.missing(), vendor.extra
    elif name in _offered() and _offered()[name].value.endswith(_OWN["openai"]):
        package, extra = lacking(("openai",)), "openai"
    else:
        return None
    return None if package is None else why_missing(name, package, extra)


@cache
def _factory(name: str) -> Factory:
    if (point := _offered().get(name)) is None:
        raise _unknown(name)
    made = _loaded(point)
    vendor = vendor_of(name)
    return made if vendor is None else partial(made, vendor)


def _unknown(name: str) -> UnknownProvider:
    return UnknownProvider(f"there is no provider {name[:80]!r}", hint=closest_name(name, provider_names()))


@cache
def _offered() -> dict[str, EntryPoint]:
    built_in = {name: EntryPoint(name, f"xtyl_engine.providers.{path}", GROUP) for name, path in BUILTIN.items()}
    # A package that offers a vendor's name means to serve it.
    return {**built_in, **{point.name: point for point in entry_points(group=GROUP) if point.name not in _OWN}}


def _loaded(point: EntryPoint) -> Callable[..., Provider]:
    try:
        factory: Callable[..., Provider] = point.load()
    except Exception as error:
        raise UnknownProvider(
            f"the provider {point.name!r} cannot be loaded from {point.value}: {type(error).__name__}: {error}",
            hint="Repair or uninstall the package that offers it.",
        ) from error
    return factory
