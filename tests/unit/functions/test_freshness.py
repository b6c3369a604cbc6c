"""Whether a module is still what its file says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from xtyl_engine.functions.freshness import is_fresh

SOURCE = '''
import functools
from dataclasses import dataclass
RATE = 2
NAMES = ["a", "b"]
count = 0
client = None
def total(x):
    """Words."""
    global count
    count += 1
    return x * RATE
@functools.cache
def kept(x):
    return x
@dataclass
class Row:
    x: int = 1
    @property
    def more(self):
        return self.x + 1
    @classmethod
    def make(cls):
        return cls(2)
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that was imported from SOURCE."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "freshly_made.py").write_text(SOURCE)
    yield import_module("freshly_made")
    del sys.modules["freshly_made"]


SAME = {
    "untouched": SOURCE,
    "comments": "# Words.\n\n" + SOURCE.replace("Words.", "Others."),
    "more below": SOURCE + "def other():\n    return 5\n",
}
OTHER = {
    "function": ("x * RATE", "x + RATE"),
    "cached function": ("    return x\n", "    return x + 1\n"),
    "method": ("self.x + 1", "self.x + 2"),
    "class method": ("cls(2)", "cls(3)"),
    "constant": ("RATE = 2", "RATE = 3"),
    "list": ('"a", "b"', '"a", "c"'),
    "renamed": ("def total", "def sum"),
    "broken": ("RATE = 2", "RATE ="),
}


@pytest.mark.parametrize("change", SAME)
def test_the_same_code_is_fresh(change: str, module: ModuleType) -> None:
    """Comments, docstrings, lines and what was added do not matter, nor what its functions have set at its level."""
    module.total(1)
    vars(module)["client"] = object()
    Path(str(module.__file__)).write_text(SAME[change])
    assert is_fresh(module)


@pytest.mark.parametrize("change", OTHER)
def test_an_edit_is_seen(change: str, module: ModuleType) -> None:
    """A function or a constant of the file that the module does not have as it is there."""
    old, new = OTHER[change]
    assert old in SOURCE
    Path(str(module.__file__)).write_text(SOURCE.replace(old, new))
    assert not is_fresh(module)


def test_a_constant_that_was_set_from_outside_is_seen(module: ModuleType) -> None:
    """What the notebook has changed would be lost by an import."""
    vars(module)["RATE"] = 3
    assert not is_fresh(module)
