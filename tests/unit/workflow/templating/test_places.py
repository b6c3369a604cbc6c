"""The place that is wrong in a Jinja text is shown, with a caret below it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtyl_engine.errors import RenderError
from xtyl_engine.workflow.templating.render import read_names


def refused(text):
    """The error of a text that cannot be read."""
    with pytest.raises(RenderError) as caught:
        read_names(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "said", "shown", "hint"),
    [
        ("{{ product name }}", "expected `}}`, and there stands `name`", "           ^", None),
        ("{{- a b }}", "expected `}}`, and there stands `b`", "      ^", None),
        ("  {%- if a b %}x{% endif %}", "expected `%}`, and there stands `b`", "           ^", None),
        ("東京 {{ a b }}", "expected `}}`, and there stands `b`", "          ^", None),
        ("\t{{ a b }}", "expected `}}`, and there stands `b`", "\t     ^", None),
        ("{{ a | }}", "expected a name, and there stands `}}`", "       ^", None),
        ("{{ a }", "unexpected '}'", "     ^", "Write both braces: `}}`."),
        ("{{ a ? }}", "unexpected char '?'", "     ^", None),
        ("{{ 'abc }}", 'unexpected char "\'"', "   ^", None),
        ("{% foo %}", "Encountered unknown tag 'foo'", "   ^", None),
        ("{% include 'x' %}", "`include` is not allowed; use if, for, set and filters", "   ^", None),
        ("{% with a = 1 %}{% endwith %}", "`with` is not allowed; use if, for, set and filters", "   ^", None),
        ("{% filter upper %}x{% endfilter %}", "`filter` is not allowed; use if, for, set and filters", "   ^", None),
        ("{{ a.b() }}", "only methods of text can be called, such as `name.upper()`", "     ^", None),
        ("{{ a|uper }}", "there is no filter `uper`", "     ^", "Did you mean `upper`?"),
        ("{{ a is evn }}", "there is no test `evn`", "        ^", "Did you mean `even`?"),
        ("{% if a %}{% if b %}x{% endif %}", "closed is 'if'", "   ^", "Write `{% endif %}` where it ends."),
        (
            "{{ a|round(digits=2) }}",
            "the filter `round` takes precision, method: got an unexpected keyword argument 'digits'",
            "     ^",
            "Give it precision, method.",
        ),
        (
            "{{ a|number(1, 2, 3, 4) }}",
            "too many positional arguments",
            "     ^",
            "Give it decimals, thousands, point.",
        ),
    ],
)
def test_shows_the_place(text, said, shown, hint):
    """The text stands below what is wrong, and a caret below the place, also after wide letters."""
    error = refused(text)
    message, line, caret = error.message.split("\n")
    assert message.removesuffix(":").endswith(said)
    assert (line, caret) == (f"    {text}", f"    {shown}")
    assert error.hint == hint


def test_cuts_a_long_line():
    """Of a long line the part around the place."""
    _, line, caret = refused("x" * 200 + "{{ a b }}" + "y" * 200).message.split("\n")
    assert (line.startswith("    ...x"), line.endswith("y...")) == (True, True)
    assert line[len(caret) - 1 :].startswith("b }}")


def test_counts_lines_however_they_end():
    """Lines end as on Windows, too."""
    error = refused("one\r\ntwo {{ a b }}\r\nthree")
    assert error.message == "expected `}}`, and there stands `b`, in line 2:\n    two {{ a b }}\n             ^"
    assert error.data["line"] == 2


PIECES = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{{-",
    "-}}",
    "{#",
    "#}",
    " ",
    "\n",
    "if",
    "endif",
    "for",
    "in",
    "a",
    "é",
    "|",
    "(",
    ")",
    "'",
    "1",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_shows_a_place_of_the_text(pieces):
    """Whatever is wrong, the line shown is one of the text, and the caret stands below a letter of it or at its end."""
    text = " ".join(pieces)
    try:
        read_names(text)
    except RenderError as error:
        _, line, caret = error.message.rsplit("\n", 2)
        assert line[4:] in re.split("\n", text)
        assert len(caret) <= len(line) + 1
        assert caret.strip() == "^"
