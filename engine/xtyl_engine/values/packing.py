"""Packs a function of the notebook, on the kernel's side: pickled by value with what it uses. A function that a worker can
import travels as a reference instead.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from xtyl_engine.errors import FunctionRejected, with_article
from xtyl_engine.values.functions import PYTHON, Function, PackedFunction, check_size, function_name, sign
from xtyl_engine.values.loading import OURS, resolve

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_packing = threading.RLock()


def pack(function: Function, *, key: bytes, execution_id: str) -> PackedFunction:
    """Pack a function for one execution.

    Raises FunctionRejected, naming the captured variable that cannot be packed, and LimitExceeded if it captures too much.
    """
    return sign(wrap(function), key=key, execution_id=execution_id)


def wrap(function: Function) -> PackedFunction:
    """Pack a function for a back end that signs it. Raises as `pack` does."""
    blob, name = _pickled(function), function_name(function)
    check_size(name, blob)
    return PackedFunction(digest=sha256(blob).hexdigest(), name=name, python=PYTHON, blob=blob)


def reference(function: Function) -> str | None:
    """`module:qualname` if a worker can import the function by it, else None.

    Other functions are packed: those of the notebook, nested ones, and those of modules beside the notebook, which a
    worker may lack or hold in an older version.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<none>")
    if not module or module == "__main__" or "<" in name or _is_local(sys.modules.get(module)):
        return None
    try:
        return f"{module}:{name}" if resolve(module, name) is function else None
    except (ImportError, AttributeError):
        return None


def _is_local(module: ModuleType | None, folder: str | None = None) -> bool:
    """Whether a module lies in this folder, the notebook's own by default, and is not installed."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or (module and module.__name__.partition(".")[0] in OURS):
        return False
    return _lies_in(file, folder or os.getcwd())


# A kernel holds thousands of modules, and packing a function asks for each of them.
@cache
def _lies_in(file: str, folder: str) -> bool:
    path = Path(file)
    # The notebook's folder may hold the interpreter and all its packages.
    is_installed = not _INSTALLED.isdisjoint(path.parts) or any(map(path.is_relative_to, (sys.prefix, sys.base_prefix)))
    return path.is_relative_to(folder) and not is_installed


def _pickled(function: Function) -> bytes:
    import cloudpickle

    with _local_by_value():
        try:
            return bytes(cloudpickle.dumps((function, *_source(function))))
        except Exception as error:
            raise _unpackable(function, error) from error


@contextmanager
def _local_by_value() -> Iterator[None]:
    """Inside the block, pack modules beside the notebook by value: a worker cannot import them."""
    import cloudpickle

    with _packing:
        folder = os.getcwd()
        local = [
            module
            for name, module in list(sys.modules.items())
            if name != "__main__" and getattr(module, "__name__", None) == name and _is_local(module, folder)
        ]
        for module in local:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in local:
                cloudpickle.unregister_pickle_by_value(module)


def _source(function: Function) -> tuple[str, tuple[str, ...]]:
    """The function's file and its lines up to its end, so that a traceback on a worker can quote them."""
    try:
        lines, first = inspect.getsourcelines(function)
        filename = inspect.getfile(function)
    except (OSError, TypeError):
        return "", ()
    return filename, ("\n",) * (first - 1) + tuple(lines)


def _unpackable(function: Function, error: Exception) -> FunctionRejected:
    name = function_name(function)
    for owner, variable, value in _captured(function, set()):
        if not _can_pickle(value):
            what = f"`{variable}`, {with_article(type(value).__name__)} that {owner}() captured,"
            hint = f"Create {variable} inside {owner}(), or pass plain values as arguments."
            return FunctionRejected(f"{name}() cannot be sent to a worker: {what} cannot be packed", hint=hint)
    return FunctionRejected(
        f"{name}() cannot be sent to a worker: {type(error).__name__}: {error}",
        hint="Write it as a plain function that creates what it needs.",
    )


def _captured(function: Any, seen: set[int]) -> Iterator[tuple[str, str, Any]]:
    """The variables that a function captures, each with its owner's name; first those of the functions it uses."""
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType) or id(function) in seen:
        return
    seen.add(id(function))
    found = inspect.getclosurevars(function)
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty
    }
    for variable, value in {**found.globals, **found.nonlocals, **defaults}.items():
        yield from _captured(value, seen)
        yield function.__name__, variable, value


def _can_pickle(value: Any) -> bool:
    import cloudpickle

    try:
        cloudpickle.dumps(value)
    except Exception:
        return False
    return True
