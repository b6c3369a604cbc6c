"""Says which providers have what they need: their package, their key, and the server they ask. It loads none of them, asks no
server, and tells no key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from xtyl_engine.checks import Check
from xtyl_engine.providers.registry import (
    Environment,
    key_variables,
    missing_package,
    provider_names,
    server_of,
    split_model,
    vendor_of,
)

GUIDE = "docs/models.md has a row for each."


def examine_providers(default: str, models: Iterable[str], environment: Environment = os.environ) -> list[Check]:
    """The providers that serve steps which name none, `default` and those of the default `models`; those whose key is set; and,
    in one line, the others that there are."""
    chosen = {name for model in models if (name := split_model(model)[0] or (model and default))} | {default}
    shown = [name for name in provider_names() if name in chosen or _has_key(name, environment)]
    checks = [_check(name, environment, is_chosen=name in chosen) for name in shown]
    rest = ", ".join(name for name in provider_names() if name not in shown)
    return [*checks, Check(name="providers", ok=True, detail=f"without a key: {rest}", hint=GUIDE)] if rest else checks


def _check(name: str, environment: Environment, *, is_chosen: bool) -> Check:
    """One provider. What it lacks is a fault only where steps that name none would ask it."""
    lacks, hints = [], []
    if (missing := missing_package(name)) is not None:
        lacks.append("its package is not installed")
        hints.append(missing[1])
    names = key_variables(name)
    if names and not _has_key(name, environment):
        lacks.append(f"{' or '.join(names)} is not set")
        hints.append(f"Set {names[0]} in the notebook, or where the workers of a shared back end run.")
    found = lacks or [
        f"{next(each for each in names if environment.get(each, '').strip())} is set" if names else "needs no key"
    ]
    server = server_of(name, environment)
    told = [*found, *([f"asks {server}"] if server else []), *(["serves steps that name none"] if is_chosen else [])]
    return Check(name=f"provider {name}", ok=not (lacks and is_chosen), detail="; ".join(told), hint=" ".join(hints))


def _has_key(name: str, environment: Environment) -> bool:
    vendor = vendor_of(name)
    # One that needs no key is on this machine, if at all: its address is what tells.
    names = vendor.keys if vendor is not None else key_variables(name)
    return any(environment.get(each, "").strip() for each in names) or server_of(name, environment) is not None
