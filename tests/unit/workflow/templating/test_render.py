"""Jinja texts give text and values, strictly, and nothing in them reaches further than plain data."""

from __future__ import annotations

from typing import Any

import pytest

from xtyl_engine.errors import LimitExceeded, RenderError
from xtyl_engine.workflow.templating.render import is_expression, iterate_texts, read_names, render
from xtyl_engine.workflow.templating.skipped import SKIPPED
from xtyl_engine.workflow.templating.texts import Output

HEADLINES = [Output({"text": "Glow {{ on }}"}, main="text"), Output({"text": "Shine"}, main="text")]
CONTEXT = {"headline": HEADLINES, "one": HEADLINES[1], "gone": SKIPPED, "tone": "calm", "cost": 3, "value": [4]}


def paths(text):
    return [use.path for use in read_names(text).uses]


@pytest.mark.parametrize(
    ("jinja", "expected"),
    [
        ("A {{ tone }} line", "A calm line"),
        ("{{ cost }}", 3),
        ("  {{ cost }}\n", 3),
        ("{{ value }}", [4]),
        ("{{ headline[1].text.upper() }}", "SHINE"),
        ("{{ headline|length }}", 2),
        ("{{ headline|map(attribute='text')|list }}", ["Glow {{ on }}", "Shine"]),
        ("{{ headline|map(attribute='text')|join(' / ') }}", "Glow {{ on }} / Shine"),
        ("say {{ one }}", "say Shine"),
        ("say:\n{{ headline }}", "say:\nGlow {{ on }}\nShine"),
        ("{% for h in headline %}{{ loop.index }}.{{ h.text }} {% endfor %}", "1.Glow {{ on }} 2.Shine "),
        ("{% set x = one.text %}{% if x == 'Shine' %}yes{% else %}no{% endif %}", "yes"),
        ("{{ missing|default('none') }}", "none"),
        ("{{ one.note|default('-') }} {{ one.note is defined }}", "- False"),
        ("{{ [1, 2, 3]|sum }}", 6),
        ("{% for h in headline %}{% set t = h.text.upper() %}{{ t }};{% endfor %}", "GLOW {{ ON }};SHINE;"),
        ("{{ tone[1:3] }}{{ gone[1:] }}", "al"),
        ("{{ tone.replace('c', 'p').split('l') }}", ["pa", "m"]),
        ("{{ headline|join('+', attribute='text') }}", "Glow {{ on }}+Shine"),
        ("{{ ['a', 'b', 'c']|batch(2, '-')|list }}", [["a", "b"], ["c", "-"]]),
        ("{{ 'ab'|join('-') }}{{ 2.567|round(1) }}", "a-b2.6"),
        ("{{ one|tojson }}", '{"text": "Shine"}'),
        ("no braces", "no braces"),
    ],
)
def test_renders(jinja, expected):
    """Jinja gives text, and exactly one expression gives its value."""
    assert render(jinja, CONTEXT) == expected


def test_renders_inside_lists_and_dicts():
    """Texts nested in a config are rendered, other values pass."""
    value = {"a": ["{{ tone }}", 1, None], "b": {"c": "{{ cost }}"}}
    assert render(value, CONTEXT) == {"a": ["calm", 1, None], "b": {"c": 3}}


def test_never_renders_a_value_again():
    """Braces in a value stay literal, also where a rendered value is used by the next Jinja text."""
    text = render("{{ headline[0].text }}!", CONTEXT)
    assert text == "Glow {{ on }}!"
    assert render("{{ again }}", {"again": text}) == text


@pytest.mark.parametrize(
    ("jinja", "expected"),
    [
        ("{{ gone }}", None),
        ("{{ gone.text }}", None),
        ("{{ gone.poster.image }}", None),
        ("{{ gone[0].text|upper }}", None),
        ("a{{ gone.text }}b", "ab"),
        ("{{ gone|default('else') }}", "else"),
        ("{{ gone.text or 'else' }}", "else"),
        ("{% if gone %}yes{% else %}no{% endif %}", "no"),
        ("{% for x in gone %}x{% endfor %}.", "."),
        ("{{ gone|length }}", 0),
        ("{{ [gone, 1] }}", [None, 1]),
    ],
)
def test_skipped(jinja, expected):
    """What was skipped is false, prints nothing, gives None, and so does all that is read from it."""
    assert render(jinja, CONTEXT) == expected


@pytest.mark.parametrize(
    ("jinja", "words"),
    [
        ("{{ nope }}", "'nope' is undefined"),
        ("{{ nope.x }}", "'nope' is undefined"),
        ("{{ [nope] }}", "'nope' is undefined"),
        ("{{ {'a': nope} }}", "'nope' is undefined"),
        ("{{ one.txt.x }}", "there is no 'txt' in an output; it has text"),
        ("{{ headline|groupby('x') }}", "there is no 'x' in an output"),
        ("{{ one.txt }}", "there is no 'txt' in an output; it has text"),
        ("{{ headline.text }}", "there is no 'text' in a list"),
        ("{{ headline[7].text }}", "7"),
        ("x {{ one.txt }}", "{{ one.txt }}"),
        ("{{ headline|map(attribute='nope') }}", "nope"),
        ("{{ cost / 0 }}", "ZeroDivisionError"),
        ("{% if cost %}", "Unexpected end of text. Jinja was looking for"),
        ("{{ cost", "unexpected end of text, expected `}}`:\n    {{ cost\n           ^"),
    ],
)
def test_is_strict(jinja, words):
    """An unknown name or field is an error that names it and the text."""
    with pytest.raises(RenderError) as caught:
        render(jinja, CONTEXT)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "jinja",
    [
        "{{ tone.__class__ }}",
        "{{ tone['__class__'] }}",
        "{{ tone|attr('__class__') }}",
        "{{ headline|map(attribute='__class__')|list }}",
        "{{ headline|map(attribute='text.__class__')|list }}",
        "{{ headline|sort(attribute='__class__') }}",
        "{{ headline.append(1) }}",
        "{{ tone.format(1) }}",
        "{{ tone.format_map }}",
        "{{ tone % 1 }}",
        "{{ '{0.__class__}'.format(tone) }}",
        "{{ self }}",
        "{{ range(3) }}",
        "{{ cycler }}",
        "{{ loop.cycle }}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% block b %}{% endblock %}",
        "{% call tone() %}{% endcall %}",
        "{% filter upper %}x{% endfilter %}",
        "{% with a = 1 %}{% endwith %}",
        "{% for x in value recursive %}{{ loop(x) }}{% endfor %}",
        "{{ gone() }}",
        "{{ one.pop('text') }}",
        "{{ headline|map('attr', '__class__') }}",
        "{{ tone.upper.__self__ }}",
        "{{ $meter }}",
    ],
)
def test_reaches_nothing_but_data(jinja):
    """Attributes, functions and constructs beyond plain data do not exist in Jinja."""
    with pytest.raises(RenderError):
        render(jinja, CONTEXT)


@pytest.mark.parametrize(
    "jinja",
    [
        "{{ 'a' * 100000000 }}",
        "{{ [0] * 100000000 }}",
        "{{ 10 ** 100000000 }}",
        "{{ 9 ** 999 * 9 ** 999 * 9 ** 999 }}",
        "{{ big ~ big }}",
        "{{ big + big }}",
        "{{ big }}{{ big }}",
        "{{ big.replace('a', big) }}",
        "{{ big|replace('a', big) }}",
        "{{ big.join(many) }}",
        "{{ many|join(big) }}",
        "{% for a in many %}{% for b in many %}{% for c in many %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in many %}{% if 'x' in many %}{% endif %}{% endfor %}",
        "{% set x = [0] %}" + "{% set x = [x, x] %}" * 60 + "{{ x }}",
        "{% set x = [0] %}" + "{% set x = {'a': x, 'b': x} %}" * 60 + "{{ x|tojson }}",
        "{% set x = 'ab' %}" + "{% set x = x ~ x %}" * 60 + "{{ x|length }}",
        "{% set x = 'ab' %}" + "{% set x = [x, x]|join %}" * 60 + "{{ x }}",
    ],
)
def test_ends_soon(jinja):
    """Jinja text that would run long or grow huge ends with a named error."""
    with pytest.raises(LimitExceeded):
        render(jinja, {"big": "a" * 1_000_000, "many": list(range(5000))})


def test_counts_bytes():
    """The limit on a prompt counts bytes, not letters."""
    with pytest.raises(LimitExceeded):
        render("{{ text }}.", {"text": "é" * 600_000})


@pytest.mark.parametrize(
    "jinja",
    [
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ a" + ".b" * 20_000 + " }}",
        "{% if a %}" * 3000 + "{% endif %}" * 3000,
        "{{ " + "9" * 6000 + " }}",
    ],
)
def test_deep_jinja(jinja):
    """Nesting that Python cannot follow is an error of rendering."""
    with pytest.raises(RenderError):
        render(jinja, {"a": {}})


def test_deep_values():
    """A config nested too deep, or in a circle, is a named error."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(LimitExceeded):
        render(value, {})
    with pytest.raises(LimitExceeded):
        list(iterate_texts(value))


@pytest.mark.parametrize("text", ["a\0b {{ x }}", "\ud800 {{ x }}", "\u202e{{ x }}", "{{ x }} \U0001f600"])
def test_odd_letters(text):
    """NUL, lone surrogates, direction marks and emoji pass through, in Jinja texts and in values."""
    assert render(text, {"x": "v"}) == text.replace("{{ x }}", "v")
    assert render("<{{ x }}>", {"x": text}) == f"<{text}>"


@pytest.mark.parametrize(
    ("jinja", "expected"),
    [
        ("{{ a.b.c }}", [("a", "b", "c")]),
        ("{{ a['b'] }} {{ a[0].b }} {{ a[i].b }}", [("a", "b"), ("a", 0, "b"), ("a", -1, "b"), ("i",)]),
        ("{{ a|upper }} {{ a }}", [("a",)]),
        ("{{ a.b.upper() }}", [("a", "b")]),
        ("{% for x in a %}{{ x.b }}{{ loop.index }}{% endfor %}", [("a",), ("a", -1), ("a", -1, "b")]),
        ("{% for x, y in a %}{{ x }}{% endfor %}", [("a",), ("a", -1)]),
        ("{% set x = a.b %}{{ x.c }}", [("a", "b"), ("a", "b", "c")]),
        ("{% set x = 1 %}{{ x }}", []),
        ("{{ a[1:] }}", [("a", -1)]),
        ("{{ a if b else c.d }}", [("a",), ("b",), ("c", "d")]),
        ("{# {{ a }} #} text", []),
        ("plain", []),
    ],
)
def test_reads_names(jinja, expected):
    """The names that Jinja reads are paths; what for and set name is followed to what it stands for."""
    assert sorted(paths(jinja), key=str) == sorted(expected, key=str)


def test_reads_what_is_optional():
    """A name with a default is marked: the Jinja copes without it."""
    assert [(use.path[0], use.optional) for use in read_names("{{ a|default(b) }}{{ c is defined }}").uses] == [
        ("a", True), ("b", False), ("c", True),
    ]  # fmt: skip
    assert read_names("{{ b }} {{ a.x }} {{ b }}").roots == ("b", "a")


def test_says_the_line():
    """A syntax error names its line."""
    with pytest.raises(RenderError) as caught:
        read_names("one\ntwo {{ 1 + }}")
    assert caught.value.data["line"] == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ a }}", True),
        (" {{ a }} ", True),
        ("{{ '}} {{' }}", True),
        ("{{ a }}{{ b }}", False),
        ("x{{ a }}", False),
        ("a", False),
        ("{{", False),
        ("{{ }}", False),
    ],
)
def test_is_expression(text, expected):
    """Exactly one expression, blanks around it left aside, is told from text."""
    assert is_expression(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        '{{"title": "..."}}',
        'Answer as JSON:\n{"ad": {{"title": "...", "hook": "..."}}}',
        "Answer as {{ title: ... }}",
        "{{ {{product}} }}",
        "Answer {{}}",
    ],
)
def test_braces_of_json_are_told(text):
    """An example of JSON in a prompt is written between `{% raw %}` and `{% endraw %}`, and the hint shows where."""
    with pytest.raises(RenderError) as caught:
        read_names(text)
    assert "between `{% raw %}` and `{% endraw %}`: write `{% raw %}{{" in str(caught.value)
    assert render(f"{{% raw %}}{text}{{% endraw %}}", {}) == text


def test_shows_the_line_of_a_long_text():
    """Of a text of many lines, the line that is wrong, and the place in it."""
    with pytest.raises(RenderError) as caught:
        read_names("word " * 30 + "\nFor {{ product.title( }} now\n" + "word " * 30)
    assert caught.value.message == (
        "unexpected '}', expected ')', in line 2:\n    For {{ product.title( }} now\n                          ^"
    )
    assert caught.value.hint is None
