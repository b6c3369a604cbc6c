"""Lets a runner find by its name what a function has brought along, as the notebook would: pickle names what it writes for a
child process or a file by its module. Each function finds its own, also where the same run has several.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from copy import copy
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from xtyl_engine.functions.local_modules import parents

# What travelled by value, by its module and the name that finds it there.
Named = Mapping[str, Mapping[str, Any]]
_ABSENT = object()


def bring(function: Any, named: Named) -> None:
    """Keep what a function that was loaded has brought, for the calls of this process and of those forked from it."""
    _NAMES.brought[id(function)] = (function, named)


def put_in_place(function: Any) -> None:
    """Have names mean what this function has brought, and no longer what the one before has."""
    if _NAMES.whose is not function:
        _NAMES.put(function)


class _Names:
    """The names that are in place. It stands among the finders of modules, for those that nothing has imported here: one holds
    what was brought besides what its file says, if that is here at all."""

    def __init__(self) -> None:
        self.brought: dict[int, tuple[Any, Named]] = {}
        self.whose: Any = None
        self._named: Named = {}
        self._packages: frozenset[str] = frozenset()
        self._before: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def put(self, function: Any) -> None:
        """Put back what the function before has changed, and take the names of this one."""
        for module, before in self._before:
            module.update(before)
            for name in [name for name, value in before.items() if value is _ABSENT]:
                del module[name]
        self.whose = function
        _, self._named = self.brought.get(id(function), (function, {}))
        self._packages = frozenset(each for name in self._named for each in parents(name))
        loaded = [(vars(sys.modules[name]), held) for name, held in self._named.items() if name in sys.modules]
        self._before = [(module, {name: module.get(name, _ABSENT) for name in held}) for module, held in loaded]
        for module, held in loaded:
            module.update(held)
        if self._named and self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As the import system asks."""
        if name not in self._named and name not in self._packages:
            return None
        held = self._named.get(name, {})
        finds = (getattr(finder, "find_spec", None) for finder in sys.meta_path if finder is not self)
        found: ModuleSpec | None = next((spec for find in finds if find and (spec := find(name, path, target))), None)
        if found is None:
            return ModuleSpec(name, _WithBrought(None, held), is_package=name in self._packages)
        if held:
            found = copy(found)
            found.loader = _WithBrought(found.loader, held)
        return found


class _WithBrought(Loader):
    """Makes a module as its own loader does, and puts into it what was brought."""

    def __init__(self, loader: Any, held: Mapping[str, Any]):
        self._loader = loader
        self._held = held

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec) if self._loader else None

    def exec_module(self, module: ModuleType) -> None:
        if self._loader:
            self._loader.exec_module(module)
        vars(module).update(self._held)


_NAMES = _Names()
