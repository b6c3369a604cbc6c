"""Columns of any name are read as `row["..."]`, and count as read by that name."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xtyl_nb as xt
from xtyl_engine.errors import WorkflowError
from xtyl_engine.workflow.checks.wording import spelled
from xtyl_engine.workflow.templating.render import render
from xtyl_engine.workflow.validate import validate

NAMES = [
    "product name",
    "a-b",
    "a.b",
    "2026",
    "für uns",
    "class",
    "if",
    "in",
    "none",
    "true",
    "loop",
    "self",
    'a"b',
    "x{{y}}",
    "",
]


def reads(prompt: str, *columns: str) -> tuple[str, ...]:
    flow = xt.Workflow("rows").generate_copy("line", prompt=prompt)
    return validate(flow._document, columns=columns).nodes["line"].reads.columns


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*NAMES, *keyword.kwlist]) | st.text(max_size=6).filter(lambda name: name not in ("row", "line"))
)
def test_the_spelling_that_is_told_reads_the_column(name: str) -> None:
    """Whatever a column is called, Jinja reads it as the hints write it."""
    jinja = f"<{{{{ {spelled(name)} }}}}>"
    names = {name: "v"}
    if name and name.isprintable():
        assert reads(jinja, name) == (name,)
        assert render(jinja, {"row": names, **names}) == "<v>"


def test_a_column_or_step_called_row_is_itself() -> None:
    """`row.a` is then a field of it."""
    assert reads("{{ row.a }} {{ b }}", "row", "b") == ("row", "b")
    flow = xt.Workflow("rows").generate_copy("row", prompt="x").generate_copy("line", prompt="{{ row.text }}")
    assert validate(flow._document, columns=["text"]).nodes["line"].reads.columns == ()


@pytest.mark.parametrize(
    ("jinja", "code", "words"),
    [
        ("{{ product_name }}", "missing-column", 'Did you mean `{{ row["product name"] }}`?'),
        ('{{ row["prodct name"] }}', "missing-column", 'Did you mean `{{ row["product name"] }}`?'),
        ("{{ row }}", "missing-column", 'Name a column: `{{ row["product name"] }}`.'),
    ],
)
def test_a_column_that_is_not_there_is_told_as_it_is_written(jinja: str, code: str, words: str) -> None:
    """The hint can be copied into the text."""
    with pytest.raises(WorkflowError) as caught:
        reads(jinja, "product name")
    (problem,) = caught.value.problems
    assert problem.code == f"workflow/{code}"
    assert problem.hint == words
