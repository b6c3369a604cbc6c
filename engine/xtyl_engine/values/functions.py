"""Functions from a notebook, packed so that a worker can run them: pickled by value, signed, and pinned to one execution
and one Python version. A function that a worker can import travels as a reference instead. Nothing here calls one.
"""

from __future__ import annotations

import hmac
import inspect
import io
import json
import linecache
import os
import pickle
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from xtyl_engine.atomic_write import write_atomically
from xtyl_engine.errors import FunctionRejected, LimitExceeded, with_article
from xtyl_engine.limits import MAX_FUNCTION_BYTES
from xtyl_engine.values.plain import mend
from xtyl_engine.values.recent import Recent

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
KEY_BYTES = 32
_OURS = ("xtyl_engine", "xtyl_nb")
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_packing = threading.RLock()
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
Function = Callable[..., Any]
Functions = Mapping[str, Function]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFunction:
    """A function as it is stored. `digest` is the hash of its code and captured values; `signature` covers that, the
    execution and the Python version."""

    digest: str
    name: str
    python: str
    blob: bytes
    signature: str

    def stored(self) -> dict[str, Any]:
        """The function as a node's config names it."""
        return {"digest": self.digest, "name": self.name, "python": self.python}


def pack(function: Function, *, key: bytes, execution_id: str) -> PackedFunction:
    """Pack a function for one execution.

    Raises FunctionRejected, naming the captured variable that cannot be packed, and LimitExceeded if it captures too much.
    """
    return sign(_pickled(function), name=function_name(function), python=PYTHON, key=key, execution_id=execution_id)


def wrap(function: Function) -> PackedFunction:
    """Pack a function for a back end that signs it; unsigned, it never runs. Raises as `pack` does."""
    return _unsigned(_pickled(function), function_name(function), PYTHON)


def sign(blob: bytes, *, name: str, python: str, key: bytes, execution_id: str) -> PackedFunction:
    """Sign a pickled function for one execution. Raises LimitExceeded if it captures too much."""
    unsigned = _unsigned(blob, name, python)
    return replace(unsigned, signature=_sign(key, execution_id, python, unsigned.digest, blob))


def _unsigned(blob: bytes, name: str, python: str) -> PackedFunction:
    check_size(name, blob)
    return PackedFunction(digest=sha256(blob).hexdigest(), name=name, python=python, blob=blob, signature="")


def check_size(name: str, blob: bytes) -> None:
    """Raise LimitExceeded for a packed function that is too large."""
    if len(blob) > MAX_FUNCTION_BYTES:
        raise LimitExceeded(
            f"{name}() packs to {len(blob):,} bytes, more than the {MAX_FUNCTION_BYTES:,} allowed: "
            "it takes large variables of the notebook along",
            hint="Pass the data as an argument, or load it inside the function.",
        )


def unpack(packed: PackedFunction, *, key: bytes, execution_id: str) -> Function:
    """The function. Its signature and Python version are checked before anything is loaded."""
    verify(packed, key=key, execution_id=execution_id)
    return load(packed.blob, name=packed.name, python=packed.python)


def verify(packed: PackedFunction, *, key: bytes, execution_id: str) -> None:
    """Raise FunctionRejected for a function that was not packed for this execution with this key. It is not loaded."""
    expected = _sign(key, execution_id, packed.python, packed.digest, packed.blob)
    if not hmac.compare_digest(expected.encode(), packed.signature.encode("utf-8", "replace")):
        raise FunctionRejected(
            f"{packed.name}() was not packed for this run with this project's key",
            hint="Submit the workflow again from a notebook that shares the worker's XTYL_HOME.",
        )


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
        if package not in _OURS:
            raise
        return import_module(package)


def not_taken(who: str, name: str, *, node: str | None = None) -> FunctionRejected:
    """The error of a worker or a back end that takes no functions from notebooks."""
    return FunctionRejected(
        f"{who} takes no functions from notebooks: {name}",
        hint="Install it on the workers as a module, or set XTYL_ACCEPT_FUNCTIONS=1 where every user is trusted.",
        node=node,
    )


def reference(function: Function) -> str | None:
    """`module:qualname` if a worker can import the function by it, else None.

    Other functions are packed: those of the notebook, nested ones, and those of modules beside the notebook, which a
    worker may lack or hold in an older version.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<none>")
    if not module or module == "__main__" or "<" in name or _is_local(sys.modules.get(module)):
        return None
    try:
        return f"{module}:{name}" if _resolve(module, name) is function else None
    except (ImportError, AttributeError):
        return None


def load_reference(text: str) -> Function:
    """The function that a `module:qualname` names. Raises FunctionRejected if there is none."""
    module, _, name = text.partition(":")
    try:
        with _loading:
            found = _resolve(module, name)
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


def load_key(path: str | os.PathLike[str]) -> bytes:
    """The back end's signing key, made on first use with mode 0600; processes that race agree on one key."""
    path = Path(path)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Another process may be first; then its key counts.
        with suppress(FileExistsError):
            write_atomically(path, secrets.token_bytes(KEY_BYTES), durable=True, only_new=True)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise FunctionRejected(
            f"the key file {path} holds {len(key)} bytes, not {KEY_BYTES}",
            hint="Delete it, and submit the workflow again.",
        )
    return key


def function_name(function: Function) -> str:
    """The function's name, as text that can be stored anywhere."""
    return mend(str(getattr(function, "__name__", type(function).__name__)))


def _sign(key: bytes, execution_id: str, python: str, digest: str, blob: bytes) -> str:
    head = json.dumps([execution_id, python, digest]).encode() + b"\n"
    return hmac.new(key, head + blob, sha256).hexdigest()


def _resolve(module: str, name: str) -> Any:
    found: Any = import_module(MOVED.get(module, module))
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _is_local(module: ModuleType | None, folder: str | None = None) -> bool:
    """Whether a module lies in this folder, the notebook's own by default, and is not installed."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or (module and module.__name__.partition(".")[0] in _OURS):
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
