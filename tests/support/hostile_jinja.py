"""Renders every filter, test, method and operator of Jinja over hostile values and arguments, in a process whose time and memory
the system limits; prints how each ended. A process that the system ends prints nothing."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

from xtyl_engine.errors import LimitExceeded, RenderError
from xtyl_engine.workflow.templating.effort import EffortMeter
from xtyl_engine.workflow.templating.render import render
from xtyl_engine.workflow.templating.sandbox import FILTERS, METHODS, TESTS

SECONDS, BYTES = 20, 1024 * 1024 * 1024
# Fewer than a rendering has, so that all of them together end within the limit.
STEPS = 2_000
BIG = 20_000
VALUES: tuple[Any, ...] = (
    "ab" * (BIG // 2),
    "a " * 200,
    "\U0001f600 " * (BIG // 2),
    "f" * BIG,
    list(range(BIG)),
    ["x" * 1000] * 3000,
    [{"a": "x" * 1000, "b": n} for n in range(100)],
    [9**1200] * 100,
    {str(n) * 2000: n for n in range(20)},
    10**9,
    2.5,
    9**5000,
)
ARGUMENTS: tuple[Any, ...] = ("b" * BIG, "a." * (BIG // 2), list(range(BIG)), 10**9, -(10**9), 9**5000, 0, "a")
CALLS = ("", "(p)", "(2, p)", "('a', p)", "(attribute=p)")
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and")
# A form is written in the Jinja itself.
FORMS = ("'{} {}'.format(v, p)", "'{:>999}{}'.format(v, p)", "'%s %s'|format(v, p)", "'%999s%s' % (v, p)", "'%s' % v")
SLICES = ("v[p:]", "v[:p]", "v[::-1]")
LOOP = "{% for i in many %}{% for j in many %}{% set x = IT %}{% endfor %}{% endfor %}"
TEXTS = ("{{ IT }}", LOOP)


def expressions() -> Iterator[str]:
    """Each operation on `v`, with `p` as its argument."""
    yield from (f"v|{name}{call}" for name, call in product(FILTERS, CALLS) if name != "format")
    for name in (each for each in TESTS if each.isalpha()):
        yield f"v is {name}" if name != "in" else "v is in(p)"
        yield f"[v, v]|select('{name}', p)|list"
    yield from (
        f"v.{name}{call or '()'}"
        for kind in METHODS.values()
        for name, call in product(kind, CALLS[:4])
        if name != "format"
    )
    yield from FORMS
    yield from (f"v {operator} p" for operator in OPERATORS)
    yield from (f"p {operator} v" for operator in OPERATORS)
    yield from SLICES


def ended(jinja: str, value: Any, argument: Any) -> str:
    """How the rendering ended: a value, or what refused it."""
    names = {"v": value, "p": argument, "many": list(range(500))}
    try:
        render(jinja, names, EffortMeter(STEPS))
    except LimitExceeded:
        return "budget"
    except RenderError as error:
        return error.message
    return "value"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    found: dict[str, dict[str, int]] = {}
    for expression, text in product(expressions(), TEXTS):
        jinja = text.replace("IT", expression)
        for value, argument in product(VALUES, ARGUMENTS if "p" in expression else (None,)):
            how = ended(jinja, value, argument)
            each = found.setdefault(jinja, {})
            each[how] = each.get(how, 0) + 1
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
