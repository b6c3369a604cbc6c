"""The names that a pickle would import, read without importing or making anything."""

from __future__ import annotations

import io
import pickle
from typing import Any


def pickled_names(blob: bytes) -> set[tuple[str, str]]:
    """The module and the name of everything that pickles, one behind the other, take by name."""
    reader = _Reader(io.BytesIO(blob))
    while True:
        try:
            reader.load()
        except EOFError:
            return reader.names


class _Reader(pickle.Unpickler):
    """Takes the same nothing for every name."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add((module, name))
        return _Nothing


class _Inert(type):
    """Lets a class stand for everything that a pickle calls, makes and fills."""

    def __call__(cls, *given: Any, **named: Any) -> Any:
        return cls

    def __setitem__(cls, key: Any, value: Any) -> None:
        return None


class _Nothing(metaclass=_Inert):
    def __new__(cls, *given: Any, **named: Any) -> Any:
        return cls

    @staticmethod
    def __setstate__(state: Any) -> None:
        return None

    append = extend = add = __setstate__
