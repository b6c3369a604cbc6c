"""docs/guarantees.md promises nothing that no test holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
PROMISES = dict(re.findall(r"### (G\d+) [^\n]*\n(.*?)(?=\n##)", TEXT, re.DOTALL))
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED.findall(TEXT))))
def test_the_test_is_there(file: str, test: str) -> None:
    """Each test that the page names exists under that name."""
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_every_promise_names_a_test() -> None:
    """All ten are there, each with at least one."""
    assert list(PROMISES) == [f"G{number}" for number in range(1, 11)]
    assert [name for name, words in PROMISES.items() if not NAMED.search(words)] == []
