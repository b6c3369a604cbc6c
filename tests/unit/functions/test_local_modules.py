"""Which modules are local, and what an import of one would find."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy
import pytest

import xtyl_engine
from xtyl_engine.functions.local_modules import (
    SourceChanged,
    check_source,
    imported_by,
    is_local,
    local_modules,
    source_digest,
)


@pytest.fixture
def src(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what is imported from it is forgotten."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_what_is_local(src: Path) -> None:
    """Not what is installed, of the standard library, built in, ours, or the notebook; nor parts of these."""
    (src / "beside_me.py").write_text("")
    (src / "folder_of_mine").mkdir()
    (src / "folder_of_mine" / "part.py").write_text("")
    ours = [import_module("beside_me"), import_module("folder_of_mine.part"), import_module("folder_of_mine")]
    assert all(map(is_local, [*ours, types.ModuleType("made_here")]))
    part = types.ModuleType("numpy.made_by_numpy")
    part.__file__ = "_relative.py"
    others = [json, sys, numpy, xtyl_engine, sys.modules["__main__"], part, None]
    assert not any(map(is_local, others))
    assert {each.__name__ for each in ours} <= set(local_modules())


def test_a_digest_of_source(src: Path) -> None:
    """It has no comments, docstrings and blank lines, and is None for what is installed or not there; nothing is imported."""
    file = src / "beside_me.py"
    found = []
    for text in (
        "def f():\n    return 1\n",
        '"""Doc."""\n\n# C.\ndef f():\n    """Doc."""\n    return 1\n',
        "def f():\n    return 2\n",
    ):
        file.write_text(text)
        found.append(source_digest("beside_me"))
    assert found[0] == found[1] != found[2]
    assert [source_digest(name) for name in ("json", "numpy", "not_there", "beside_me.part", "", "..")] == [None] * 6
    assert "beside_me" not in sys.modules
    check_source("beside_me", str(found[2]))
    check_source("not_there", "any")
    with pytest.raises(SourceChanged, match="beside_me"):
        check_source("beside_me", str(found[0]))


def test_a_package_without_init_in_another_is_found(src: Path) -> None:
    """Its modules have digests though nothing of it is imported; one whose outer package is gone is local still."""
    (src / "shop" / "parts").mkdir(parents=True)
    (src / "shop" / "parts" / "pricing.py").write_text("RATE = 2")
    assert source_digest("shop.parts.pricing") is not None
    assert list(imported_by("shop.parts.pricing")) == ["shop.parts.pricing"]
    assert source_digest("shop.other.pricing") is None
    assert "shop" not in sys.modules
    parts = import_module("shop.parts")
    del sys.modules["shop"]
    parts.__file__ = str(src / "shop" / "parts")
    assert is_local(parts)


def test_a_file_that_cannot_be_parsed_has_a_digest(src: Path) -> None:
    """Its text counts, so that a repair is seen."""
    found = []
    for text in ("def", "class"):
        (src / "beside_me.py").write_text(text)
        found.append(source_digest("beside_me"))
    assert None not in found
    assert found[0] != found[1]


def test_what_a_source_imports(src: Path) -> None:
    """Local modules in turn, by any form of import, circles included, with their packages."""
    (src / "shop").mkdir()
    for name, text in {
        "__init__": "",
        "pricing": "from . import rates\nimport json, numpy\ndef f():\n    import beside_me\n",
        "rates": "from .pricing import f\n",
    }.items():
        (src / "shop" / f"{name}.py").write_text(text)
    (src / "beside_me.py").write_text("import not_there")
    assert sorted(imported_by("shop.pricing")) == ["beside_me", "shop", "shop.pricing", "shop.rates"]
    assert list(imported_by("json")) == []
