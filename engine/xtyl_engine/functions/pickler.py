"""cloudpickle, and what it lacks: local modules by value or by import, objects that pickle names by a place that only the
notebook has, the file of each code, and the names that classes inside functions read.
"""

from __future__ import annotations

import io
import linecache
from collections.abc import Callable, Iterable, Mapping
from functools import _lru_cache_wrapper, cached_property
from pickle import PicklingError
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any, NewType, ParamSpec, TypeVarTuple

import cloudpickle

from xtyl_engine.functions import loading, uses
from xtyl_engine.functions.references import finds, reference

Parts = tuple[Callable[..., Any], tuple[Any, ...]]


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Packs a function and what it uses. `imported` are the local modules to be imported where it runs, with the digests of
    their sources; `local` are all of them; `met` gets the names of those met. It keeps what functions import when they run, and
    what by value has a name here, by its module and that name."""

    def __init__(self, file: io.BytesIO, local: Mapping[str, ModuleType], imported: Mapping[str, str], met: set[str]):
        super().__init__(file)
        self._met = met
        self.imports: set[str] = set()
        self.named: dict[str, dict[str, Any]] = {}
        self.codes: list[CodeType] = []
        self._local = local
        self._imported = imported

    def reducer_override(self, obj: Any) -> Any:
        """How an object is packed, where pickle and cloudpickle have no way of their own, or a wrong one."""
        is_module = isinstance(obj, ModuleType)
        module = obj.__name__ if is_module else getattr(obj, "__module__", None)
        if is_module and module == "__main__":
            raise PicklingError("the notebook as a whole stays where it is")
        if isinstance(module, str) and module in self._local:
            self._met.add(module)
            if module in self._imported and (is_module or finds(module, obj)):
                return self._imported_part(module, obj)
        if isinstance(module, str) and not is_module and self._is_named(module, obj):
            self.named.setdefault(module, {})[obj.__qualname__] = obj
        if is_module and obj.__name__ in self._local:
            self._within_its_package(obj)
        if isinstance(obj, CodeType):
            return self._code(obj)
        if (parts := rebuilt(obj)) is not None:
            return parts
        found = super().reducer_override(obj)
        if isinstance(obj, FunctionType) and isinstance(found, tuple):
            self.imports |= uses.imports(obj)
            # cloudpickle leaves out what the body of a class reads.
            found[2][1]["__globals__"].update(uses.read_globals(obj))
        return found

    def _is_named(self, module: str, obj: Any) -> bool:
        """Whether an object that goes by value has a name of its own here. What stands in a class is found through it."""
        is_ours = module == "__main__" or module in self._local
        return is_ours and finds(module, obj) and "." not in obj.__qualname__

    def _within_its_package(self, module: ModuleType) -> None:
        """A package that is imported where the function runs holds modules of it that went by value."""
        package, _, own = module.__name__.rpartition(".")
        if package in self._local and getattr(self._local[package], own, None) is module:
            self.named.setdefault(package, {})[own] = module

    def _imported_part(self, module: str, obj: Any) -> Parts:
        if isinstance(obj, ModuleType):
            return loading.imported, (module, self._imported[module])
        *outer, name = obj.__qualname__.split(".")
        holder: Any = self._local[module]
        for part in outer:
            holder = getattr(holder, part)
        return getattr, (holder, name)

    def _code(self, code: CodeType) -> Any:
        self.codes.append(code)
        make, parts = self.dispatch_table[CodeType](code)
        # By its file a traceback finds its lines: cloudpickle 3.1.3 and later drop it.
        return make, tuple(code.co_filename if part == "<dynamic-code>" else part for part in parts)


def rebuilt(obj: Any) -> Parts | None:
    """How to make an object again that pickle would name by its place, or take apart to where a lock is. None for others, and
    for what can be imported by its name."""
    parts = _parts(obj)
    return None if parts is None or reference(obj) is not None else parts


def _parts(obj: Any) -> Parts | None:
    if isinstance(obj, _lru_cache_wrapper):
        return loading.cached_again, (obj.__wrapped__, *obj.cache_parameters().values())
    if isinstance(obj, NewType):
        return loading.new_type, (obj.__name__, obj.__supertype__, obj.__module__)
    if isinstance(obj, (ParamSpec, TypeVarTuple)):
        return type(obj), (obj.__name__,)
    if isinstance(obj, cached_property) and hasattr(obj, "lock"):
        return loading.cached_property_again, (obj.func, obj.attrname)
    if isinstance(obj, FunctionType) and isinstance(getattr(obj, "registry", None), MappingProxyType):
        return loading.dispatching_again, (obj.__wrapped__, tuple(obj.registry.items()))  # type: ignore[attr-defined]
    return None


def lines_of(codes: Iterable[CodeType]) -> dict[str, dict[int, str]]:
    """The lines of code by file and number, as far as they are known here. Other lines of a cell stay in the notebook."""
    found: dict[str, dict[int, str]] = {}
    for code in codes:
        lines = linecache.getlines(code.co_filename)
        last = max((end for _, end, _, _ in code.co_positions() if end), default=0)
        numbers = range(code.co_firstlineno, min(last, len(lines)) + 1)
        if numbers:
            found.setdefault(code.co_filename, {}).update((number, lines[number - 1]) for number in numbers)
    return found
