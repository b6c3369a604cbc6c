"""Loads functions where they run: a packed one whose signature was checked, or one that is named by its import path. Nothing
here calls one.
"""

from __future__ import annotations

import io
import linecache
import os
import pickle
import threading
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any

from xtyl_engine.errors import FunctionRejected, with_article
from xtyl_engine.values.functions import PYTHON, Function, PackedFunction, verify
from xtyl_engine.values.recent import Recent

OURS = ("xtyl_engine", "xtyl_nb")
# Loading imports modules. Threads that enter modules which import each other from different sides find one that is half
# made, or are told of a deadlock.
_loading = threading.RLock()
# Each cell that defines a function is a file of its own; `linecache` never forgets one.
SOURCE_CHARACTERS = 8 * 1024 * 1024
_sources: Recent[str, None] = Recent(SOURCE_CHARACTERS)
# The present names of modules that functions and workflows of an earlier release name.
MOVED: dict[str, str] = {
    "xtyl_engine.artifacts": "xtyl_engine.values.artifacts",
    "xtyl_engine.nodes": "xtyl_engine.nodes.registry",
    "xtyl_engine.overview": "xtyl_engine.queries.views",
    "xtyl_engine.plan": "xtyl_engine.workflow.plan",
    "xtyl_engine.providers": "xtyl_engine.providers.registry",
    "xtyl_engine.query": "xtyl_engine.queries.views",
    "xtyl_engine.submit": "xtyl_engine.scheduler.submit",
    "xtyl_engine.values": "xtyl_engine.values.plain",
    "xtyl_engine.workflow": "xtyl_engine.workflow.document",
    "xtyl_nb.briefs": "xtyl_nb.data.briefs",
    "xtyl_nb.build": "xtyl_nb.workflow.builder",
    "xtyl_nb.client": "xtyl_nb.backends.connect",
    "xtyl_nb.direct": "xtyl_nb.backends.direct",
    "xtyl_nb.frame": "xtyl_nb.frames.results",
    "xtyl_nb.gallery": "xtyl_nb.drawing.gallery",
    "xtyl_nb.launch": "xtyl_nb.runs.launch",
    "xtyl_nb.problems": "xtyl_nb.workflow.errors",
    "xtyl_nb.remote": "xtyl_nb.backends.remote.backend",
    "xtyl_nb.run": "xtyl_nb.runs.run",
    "xtyl_nb.table": "xtyl_nb.frames.result_frame",
    "xtyl_nb.timeline": "xtyl_nb.drawing.timeline",
    "xtyl_nb.widget": "xtyl_nb.widget.widget",
}


def unpack(packed: PackedFunction, *, key: bytes, execution_id: str) -> Function:
    """The function. Its signature and Python version are checked before anything is loaded. Raises FunctionRejected."""
    verify(packed, key=key, execution_id=execution_id)
    return load(packed.blob, name=packed.name, python=packed.python)


def load(blob: bytes, *, name: str, python: str) -> Function:
    """The function of a blob that `verify` has passed: loading runs what it holds. Raises FunctionRejected."""
    if python != PYTHON:
        raise FunctionRejected(
            f"{name}() was packed by Python {python}, and this worker runs {PYTHON}",
            hint=f"Start the worker with Python {python}, or put the function in a module that both can import.",
        )
    try:
        with _loading:
            function, filename, lines = _Unpickler(io.BytesIO(blob)).load()
    except Exception as error:
        raise FunctionRejected(
            f"{name}() cannot be loaded on this worker: {type(error).__name__}: {error}",
            hint="Install on the worker what the function imports.",
        ) from error
    _remember_source(filename, lines)
    _name_file(function, filename)
    return function  # type: ignore[no-any-return]


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


def resolve(module: str, name: str) -> Any:
    """What a dotted name means in a module, by its present place."""
    found: Any = import_module(MOVED.get(module, module))
    for part in name.split("."):
        found = getattr(found, part)
    return found


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
    """Restore the file name of a function's code, by which a traceback finds its lines: cloudpickle 3.1.3 and later drop
    it."""
    function = getattr(function, "__func__", function)
    if filename and isinstance(function, FunctionType):
        function.__code__ = _named(function.__code__, filename)


def _named(code: CodeType, filename: str) -> CodeType:
    inner = tuple(_named(each, filename) if isinstance(each, CodeType) else each for each in code.co_consts)
    return code.replace(co_filename=filename, co_consts=inner)


def _remember_source(filename: str, lines: tuple[str, ...]) -> None:
    if filename and not os.path.exists(filename):
        known = linecache.getlines(filename)
        merged = [new if new.strip() else old for new, old in zip(lines, known, strict=False)]
        merged += list(lines[len(known) :]) or known[len(lines) :]
        size = sum(map(len, merged))
        linecache.cache[filename] = (size, None, merged, filename)
        for forgotten in _sources.put(filename, None, size):
            linecache.cache.pop(forgotten, None)
