"""Says which providers have what they need: their package, their key, and the server they ask. It loads none of them, asks no
server, and tells no key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

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

GUIDE = "docs/models.md names them all, and the variable of each."


def examine_providers(default: str, models: Mapping[str, str], environment: Environment = os.environ) -> list[Check]:
    """The providers that serve steps which name none: `default`, and those of default models, by the settings that name them;
    those whose key is set; and, in one line, the others that there are."""
    tasks = {default: ["serves steps that name none"]}
    for setting, model in models.items():
        if model:
            named, rest = split_model(model)
            tasks.setdefault(named or default, []).append(f"{setting} asks it for {rest}")
    shown = [name for name in provider_names() if name in tasks or _has_key(name, environment)]
    checks = [_check(name, environment, tasks.get(name, [])) for name in shown]
    rest_of_all = [name for name in provider_names() if name not in shown]
    return [*checks, Check(name="providers", ok=True, detail=f"{len(rest_of_all)} more have no key here", hint=GUIDE)]


def _check(name: str, environment: Environment, tasks: Sequence[str]) -> Check:
    """One provider. What it lacks is a fault only where it has a task."""
    lacks, hints = [], []
    if (missing := missing_package(name)) is not None:
        lacks.append("its package is not installed")
        hints.append(missing[1])
    names = key_variables(name)
    found = next((each for each in names if environment.get(each, "").strip()), None)
    if names and found is None:
        lacks.append(f"{' or '.join(names)} is not set")
        hints.append(f"Set {names[0]} in the notebook, or where the workers of a shared back end run.")
    has = lacks or [f"{found} is set" if found else "needs no key"]
    server = server_of(name, environment)
    told = [*has, *([f"asks {server}"] if server else []), *tasks]
    return Check(name=f"provider {name}", ok=not (lacks and tasks), detail="; ".join(told), hint=" ".join(hints))


def _has_key(name: str, environment: Environment) -> bool:
    vendor = vendor_of(name)
    # One that needs no key is on this machine, if at all: its address is what tells.
    names = vendor.keys if vendor is not None else key_variables(name)
    return any(environment.get(each, "").strip() for each in names) or server_of(name, environment) is not None
