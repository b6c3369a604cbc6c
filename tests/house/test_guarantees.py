"""docs/guarantees.md promises only what a test holds."""

from __future__ import annotations

import re

import pytest

from remove_guards import GUARDS, TESTS
from repository import ROOT

TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
PROMISES = dict(re.findall(r"### (G\d+) [^\n]*\n(.*?)(?=\n##)", TEXT, re.DOTALL))
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED.findall(TEXT))))
def test_the_test_is_there(file: str, test: str) -> None:
    """Each test that the page names exists under that name."""
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_every_promise_names_a_test() -> None:
    """All fourteen promises are there, each with at least one test."""
    assert list(PROMISES) == [f"G{number}" for number in range(1, 15)]
    assert [name for name, words in PROMISES.items() if not NAMED.search(words)] == []


def test_every_guard_is_there_to_be_taken_out() -> None:
    """Each piece of source that `remove_guards.py` takes out stands in its module, and its tests exist."""
    engine = ROOT / "engine" / "xtyl_engine"
    assert [guard for guard in GUARDS if guard.found not in (engine / guard.file).read_text(encoding="utf-8")] == []
    assert [test for test in TESTS if not (ROOT / test).exists()] == []


def test_the_page_lists_every_guard() -> None:
    """The table of guards has a row for each, with its module, and names a test that exists."""
    rows = re.findall(r"^\| (.+?) \| ([\w/]+\.py) \| `(test_\w+)` \|$", TEXT, re.M)
    assert sorted(row[:2] for row in rows) == sorted((guard.name, guard.file) for guard in GUARDS)
    tests = "".join((ROOT / test).read_text(encoding="utf-8") for test in TESTS)
    assert [test for _, _, test in rows if f"def {test}(" not in tests] == []
