"""The examples in docstrings run as a user would type them, and print what they promise."""

from __future__ import annotations

import doctest
import inspect
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import xtyl_nb as xt
from documented import documented

EXAMPLES = {
    name: doc for name, each in {"xtyl_nb": xt, **documented()}.items() if ">>>" in (doc := inspect.getdoc(each) or "")
}
COPY = xt.Workflow("launch").generate_copy("headline", prompt="A headline for {{ product }}", n=3)
FLOW = COPY.review("pick", of="headline")
POSTERS = COPY.review("pick", of="headline", auto="first").generate_image(
    "poster", prompt="Poster for {{ product }}: {{ pick.headline.text }}", size="64x64"
)


@pytest.fixture(scope="module")
def is_over() -> list[xt.Run]:
    """One run for all examples that show results."""
    return []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_in_a_docstring_shows_what_it_says(
    name: str, is_over: list[xt.Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An example finds `xt`, `pd`, two rows of `briefs`, a workflow `flow` with a review and a finished `run`, ready to use.
    Every workflow with a step that it names or shows can run."""
    shown: list[Any] = []
    show = sys.__displayhook__

    def note(value: Any) -> None:
        shown.append(value)
        show(value)

    monkeypatch.setattr(sys, "__displayhook__", note)
    monkeypatch.chdir(tmp_path)
    briefs = xt.load_briefs(2)
    if not is_over:
        is_over.append(POSTERS.run(briefs).wait(60))
    given = {"xt": xt, "pd": pd, "briefs": briefs, "flow": FLOW, "run": is_over[0]}
    told: list[str] = []
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name], given, name, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert runner.run(example, out=told.append, clear_globs=False).failed == 0, "".join(told)
    for made in (*shown, *example.globs.values()):
        if isinstance(made, xt.Workflow) and made.order():
            assert made.validate() is made
