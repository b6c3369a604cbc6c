"""What a function uses: the variables of its notebook or module, those of functions around it, its defaults, and the modules
that it imports when it runs.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from functools import lru_cache
from inspect import CO_OPTIMIZED
from types import CodeType, FunctionType, ModuleType
from typing import Any

from xtyl_engine.functions.local_modules import absolute, is_local, parents

_GLOBAL = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"}


def variables(function: FunctionType) -> dict[str, Any]:
    """The values that a function reads from outside of it, by name."""
    return read_globals(function) | enclosed(function)


def read_globals(function: FunctionType) -> dict[str, Any]:
    """The variables of its notebook or module that it reads."""
    known = function.__globals__
    return {name: known[name] for name in global_names(function.__code__) if name in known}


def enclosed(function: FunctionType) -> dict[str, Any]:
    """The variables of the functions around it; one that has no value yet is left out."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def defaults(function: FunctionType) -> dict[str, Any]:
    """The defaults of its parameters."""
    code, given = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    return dict(zip(names[len(names) - len(given) :], given, strict=True)) | (function.__kwdefaults__ or {})


@lru_cache(maxsize=4096)
def global_names(code: CodeType) -> tuple[str, ...]:
    """The global names that a function and the functions and classes in it use, sorted."""
    # The body of a class reads global names as its own.
    wanted = _GLOBAL if code.co_flags & CO_OPTIMIZED else {*_GLOBAL, "LOAD_NAME"}
    found = {each.argval for each in dis.get_instructions(code) if each.opname in wanted}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found.update(global_names(inner))
    return tuple(sorted(found))


def imports(function: FunctionType) -> set[str]:
    """The full names of the modules that a function may import when it runs, their packages included."""
    package = function.__globals__.get("__package__") or None
    found = {absolute(name, package) for name in _imports(function.__code__)} - {""}
    return found.union(*map(parents, found))


def all_imports(function: Any) -> set[str]:
    """Those of a function, of what it wraps, and of the functions that these use."""
    return set().union(*(imports(each) for each in used(function) if isinstance(each, FunctionType)))


def used(function: Any) -> Iterator[Any]:
    """A function, what it wraps, what these read from outside of them, and so on: also the data of modules that are not
    installed, and the notebook's classes with their methods."""
    seen, new = set[int](), [function]
    while new:
        each = new.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        new += [getattr(each, name) for name in ("__wrapped__", "__func__", "func") if hasattr(each, name)]
        if isinstance(each, FunctionType):
            new += [*variables(each).values(), *defaults(each).values()]
        elif isinstance(each, type) and each.__module__ == "__main__":
            new += vars(each).values()
        elif isinstance(each, ModuleType) and is_local(each):
            new += [value for value in vars(each).values() if not callable(value) and not isinstance(value, ModuleType)]
        elif type(each).__module__ == "__main__":
            new += [type(each), *getattr(each, "__dict__", {}).values()]


@lru_cache(maxsize=4096)
def _imports(code: CodeType) -> frozenset[str]:
    found: set[str] = set()
    level: Any = None
    names: Any = None
    for each in dis.get_instructions(code):
        if each.opname == "IMPORT_NAME":
            module = "." * level + each.argval
            # What is taken from a package may be a module.
            stem = module if module.endswith(".") else f"{module}."
            found |= {module, *(f"{stem}{name}" for name in names or ())}
        elif each.opname != "EXTENDED_ARG":
            level, names = names, each.argval
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found.update(_imports(inner))
    return frozenset(found)
