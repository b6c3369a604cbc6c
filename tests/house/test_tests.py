"""How the tests are laid out and what they may do: rooms that mirror the product's, help in one place, nothing of ours replaced
that is private.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from repository import ROOT, SUPPORT, TESTS

FILES = sorted(TESTS.rglob("*.py"))
UNIT = sorted((TESTS / "unit").rglob("*.py"))
PRODUCT = {"sdk": ROOT / "xtyl_nb", "": ROOT / "engine" / "xtyl_engine"}
REPLACING = {"setattr", "delattr", "setitem", "delitem", "patch", "object"}


def name_of(path: Path) -> str:
    return str(path.relative_to(TESTS))


def trees(path: Path) -> Iterator[ast.AST]:
    """The module, and each text in it that is a program for another process."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "=" in node.value:
            with suppress(SyntaxError, ValueError):
                yield ast.parse(node.value)


def is_private(name: object) -> bool:
    parts = name.split(".") if isinstance(name, str) else ()
    return any(part.startswith("_") and not part.endswith("__") for part in parts)


def replaced(node: ast.AST) -> Iterator[str]:
    """The private names that one step of a program replaces."""
    if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
        is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if is_private(node.attr) and not is_own:
            yield node.attr
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in REPLACING:
        named = [*node.args[:2], *(keyword.value for keyword in node.keywords if keyword.arg in ("target", "name"))]
        for given in named:
            words = given.value if isinstance(given, ast.Constant) else ast.unparse(given)
            if is_private(words):
                yield str(words)


def replacements(path: Path) -> list[tuple[int, str]]:
    """Where a file replaces something private."""
    nodes = [node for tree in trees(path) for node in ast.walk(tree)]
    return [(getattr(node, "lineno", 0), name) for node in nodes for name in replaced(node)]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_private_is_replaced(path: Path) -> None:
    """A test sets up a situation or a setting; it reaches into no module or object for what begins with an underscore."""
    assert replacements(path) == []


def test_a_replacement_is_noticed(tmp_path: Path) -> None:
    """However it is written: a patch by path or by object, an item of a private table, an assignment, a script for a kernel."""
    lines = [
        'monkeypatch.setattr(module, "{}step", cut)',
        'monkeypatch.setattr("xtyl_engine.module.{}step", cut)',
        'patch.setitem(module.{}known, "a", 1)',
        "module.{}backend = made",
        "sweeper.{}touched -= 1",
        'script = "run.{}at = 1"',
    ]
    for line in lines:
        (tmp_path / "seen.py").write_text(line.replace("{}", "_"))
        assert len(replacements(tmp_path / "seen.py")) == 1, line
    (tmp_path / "seen.py").write_text('self._at = 1\nmonkeypatch.setattr(module, "SECONDS", 1)\nmade.__name__ = "x"\n')
    assert replacements(tmp_path / "seen.py") == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_test_is_imported(path: Path) -> None:
    """What two files need stands in tests/support."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert [name for name in imported if name == "conftest" or name.startswith(("test_", "tests."))] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_help_stands_in_one_place(path: Path) -> None:
    """A file that holds no tests is in tests/support, and there alone; fixtures stand with the tests that ask for them."""
    is_tests = path.name == "conftest.py" or path.name.startswith("test_")
    assert is_tests != path.is_relative_to(SUPPORT)


@pytest.mark.parametrize("path", UNIT, ids=name_of)
def test_a_test_stands_in_the_room_of_its_module(path: Path) -> None:
    """tests/unit/scheduler/test_commit.py and test_commit_machine.py are about scheduler/commit.py; those of `xtyl_nb` are below
    tests/unit/sdk."""
    parts = path.relative_to(TESTS / "unit").parts
    package = "sdk" if parts[0] == "sdk" else ""
    room = PRODUCT[package].joinpath(*parts[1 if package else 0 : -1])
    modules = [module.stem for module in room.glob("*.py")]
    about = path.stem.removeprefix("test_")
    assert any(f"{about}_".startswith(f"{module}_") for module in modules)
