"""Packs a function of the notebook, on the kernel's side: pickled by value with what it uses of the notebook and of local
modules. A local module that cannot be packed is imported where the function runs, if its file there is the same.
"""

from __future__ import annotations

import inspect
import io
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pickle import PicklingError
from types import ModuleType
from typing import Any

from xtyl_engine.errors import LimitExceeded
from xtyl_engine.functions.code_digest import code_digest
from xtyl_engine.functions.freshness import is_fresh
from xtyl_engine.functions.local_modules import imported_by, local_modules, source_digest
from xtyl_engine.functions.packed_function import PYTHON, Function, PackedFunction, check_size, function_name, sign
from xtyl_engine.functions.pickled_names import pickled_names
from xtyl_engine.functions.refusals import edited, unpackable

Modules = Mapping[str, ModuleType]
_packing = threading.RLock()


def pack(function: Function, *, key: bytes, execution_id: str) -> PackedFunction:
    """Pack a function for one execution.

    Raises FunctionRejected, naming the captured variable that cannot be packed, and LimitExceeded if it captures too much.
    """
    return sign(wrap(function), key=key, execution_id=execution_id)


def wrap(function: Function) -> PackedFunction:
    """Pack a function for a back end that signs it. Raises as `pack` does."""
    name = function_name(function)
    with _by_value() as local:
        packing = _Packing(function, local)
        blob = packing.blob()
        return PackedFunction(
            digest=code_digest(function, imported=packing.imported), name=name, python=PYTHON, blob=blob
        )


@contextmanager
def _by_value() -> Iterator[Modules]:
    """Inside the block, cloudpickle packs local modules by value."""
    import cloudpickle

    with _packing:
        local = local_modules()
        new = [each for name, each in local.items() if name not in cloudpickle.list_registry_pickle_by_value()]
        for module in new:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield local
        finally:
            for module in new:
                cloudpickle.unregister_pickle_by_value(module)


class _Packing:
    """Packs one function, and imports what is in the way as far as an import finds the same."""

    def __init__(self, function: Any, local: Modules, imported: Mapping[str, str] | None = None):
        self.function = function
        self.local = local
        self.imported = dict(imported or {})
        """The modules that are imported where the function runs, with the digests of their sources."""

    def blob(self) -> bytes:
        """The packed function. Raises FunctionRejected."""
        while True:
            met: set[str] = set()
            try:
                return self.dumped((self.function, *_source(self.function)), met)
            except Exception as error:
                if stuck := self._stuck(met):
                    self._import(stuck)
                elif isinstance(error, LimitExceeded):
                    raise
                else:
                    raise unpackable(self.function, self.fault, error) from error

    def fault(self, value: Any) -> str | None:
        """Why a value cannot be packed; None for one that can."""
        try:
            self.dumped(value, set())
        except Exception as error:
            return str(error) or type(error).__name__
        return None

    def dumped(self, value: Any, met: set[str]) -> bytes:
        """The value, and what its functions need when they run, as `loading` reads it. `met` gets the local modules."""
        from xtyl_engine.functions.pickler import Pickler, lines_of

        file = io.BytesIO()
        pickler = Pickler(file, self.local, self.imported, met)
        pickler.dump(value)
        done, imported = set[str](), dict(self.imported)
        while new := pickler.imports - done:
            done |= new
            pickler.dump({"modules": {name: self.local[name] for name in sorted(new & self._packed())}})
            for name in {each for other in new - set(sys.modules) for each in imported_by(other)}:
                if name in self.local:
                    pickler.imports.add(name)
                else:
                    imported[name] = source_digest(name) or ""
        pickler.dump({"imported": imported, "lines": lines_of(pickler.codes), "named": pickler.named})
        blob = file.getvalue()
        check_size(function_name(self.function), blob)
        self._check_names(blob)
        return blob

    def _packed(self) -> set[str]:
        return set(self.local) - set(self.imported)

    def _check_names(self, blob: bytes) -> None:
        """Raise PicklingError for something that is packed by a name which leads nowhere else."""
        for module, name in sorted(pickled_names(blob)):
            if module == "__main__" or module in self._packed():
                raise PicklingError(f"{name} can be found by its name in {module} alone")

    def _stuck(self, met: set[str]) -> list[str]:
        """The modules that cannot be packed even if all others are imported."""
        others = dict.fromkeys(self.local, "")
        return [
            name
            for name in sorted(met & self._packed())
            if _Packing(None, self.local, {each: "" for each in others if each != name}).fault(self.local[name])
            is not None
            and source_digest(name) is not None
        ]

    def _import(self, stuck: list[str]) -> None:
        for name in sorted({each for module in stuck for each in imported_by(module)} - set(self.imported)):
            if name in self.local and not is_fresh(self.local[name]):
                raise edited(self.function, self.local[name], self.fault)
            self.imported[name] = source_digest(name) or ""


def _source(function: Any) -> tuple[str, tuple[str, ...]]:
    """The function's file and its lines up to its end, which a worker of an earlier release quotes in a traceback."""
    try:
        lines, first = inspect.getsourcelines(function)
        filename = inspect.getfile(function)
    except (OSError, TypeError):
        return "", ()
    return filename, ("\n",) * (first - 1) + tuple(lines)
