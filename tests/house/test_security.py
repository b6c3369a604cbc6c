"""SECURITY.md claims only what a test holds."""

from __future__ import annotations

import re

import pytest

from repository import ROOT

STATEMENT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", STATEMENT)


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_test_is_there(file: str, test: str) -> None:
    """Each test that the statement names exists under that name."""
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


DONE = STATEMENT.partition("## What is done")[2].partition("## What is not promised")[0]
CLAIMS = [point for point in re.split(r"\n(?=- )|\n(?=### )", DONE) if point.startswith("- ")]


def test_every_claim_names_a_test() -> None:
    """Each point, surface by surface, ends with a test."""
    assert len(CLAIMS) > 15
    assert [claim for claim in CLAIMS if not re.search(r"::\w+`\)\s*$", claim)] == []


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: " ".join(claim.split()[1:5]))
def test_every_sentence_has_a_test(claim: str) -> None:
    """A point of several sentences names as many tests at least, and none of them twice."""
    words, _, _ = claim.partition("(`tests/")
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(words.split()))
    named = re.findall(r"`(tests/[\w/]+\.py::\w+)`", claim)
    assert len(set(named)) == len(named)
    assert len(named) >= len(sentences), words


def test_the_limits_are_those_of_the_code() -> None:
    """The numbers in the statement are the engine's."""
    from xtyl_engine import limits
    from xtyl_engine.scheduler.submit import MAX_JOBS

    for number in (limits.MAX_NODES, limits.MAX_EDGES, limits.MAX_ROWS, MAX_JOBS, limits.MAX_ITEMS):
        assert f"{number:,} " in STATEMENT
    assert f"functions of {limits.MAX_FUNCTION_BYTES // 2**20} MB" in STATEMENT
    assert f"{limits.MAX_IMAGE_PIXELS // 10**6} megapixels and {limits.MAX_IMAGE_BYTES // 2**20} MB" in STATEMENT
    assert f"{limits.MAX_INLINE_OUTPUT_BYTES // 1024} KB" in STATEMENT
    assert f"{limits.MAX_EVENT_BYTES // 1024} KB" in STATEMENT
    assert f"prompts of {limits.MAX_PROMPT_BYTES // 2**20} MB" in STATEMENT
