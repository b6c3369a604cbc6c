"""Keeps the text of modules that a function imports when it runs, as it is when the function is loaded: an edit while the run
goes on changes nothing. The module itself is made in each runner, by the call that imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType

from xtyl_engine.functions.local_modules import SourceChanged, check_source, find_module


def pin(name: str, digest: str) -> None:
    """Have this process and those forked from it import this module from the text that its file has now. Raises SourceChanged if
    that is another than that of the digest."""
    if _PINS not in sys.meta_path:
        sys.meta_path.insert(0, _PINS)
    # First, so that what is checked is what will run.
    _PINS.add(name)
    try:
        check_source(name, digest)
    except SourceChanged:
        _PINS.remove(name)
        raise


class _PinnedText(SourceFileLoader):
    """Loads a module from a text in memory. Data files beside it are read as ever."""

    def __init__(self, name: str, file: str, text: str, code: CodeType):
        super().__init__(name, file)
        self._text, self._code = text, code

    def get_source(self, fullname: str) -> str:
        return self._text

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class _Pins:
    """Finds modules that were pinned, where an import would find the same file."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec] = {}

    def add(self, name: str) -> None:
        """Keep the text of a module. One that has none, or cannot be compiled, is left to the call."""
        spec = find_module(name)
        if spec is None or spec.origin is None or type(spec.loader) is not SourceFileLoader:
            return
        with suppress(ImportError, OSError, SyntaxError, ValueError):
            text = spec.loader.get_source(name) or ""
            loader = _PinnedText(name, spec.origin, text, spec.loader.source_to_code(text, spec.origin))
            made = spec_from_file_location(
                name, spec.origin, loader=loader, submodule_search_locations=spec.submodule_search_locations
            )
            if made is not None:
                self._specs[name] = made

    def remove(self, name: str) -> None:
        self._specs.pop(name, None)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As the import system asks. A function may have put another folder first."""
        if (pinned := self._specs.get(name)) is None:
            return None
        found = PathFinder.find_spec(name, path)
        return pinned if found is None or found.origin == pinned.origin else None


_PINS = _Pins()
