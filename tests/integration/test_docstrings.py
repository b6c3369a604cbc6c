"""The examples in docstrings run as a user would type them, and show what they say."""

from __future__ import annotations

import doctest
import inspect

import pandas as pd
import pytest

import xtyl_nb as xt
from documented import documented

EXAMPLES = {name: doc for name, each in documented().items() if ">>>" in (doc := inspect.getdoc(each) or "")}
FLOW = (
    xt.Workflow("launch")
    .generate_copy("headline", prompt="A headline for {{ product }}", n=3)
    .review("pick", of="headline")
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_in_a_docstring_shows_what_it_says(name: str) -> None:
    """`xt`, `pd`, a workflow `flow` and two rows of `briefs` are there, as in a notebook."""
    given = {"xt": xt, "pd": pd, "flow": FLOW, "briefs": xt.load_briefs(2)}
    told: list[str] = []
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name], given, name, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert runner.run(example, out=told.append).failed == 0, "".join(told)
