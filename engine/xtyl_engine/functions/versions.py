"""Versions of what a function says it depends on. A change of one ends what was cached; nothing else follows from it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from xtyl_engine.functions.local_modules import source_digest
from xtyl_engine.functions.packed_function import PYTHON


def versions(names: Iterable[str]) -> dict[str, str]:
    """The version of each distribution or module by its name. Raises ValueError for one that is not installed."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"Python {PYTHON}"
    if holders := _distributions().get(top):
        return ", ".join(f"{each} {version(each)}" for each in sorted(set(holders)))
    if digest := source_digest(name):
        return digest
    raise ValueError(f"nothing of the name {name!r} is installed here")


# Reading what every distribution holds takes a tenth of a second.
@cache
def _distributions() -> dict[str, list[str]]:
    return {top: list(holders) for top, holders in packages_distributions().items()}
