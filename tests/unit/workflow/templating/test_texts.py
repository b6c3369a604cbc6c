"""The text of a value is the same wherever a text needs one; a file, and what is no plain value, has none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtyl_engine.errors import RenderError
from xtyl_engine.nodes.generate_copy import NODE_TYPE
from xtyl_engine.nodes.registry import configure
from xtyl_engine.values.plain import encode
from xtyl_engine.workflow.templating.render import render, rendered
from xtyl_engine.workflow.templating.skipped import SKIPPED
from xtyl_engine.workflow.templating.texts import Output

FILE = {"$artifact": "a" * 64, "media_type": "image/png"}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def prompt_of(jinja: str, **names: Any) -> str:
    config = configure(NODE_TYPE, rendered(NODE_TYPE, {"prompt": jinja}, names))
    return config.prompt  # type: ignore[attr-defined, no-any-return]


@settings(max_examples=40, deadline=None)
@given(JSON.filter(lambda value: isinstance(value, (dict, list))))
def test_a_dict_or_list_in_a_text_is_json(value: Any) -> None:
    """Printed, joined to a text with `~`, as a part of a list, through a filter and in a format; a dict alone, too."""
    json = encode(value)
    for jinja in (
        "{{ v }}|",
        "{{ v ~ '|' }}",
        "{{ [v]|join }}|",
        "{{ v|trim }}|",
        "{{ '%s' % v }}|",
        "{{ '{}|'.format(v) }}",
    ):
        assert render(jinja, {"v": value}) == f"{json}|"
    if isinstance(value, dict):
        assert prompt_of("{{ v }}", v=value) == json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "True"),
        (None, ""),
        (19.9, "19.9"),
        (3.0, "3.0"),
        (3, "3"),
        (SKIPPED, ""),
        ("ü", "ü"),
        ([True, None, "ü"], '[true,null,"ü"]'),
        (Output({"text": "A", "model": "m"}, main="text"), "A"),
        ([Output({"text": "A"}, main="text"), SKIPPED, Output({"text": "B"}, main="text")], "A\nB"),
        (Output({"of": "ad", "choice": [0], "ad": Output({"text": "A"}, main="text")}), "A"),
        (Output({"ad": Output({"text": "A"}, main="text")}, main="ad"), "A"),
    ],
)
def test_the_text_of_a_value(value: Any, text: str) -> None:
    """As Jinja and Python write it; lists and dicts as JSON, a node's output as its text, nothing for what is not there."""
    assert render("<{{ v }}>", {"v": value}) == f"<{text}>"
    if text and not isinstance(value, list):
        assert prompt_of("{{ v }}", v=value) == text


def test_a_list_alone_is_a_text_line_by_line() -> None:
    """Each of its parts by itself."""
    assert prompt_of("{{ v }}", v=["a", {"b": 1}, Output({"text": "c"}, main="text")]) == 'a\n{"b":1}\nc'


@pytest.mark.parametrize("value", [FILE, [FILE], {"a": [FILE]}, Output({"image": FILE, "width": 3}, main="image")])
@pytest.mark.parametrize(
    "jinja",
    ["{{ v }}", "x {{ v }}", "{{ v|string }}", "{{ v ~ '' }}", "{{ [v]|join }}", "{{ v|tojson }}", "{{ '%s' % v }}"],
)
def test_a_file_has_no_text(jinja: str, value: Any) -> None:
    """It is refused by the job, before a provider is asked, whichever way it would become text."""
    with pytest.raises(RenderError, match=r"a stored file \(image/png\) stands in a text"):
        prompt_of(jinja, v=value)


def test_an_expression_gives_a_file_to_what_is_no_text() -> None:
    """The value itself, as it is stored."""
    assert render({"image": "{{ v.image }}"}, {"v": {"image": FILE}}) == {"image": FILE}


@pytest.mark.parametrize(
    "jinja",
    [
        "{{ name.title }}", "x {{ name.title }}", "{{ name.title|upper }}", "{{ [name.title] }}", "{{ name.title ~ 'x' }}",
        "{% if name.isdigit %}x{% endif %}", "{{ '%s' % name.title }}", "{% set t = name.title %}{{ t }}",
        "{{ name.title == 'x' }}",
    ],
)  # fmt: skip
def test_a_method_without_its_parentheses_does_not_exist(jinja: str) -> None:
    """Not even where it would only be asked about: it would be true for ever."""
    with pytest.raises(RenderError) as caught:
        render(jinja, {"name": "lamp"})
    method = "isdigit" if "isdigit" in jinja else "title"
    assert f"`{method}` is a method of text, and is not called: write `{method}()`" in caught.value.message
    assert render("{{ name.items }} {{ name.items() }}", {"name": {"items": 1}}) == '1 [["items",1]]'


@pytest.mark.parametrize(
    "jinja", ["{% for x in [1] %}{{ loop }}{% endfor %}", "{% for x in [1] %}{{ loop|string }}{% endfor %}"]
)
def test_what_is_no_plain_value_has_no_text(jinja: str) -> None:
    """The loop itself is not printed as an object of Python."""
    with pytest.raises(RenderError, match="a LoopContext stands in a text, and has none of its own"):
        render(jinja, {})
