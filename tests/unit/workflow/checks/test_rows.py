"""What texts make of rows: files and forgotten parentheses are problems, other languages' braces and empty cells are told."""

from __future__ import annotations

from typing import Any

import pytest

import xtyl_nb as xt
from xtyl_engine.errors import Problem
from xtyl_engine.workflow.checks.rows import find_doubts, find_row_problems, texts_of
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.validate import validate

FILE = {"$artifact": "a" * 64, "media_type": "image/png"}


def planned(prompt: str, row: dict[str, Any]) -> Plan:
    flow = xt.Workflow("rows").generate_copy("idea", prompt="An idea").generate_copy("line", prompt=prompt)
    return validate(flow._document, columns=list(row))


def doubts(prompt: str, *rows: dict[str, Any]) -> list[str]:
    plan = planned(prompt, rows[0])
    labels = [f"row {place}" for place in range(len(rows))]
    return list(find_doubts(plan, texts_of(plan), rows, labels, rows[0]))


def problems(prompt: str, **row: Any) -> list[Problem]:
    plan = planned(prompt, row)
    return list(find_row_problems(plan, texts_of(plan), [row], [7]))


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("{product}", "product"),
        ("{ product }", "product"),
        ("${product}", "product"),
        ("$product", "product"),
        ("<product>", "product"),
        ("[product]", "product"),
        ("%(product)s", "product"),
        ("{product!r}", "product"),
        ("{price:.2f}", "price"),
        ("{idea.text}", "idea.text"),
        ("$idea.text", "idea.text"),
        ("{product name}", 'row["product name"]'),
        ("{% raw %}{{product}}{% endraw %}", "product"),
    ],
)
def test_a_name_in_other_braces_is_told(written: str, right: str) -> None:
    """With node, parameter, what stands there and how Jinja writes it; in a text with Jinja and in one without."""
    row = {"product": "Lamp", "price": 1, "product name": "x"}
    for prompt in (f"Line for {written}.", f"{{{{ price }}}} for {written}, {written}"):
        (doubt,) = doubts(prompt, row)
        assert doubt.startswith("line: `prompt` has `")
        assert f"Write `{{{{ {right} }}}}`" in doubt


@pytest.mark.parametrize(
    "prompt",
    [
        "Answer as {json}, {} or { }",
        'Answer as {"product": "..."}',
        "<product>{{ product }}</product>",
        "[product](https://example.com)",
        "\\textbf{product}",
        "US$product, $5, 100%",
        "{{ product }}",
        "{% if note %}{{ note }}{% endif %}",
        "{{ note or 'none' }} {{ note|default('-', true) }} {{ 'x' if note is none else note }}",
        "{{ note|length }} {% for each in many %}{{ each }}{% endfor %}",
    ],
)
def test_what_is_meant_is_not_told(prompt: str) -> None:
    """Braces of JSON, tags with their ends, links, amounts, and cells that the text asks about first."""
    assert doubts(prompt, {"product": "Lamp", "note": None, "many": ["a"]}) == []


@pytest.mark.parametrize("empty", [None, "", "  ", "\n", "nan", "<NA>", [], {}])
@pytest.mark.parametrize("prompt", ["Line for {{ product }}!", "Line for {{ product.upper()|trim ~ '' }}!"])
def test_an_empty_cell_is_told(prompt: str, empty: Any) -> None:
    """With how many rows have one, which is the first, and what its text becomes."""
    (doubt,) = doubts(prompt, {"product": "Lamp"}, {"product": empty}, {"product": empty})
    assert doubt.startswith("line: `prompt` reads `product`, which is empty in 2 of 3 rows, the first 'row 1'")
    assert "`{% if product %}...{% endif %}`" in doubt


def test_the_text_of_an_empty_cell_is_shown() -> None:
    """It is the text that the model would be told."""
    (doubt,) = doubts("Line for {{ product }}!", {"product": None})
    assert "which is empty in its row: 'Line for !'." in doubt


def test_whole_numbers_beside_an_empty_cell_are_told() -> None:
    """pandas makes 3 into 3.0 where a cell beside it is empty; the text has 3.0, and the doubt says how to keep 3."""
    _, doubt = doubts("{{ stock }} pieces", {"stock": 3.0}, {"stock": None})
    assert doubt == (
        "line: `prompt` reads `stock`, whose whole numbers the empty cell made 3.0. "
        'Give frame.astype({"stock": "Int64"}).'
    )
    assert len(doubts("{{ stock }} pieces", {"stock": 3.5}, {"stock": None})) == 1


def test_braces_in_a_cell_are_told() -> None:
    """A prompt kept in a table is not rendered; which row has it is said once."""
    (doubt,) = doubts("{{ brief }}", {"brief": "Lamps", "tone": "calm"}, {"brief": "In a {{ tone }} tone", "tone": "x"})
    assert "which has `{{ tone }}` in row 'row 1': a cell is not rendered. Write `{{ tone }}`" in doubt


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ photo }}",
        "See {{ photo }}",
        "{{ photo|string }}",
        "{% for p in many %}{{ p }}{% endfor %}",
        "x{{ spec.of }}",
    ],
)
def test_a_file_in_a_text_is_a_problem(prompt: str) -> None:
    """Before anything runs, with node, parameter, column and row."""
    (problem,) = problems(prompt, photo=FILE, many=["a", FILE], spec={"of": [FILE]})
    assert (problem.code, problem.node) == ("workflow/template", "line")
    assert "is a stored file in row 7, and no text can hold one" in problem.message


def test_files_go_where_files_are_taken() -> None:
    """An expression that gives a file to a deliverable is no text."""
    row = {"photo": FILE}
    flow = xt.Workflow("files").attach("kit", photo="{{ photo }}").call("seen", str, object="{{ photo }}")
    plan = validate(flow._document, columns=["photo"])
    assert list(find_row_problems(plan, texts_of(plan), [row], [0])) == []


def test_a_method_that_is_not_called_is_a_problem() -> None:
    """It names the spelling with parentheses; a field of that name is a field."""
    (problem,) = problems("For {{ product.title }}", product="lamp")
    assert "`product.title` is a method of text" in problem.message
    assert problem.hint == "Write `{{ product.title() }}`."
    assert problems("For {{ product.title }}", product={"title": "Lamp"}) == []
    assert problems("For {{ product.title() }}", product="lamp") == []
