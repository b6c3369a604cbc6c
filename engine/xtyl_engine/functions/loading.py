"""Loads functions where they run: a packed one whose signature was checked, or one that is named by its import path. Nothing
here calls one.
"""

from __future__ import annotations

import io
import linecache
import os
import pickle
import sys
import threading
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache, singledispatch
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any, NewType

from xtyl_engine.errors import FunctionRejected, with_article
from xtyl_engine.functions.by_name import bring
from xtyl_engine.functions.local_modules import OURS, SourceChanged, check_source
from xtyl_engine.functions.packed_function import PYTHON, Function, PackedFunction, verify
from xtyl_engine.functions.pins import pin
from xtyl_engine.functions.references import MOVED, resolve
from xtyl_engine.values.recent import Recent

# Loading imports modules. Threads that enter modules which import each other from different sides find one that is half
# made, or are told of a deadlock.
_loading = threading.RLock()
# Each cell that defines a function is a file of its own; `linecache` never forgets one.
SOURCE_CHARACTERS = 8 * 1024 * 1024
_sources: Recent[str, None] = Recent(SOURCE_CHARACTERS)


def unpack(packed: PackedFunction, *, key: bytes, execution_id: str) -> Function:
    """The function, in a process that serves many runs. Its signature and Python version are checked before anything is loaded.
    Raises FunctionRejected."""
    verify(packed, key=key, execution_id=execution_id)
    return load(packed.blob, name=packed.name, python=packed.python, is_alone=False)


def load(blob: bytes, *, name: str, python: str, is_alone: bool = True) -> Function:
    """The function of a blob that `verify` has passed: loading runs what it holds. In a process that is its run's alone, local
    modules that it imports when it runs are the kernel's, and stay so. Raises FunctionRejected."""
    if python != PYTHON:
        raise FunctionRejected(
            f"{name}() was packed by Python {python}, and this worker runs {PYTHON}",
            hint=f"Start the worker with Python {python}, or put the function in a module that both can import.",
        )
    try:
        with _loading:
            return _loaded(blob, is_alone)
    except SourceChanged as error:
        raise FunctionRejected(
            f"the module {error}, which {name}() imports, is not the one that the notebook had when it was submitted",
            hint="Submit the workflow again, or put back the file.",
        ) from error
    except Exception as error:
        raise FunctionRejected(
            f"{name}() cannot be loaded on this worker: {type(error).__name__}: {error}",
            hint="Install on the worker what the function imports.",
        ) from error


def _loaded(blob: bytes, is_alone: bool) -> Function:
    """A blob begins with the function, its file and its lines; an earlier release reads no further. Then come modules that are
    imported when it runs, digests of those that are imported from their files, lines of all files, and what goes by a name."""
    unpickler = _Unpickler(io.BytesIO(blob))
    function, filename, lines = unpickler.load()
    _remember_source(filename, dict(enumerate(lines, 1)))
    _name_file(function, filename)
    while True:
        try:
            part = unpickler.load()
        except EOFError:
            return function  # type: ignore[no-any-return]
        for name, module in part.get("modules", {}).items() if is_alone else ():
            sys.modules.setdefault(name, module)
        for name, digest in part.get("imported", {}).items():
            (pin if is_alone else check_source)(name, digest)
        for file, numbered in part.get("lines", {}).items():
            _remember_source(file, numbered)
        if is_alone and "named" in part:
            bring(function, part["named"])


def imported(name: str, digest: str) -> ModuleType:
    """A module that could not be packed, from its file, if that is the one of the digest."""
    check_source(name, digest)
    return import_module(name)


def cached_again(function: Function, maxsize: int | None, typed: bool) -> Function:
    """A function under `functools.cache` or `lru_cache`, its cache empty."""
    return lru_cache(maxsize, typed)(function)


def dispatching_again(function: Function, ways: Iterable[tuple[type, Function]]) -> Function:
    """A function under `functools.singledispatch`."""
    made = singledispatch(function)
    for kind, way in ways:
        made.register(kind, way)
    return made


def cached_property_again(function: Function, name: str | None) -> Any:
    """A `functools.cached_property`, with a lock of its own where it has one."""
    made = cached_property(function)
    made.attrname = name
    return made


def new_type(name: str, of: Any, module: str) -> Any:
    """A `typing.NewType`."""
    made: Any = NewType(name, of)  # type: ignore[misc]
    made.__module__ = module
    return made


def load_reference(text: str) -> Function:
    """The function that a `module:qualname` names. Raises FunctionRejected if there is none."""
    module, _, name = text.partition(":")
    try:
        with _loading:
            found = resolve(module, name)
    except Exception as error:
        # Importing runs the module's own code, which may raise anything.
        raise FunctionRejected(
            f"the function {text!r} cannot be imported here: {type(error).__name__}: {error}",
            hint="Install its module where the worker runs, and write it as module:name.",
        ) from error
    if not callable(found):
        raise FunctionRejected(
            f"{text!r} is {with_article(type(found).__name__)}, not a function", hint="Name a function."
        )
    return found  # type: ignore[no-any-return]


class _Unpickler(pickle.Unpickler):
    """Finds the names of an earlier release where they are now."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(MOVED.get(module, module), name)
        return _import_again if name == "subimport" else found


def _import_again(name: str) -> ModuleType:
    """Import a module that was packed with a function. cloudpickle packs every module that an attribute such as
    `run.frame` might name: a module of ours that no longer exists must not keep the function from running."""
    try:
        return import_module(MOVED.get(name, name))
    except ModuleNotFoundError:
        package = name.partition(".")[0]
        if package not in OURS:
            raise
        return import_module(package)


def _name_file(function: Any, filename: str) -> None:
    """Restore the file name of a function's code, by which a traceback finds its lines, in a blob of an earlier
    release: cloudpickle 3.1.3 and later drop it."""
    function = getattr(function, "__func__", function)
    if filename and isinstance(function, FunctionType) and function.__code__.co_filename == "<dynamic-code>":
        function.__code__ = _named(function.__code__, filename)


def _named(code: CodeType, filename: str) -> CodeType:
    inner = tuple(_named(each, filename) if isinstance(each, CodeType) else each for each in code.co_consts)
    return code.replace(co_filename=filename, co_consts=inner)


def _remember_source(filename: str, lines: Mapping[int, str]) -> None:
    """Let tracebacks quote these lines, by their numbers, of a file that is not here."""
    if filename and lines and not os.path.exists(filename):
        known = dict(enumerate(linecache.getlines(filename), 1)) | {
            at: line for at, line in lines.items() if line.strip()
        }
        whole = [known.get(number, "\n") for number in range(1, max([*known, *lines]) + 1)]
        size = sum(map(len, whole))
        linecache.cache[filename] = (size, None, whole, filename)
        for forgotten in _sources.put(filename, None, size):
            linecache.cache.pop(forgotten, None)
