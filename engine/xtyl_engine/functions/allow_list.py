"""Which functions a document may name by their import path. A name is code on the worker, so a shared back end takes
none that its operator has not opened with XTYL_FUNCTIONS. Nothing here imports one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from xtyl_engine.errors import FunctionRejected

EVERY = "*"
# A module and a function, each by names that no one has marked as private: what a `*` stands for.
_OPEN = re.compile(r"(?!_)\w+(\.(?!_)\w+)*:(?!_)\w+")


def is_opened(name: str, opened: str) -> bool:
    """Whether a list of names opens `module:function`. There `module:*` stands for the functions of one module, `package.*:*` for
    those of a package's, and `*` for all that can be imported."""
    return opened == EVERY or any(_is_meant(name, pattern) for pattern in opened.split())


def check_opened(name: str, opened: str, *, who: str = "this worker", node: str | None = None) -> None:
    """Raise FunctionRejected for a name that is not opened."""
    if not is_opened(name, opened):
        raise FunctionRejected(not_opened(who, name), hint=how_to_open(name), node=node)


def check_found(function: Callable[..., Any], name: str, opened: str) -> None:
    """Raise FunctionRejected where a name that a `*` opens stands for something that its module has from elsewhere: a module that
    imports `system` does not open it."""
    if opened == EVERY or name in opened.split():
        return
    home = str(getattr(function, "__module__", None))
    if not any(_holds(pattern, home) for pattern in opened.split()):
        raise FunctionRejected(not_opened("this worker", f"{name}: it comes from {home[:80]}"), hint=how_to_open(name))


def named(function: Any) -> str | None:
    """The import path by which a step names its function; None for one that is packed or present itself."""
    found = function.get("reference") if isinstance(function, Mapping) else function
    return found if isinstance(found, str) else None


def not_opened(who: str, name: str) -> str:
    """What is wrong with a name that is not opened."""
    return f"{who} does not take the function {name[:200]}"


def how_to_open(name: str) -> str:
    """What an operator does about a name that is not opened."""
    return f"An operator opens it with XTYL_FUNCTIONS, for the API and for the workers: `{name[:200]}`, or `module:*`."


def _is_meant(name: str, pattern: str) -> bool:
    if not pattern.endswith(":*"):
        return name == pattern
    return _OPEN.fullmatch(name) is not None and _holds(pattern, name.partition(":")[0])


def _holds(pattern: str, home: str) -> bool:
    """Whether a pattern that ends in `*` stands for the functions of a module."""
    module, _, function = pattern.partition(":")
    package = module.removesuffix(".*")
    return function == "*" and (home == package or (package != module and home.startswith(f"{package}.")))
