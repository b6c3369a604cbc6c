"""Modules that are not installed: those beside the notebook, on any other entry of `sys.path`, and editable installs. A worker
may lack them or hold other versions. Here: which they are, and a digest of the source that an import would find.
"""

from __future__ import annotations

import ast
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from os.path import isabs
from pathlib import Path
from types import ModuleType

Find = Callable[[str, Sequence[str] | None], ModuleSpec | None]
OURS = ("xtyl_engine", "xtyl_nb")
_SITES = frozenset({"site-packages", "dist-packages"})
_STANDARD = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


class SourceChanged(Exception):
    """A module's source is not what it was when a function that imports it was packed."""


def is_local(module: ModuleType | None) -> bool:
    """Whether a module is neither installed, nor of the standard library, nor ours, nor the notebook itself."""
    name = getattr(module, "__name__", None)
    if not isinstance(name, str) or name.partition(".")[0] in (*OURS, "__main__"):
        return False
    places = [getattr(module, "__file__", None) or "", *_search_path(module)]
    if known := [place for place in places if isinstance(place, str) and isabs(place)]:
        return not _is_installed(known[0])
    if "." in name:
        return is_local(sys.modules.get(name.rpartition(".")[0]))
    # Made in memory: no import finds it. Built-in modules have a spec.
    return getattr(module, "__spec__", None) is None


def local_modules() -> dict[str, ModuleType]:
    """Those that are loaded, by name."""
    loaded = [(name, each) for name, each in list(sys.modules.items()) if getattr(each, "__name__", None) == name]
    return {name: each for name, each in loaded if is_local(each)}


def source_digest(name: str) -> str | None:
    """A digest of what an import of a local module would find: of its code without comments and docstrings, or of its
    bytes if it has no source. None for one that is installed or is not there. Nothing is imported."""
    spec = find_module(name)
    if spec is None or spec.origin is None or not isabs(spec.origin) or _is_installed(spec.origin):
        return None
    text = source(name)
    return _digest(text) if text is not None else sha256(Path(spec.origin).read_bytes()).hexdigest()


def check_source(name: str, digest: str) -> None:
    """Raise SourceChanged if there is another source than that of the digest; none at all is for the import to say."""
    found = source_digest(name)
    if found not in (None, digest):
        raise SourceChanged(name)


def source(name: str) -> str | None:
    """The text that an import of a module would read."""
    spec = find_module(name)
    read = getattr(spec.loader, "get_source", None) if spec else None
    try:
        text = read(name) if read else None
    except (ImportError, OSError, SyntaxError, UnicodeError):
        return None
    return text if isinstance(text, str) else None


def imported_by(name: str) -> Iterator[str]:
    """The local modules that a local module's source imports, and those that these import, itself included."""
    found, new = set[str](), {name}
    while new:
        each = new.pop()
        if each in found or source_digest(each) is None:
            continue
        found.add(each)
        yield each
        new |= {*_imports(each), *parents(each)}


def parents(name: str) -> Iterator[str]:
    """The packages that an import of a module imports first."""
    while name := name.rpartition(".")[0]:
        yield name


def _imports(name: str) -> Iterator[str]:
    spec = find_module(name)
    package = name if spec and spec.submodule_search_locations is not None else name.rpartition(".")[0]
    for node in ast.walk(_parsed(source(name) or "")):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute("." * node.level + (node.module or ""), package)
            yield from (module, *(f"{module}.{alias.name}" for alias in node.names))


def absolute(name: str, package: str | None) -> str:
    """A module's full name, of one that may begin with dots; empty where these lead outside the package."""
    try:
        return resolve_name(name, package)
    except ImportError:
        return ""


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _digest(text: str) -> str:
    tree = _parsed(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return sha256((ast.dump(tree) if tree.body else text).encode("utf-8", "replace")).hexdigest()


def find_module(name: str) -> ModuleSpec | None:
    """The spec of a module, as an import finds it. `importlib.util.find_spec` imports its packages."""
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    path: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    for end in [place for place, sign in enumerate(f"{name}.") if sign == "."]:
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if find is not None and (spec := _found(find, name[:end], path)) is not None:
                break
        else:
            return None
        path = spec.submodule_search_locations
        if path is None and end < len(name):
            return None
    return spec


def _found(find: Find, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    try:
        return find(name, path)
    except (KeyError, AttributeError):
        # A package without `__init__.py` asks the one around it for its folders, and that is not imported.
        spec = ModuleSpec(name, None, is_package=True)
        places = (os.path.join(entry, name.rpartition(".")[2]) for entry in path or ())
        spec.submodule_search_locations = [place for place in places if os.path.isdir(place)]
        return spec


def _search_path(module: ModuleType | None) -> list[str]:
    try:
        return list(getattr(module, "__path__", ()))
    except (TypeError, KeyError):
        # A package without `__init__.py` asks the one around it, which may be gone.
        return []


# A kernel holds thousands of modules, and packing a function asks for each of them.
@cache
def _is_installed(file: str) -> bool:
    path = Path(file)
    return not _SITES.isdisjoint(path.parts) or any(map(path.is_relative_to, _STANDARD))
