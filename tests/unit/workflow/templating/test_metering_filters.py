"""Filters, formats and methods take the arguments that Jinja's documentation gives them, and give what plain Jinja gives."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import Environment

from xtyl_engine.errors import RenderError
from xtyl_engine.workflow.templating.names import LEFT_OUT
from xtyl_engine.workflow.templating.render import render
from xtyl_engine.workflow.templating.sandbox import FILTERS

CONTEXT: dict[str, Any] = {
    "name": "aurora lamp",
    "long": "foo bar baz qux quux",
    "lines": "one\n\ntwo",
    "price": 42.55,
    "html": "<p>Tea &amp; <b>mugs</b></p>",
    "none": None,
    "numbers": [3, 1, 2, 3],
    "users": [{"name": "Bo", "age": 3}, {"name": "al", "age": 1}, {"name": "Cy", "age": 3}],
    "spec": {"b": 2, "A": 1, "c": 0},
}
# Each filter, method and format with the arguments of Jinja's documentation, by place and by name.
USES = """name|capitalize, name|center(20), name|center(width=20), [name]|count, none|default('x', true), none|d('x',
boolean=true), missing|default('x'), missing|default(default_value='x'), spec|dictsort, spec|dictsort(true),
spec|dictsort(false, 'value'), spec|dictsort(by='value', reverse=true), html|escape|string, html|e|string,
html|forceescape|string, 1048576|filesizeformat, 1000|filesizeformat(true), 1000|filesizeformat(binary=true),
numbers|first, '1.5'|float, 'x'|float(0.5), 'x'|float(default=2.0), '%s, %s'|format(name, price),
'%(a)s'|format(a=name), users|groupby('age')|length, users|groupby('zip', default='-')|length,
users|groupby(attribute='name', case_sensitive=true)|map('first')|list, lines|indent, lines|indent(2), lines|indent(2,
true, true), lines|indent(width='> ', first=true), '7'|int, 'x'|int(5), '0x1A'|int(16, 16), 'x'|int(default=1, base=10),
spec|items|list, numbers|join, numbers|join('-'), numbers|join(d=', '), users|join(', ', attribute='name'),
users|join(attribute='age'), numbers|last, name|length, name|list, name|upper|lower, users|map(attribute='name')|list,
users|map('length')|list, users|map(attribute='zip', default='-')|list, ['x']|map('replace', 'x', 'y')|list,
numbers|max, users|max(attribute='age'), ['b', 'A']|max(case_sensitive=true), numbers|min, users|min(attribute='name'),
numbers|reject('odd')|list, numbers|reject('greaterthan', 1)|list, users|rejectattr('age', 'equalto', 3)|list,
name|replace('a', 'o'), name|replace('a', 'o', 1), name|replace(old='a', new='o', count=2), numbers|reverse|list,
name|reverse, price|round, price|round(1), price|round(1, 'floor'), price|round(precision=0, method='ceil'),
html|safe|string, numbers|select('odd')|list, numbers|select('in', [1])|list, users|selectattr('age')|list,
users|selectattr('age', 'gt', 1)|list, numbers|slice(3)|list, numbers|slice(3, 'x')|list, numbers|batch(3)|list,
numbers|batch(3, 'x')|list, numbers|batch(linecount=3, fill_with=0)|list, numbers|sort, numbers|sort(true),
users|sort(attribute='age,name'), users|sort(reverse=true, case_sensitive=true, attribute='name'), price|string,
html|striptags, numbers|sum, users|sum(attribute='age'), numbers|sum(start=2), numbers|sum(none, 2), name|title, '  x
'|trim, 'xax'|trim('x'), '--a'|trim(chars='-'), long|truncate(9), long|truncate(9, true), long|truncate(11, false,
'..'), long|truncate(11, False, '...', 0), long|truncate(length=9, killwords=true, end='>', leeway=1),
numbers|unique|list, users|unique(attribute='age')|list, ['a', 'A']|unique(true)|list, name|upper, 'a b/ü?'|urlencode,
{'a': 'b c'}|urlencode, long|wordcount, long|wordwrap(7), long|wordwrap(7, false, '|'), long|wordwrap(width=2,
break_long_words=true, wrapstring='/'), 'a-b'|wordwrap(2, break_on_hyphens=false), 5|abs, 'a, b'.split(', '),
name.replace('a', 'o', 1), name.title(), spec.get('x', 1), '%.2f' % price, '%5.1f|%-6s|%05d' % (price, 'a', 3), '100%%
%s' % name, '%(a)s' % {'a': 1}, '%s' % 5, 7 % 3, '{:.2f}'.format(price), '{0}-{1}-{0}'.format(name, 1),
'{n:>12}'.format(n=name), '{0[b]} {1[0]}'.format(spec, numbers), '{:{}}|'.format('a', 4), '{:,}'.format(1234567),
'{{{}}}'.format(1)"""


def uses() -> list[str]:
    found, depth, start = [], 0, 0
    for place, letter in enumerate(USES):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth and USES[start:place].count("'") % 2 == 0:
            found.append(" ".join(USES[start:place].split()))
            start = place + 1
    return [*found, " ".join(USES[start:].split())]


@pytest.mark.parametrize("use", uses())
def test_is_what_jinja_gives(use: str) -> None:
    """Each documented argument, by place and by name, gives the value that plain Jinja gives."""
    expected: Any = Environment().compile_expression(use, undefined_to_none=False)(**CONTEXT)
    is_plain = isinstance(expected, (str, int, float, dict))
    assert as_lists(render(f"{{{{ {use} }}}}", CONTEXT)) == as_lists(expected if is_plain else list(expected))


def as_lists(value: Any) -> Any:
    return [as_lists(part) for part in value] if isinstance(value, (list, tuple)) else value


def test_every_filter_is_tried() -> None:
    """All of Jinja's filters are compared above, told below, or left out for a reason that the error gives."""
    tried = {each for each in FILTERS if any(f"|{each}" in use for use in uses())}
    assert set(FILTERS) - tried == {"tojson", "number", "date"}
    assert set(Environment().filters) - set(FILTERS) == set(LEFT_OUT)
    with pytest.raises(RenderError, match="there is no filter `pprint`, because it writes Python and not JSON"):
        render("{{ spec|pprint }}", CONTEXT)


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("{'ü': [1, true]}|tojson", '{"ü": [1, true]}'),
        ("{'ü': [1]}|tojson(indent=2)", '{\n  "ü": [\n    1\n  ]\n}'),
        ("[1]|tojson(1)", "[\n 1\n]"),
        ("19.9|number(2)", "19.90"),
        ("1234567.5|number(2, ',')", "1,234,567.50"),
        ("1234567.5|number(decimals=2, thousands='.', point=',')", "1.234.567,50"),
        ("1234567|number(thousands=' ')", "1 234 567"),
        ("19.995|number(2)", "20.00"),
        ("2.5|number(0)", "3"),
        ("-0.125|number(2)", "-0.13"),
        ("1e21|number", "1000000000000000000000"),
        ("' 19.9 '|number(2)", "19.90"),
        ("none|number(2)", ""),
        ("''|number(2)", ""),
        ("'2026-05-02T10:30:00'|date", "2026-05-02"),
        ("'2026-05-02'|date('%d.%m.%Y')", "02.05.2026"),
        ("'2026-05-02T10:30:00+00:00'|date(form='%H:%M')", "10:30"),
        ("none|date", ""),
    ],
)
def test_formats_of_ones_own(use: str, expected: str) -> None:
    """JSON in lines, numbers with their decimals and thousands, days as a text writes them."""
    assert render(f"{{{{ {use} }}}}", {}) == expected


@pytest.mark.parametrize(
    ("jinja", "words"),
    [
        ("{{ 'x'|number(2) }}", "`number` takes a number, not 'x'"),
        ("{{ true|number }}", "`number` takes a number, not a bool"),
        ("{{ [1]|number }}", "`number` takes a number, not a list"),
        ("{{ 1|number(1000) }}", "`number` takes 0 to 100 decimals"),
        ("{{ 'soon'|date }}", "`date` takes a date such as '2026-05-02', not 'soon'"),
        ("{{ '2026-05-02'|date('%0999999d') }}", "`date` takes a form such as"),
        ("{{ '%999999999d' % 1 }}", "a format has a width of 1,000 at most"),
        ("{{ '%*d' % (9, 1) }}", "a format has a width of 1,000 at most"),
        ("{{ '{:999999999}'.format(1) }}", "a format has a width of 1,000 at most"),
        ("{{ '{:{}}'.format(1, 999999999) }}", "a format has a width of 1,000 at most"),
        ("{{ '%s %s' % 1 }}", "has more places than values"),
        ("{{ '%s' % (1, 2) }}", "has fewer places than values"),
        ("{{ '%d' % 'x' }}", "TypeError: %d format: a real number is required, not str"),
        ("{{ '%s' % nope }}", "'nope' is undefined"),
        ("{{ '{}'.format(nope) }}", "'nope' is undefined"),
        ("{{ '{0.__class__}'.format(name) }}", "there is no '__class__'"),
        ("{{ name % 1 }}", "formats only a text that is written there"),
        ("{{ name.format(1) }}", "only a text that is written there formats"),
        ("{{ name|format(1) }}", "only a text that is written there formats"),
        ("{{ 1|tojson(indent=99999) }}", "`tojson` indents by 16 at most"),
    ],
)
def test_a_wrong_format_says_what_is_wrong(jinja: str, words: str) -> None:
    """In words of the filter; a form from a table fills in nothing, and none is wider than a prompt."""
    with pytest.raises(RenderError) as caught:
        render(jinja, CONTEXT)
    assert words in caught.value.message
