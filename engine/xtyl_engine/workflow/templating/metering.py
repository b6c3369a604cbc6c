"""The filters, tests and methods of Jinja, each counted on the rendering's meter before it runs. The budget is in `effort`, the
environment that offers them in `sandbox`.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, ValuesView
from functools import cache
from inspect import Signature, signature, unwrap
from itertools import islice
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS as DEFAULT_FILTERS
from jinja2.filters import make_attrgetter
from jinja2.runtime import Context
from jinja2.tests import TESTS as DEFAULT_TESTS

from xtyl_engine.workflow.templating.effort import MAX_STEPS, EffortMeter, check_bits, check_size, steps_of
from xtyl_engine.workflow.templating.formats import Braces, date, number, percent
from xtyl_engine.workflow.templating.skipped import SKIPPED
from xtyl_engine.workflow.templating.texts import json_of, text_of

METER = "$meter"
MAX_DIGITS = 400
MAX_INDENT = 16
_ITERATE = "batch groupby join list map max min reject rejectattr select selectattr slice sort sum unique"
_SHALLOW = (
    """batch count d default first items join last length list map reject rejectattr reverse select selectattr slice"""
)
_TEXTUAL = """capitalize center e escape forceescape indent lower replace safe striptags title trim truncate upper wordcount
wordwrap"""
# They work on the text of their value, whatever it is.
TEXTUAL = frozenset(_TEXTUAL.split())
# They go through a text letter by letter, and an argument of theirs may be a path of many fields.
ITERATE = frozenset(_ITERATE.split())
# They look at nothing below the parts of a value; every other filter may look at all of it.
SHALLOW = frozenset(_SHALLOW.split())
# As measured, these take so many times longer for a part, or for 64 bytes, than the others.
SLOW = {
    "title": 16,
    "wordcount": 8,
    "wordwrap": 64,
    "urlencode": 16,
    "sort": 4,
    "groupby": 4,
    "dictsort": 4,
    "unique": 4,
}
LETTERS_OF_A_STEP = 4


@cache
def signature_of(name: str) -> Signature | None:
    """What a filter takes, its value first; None where Python does not say."""
    # jinja2 wraps some, and gives only the wrapper a context.
    filtered: Any = unwrap(OWN.get(name) or DEFAULT_FILTERS[name])
    try:
        takes = signature(filtered)
    except ValueError:
        return None
    first = 0 if getattr(filtered, "jinja_pass_arg", None) is None else 1
    return takes.replace(parameters=list(takes.parameters.values())[first:])


def metered_filter(name: str) -> Callable[..., Any]:
    """A filter of jinja2 that counts what it reads and makes, and gives lists in place of generators."""
    filtered: Any = OWN.get(name) or DEFAULT_FILTERS[name]
    wanted = getattr(filtered, "jinja_pass_arg", None)
    is_textual = name in TEXTUAL
    is_shallow, iterates, factor = name in SHALLOW, name in ITERATE, SLOW.get(name, 1)

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value is SKIPPED:
            return _filter_skipped(name, args, kwargs)
        meter: EffortMeter = context[METER]
        before = meter.left
        if is_shallow:
            meter.spend(steps_of(value))
        else:
            meter.look(value)
        if factor > 1:
            meter.spend((before - meter.left) * factor)
        if args or kwargs or (iterates and isinstance(value, str)):
            _count_arguments(meter, value, (*args, *kwargs.values()), iterates)
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        passed = (first[wanted.name],) if wanted else ()
        value = text_of(value) if is_textual else value
        return tame(meter, filtered(*passed, value, *args, **kwargs))

    return run


def metered_test(name: str) -> Callable[..., Any]:
    """A test of jinja2 that counts what it reads."""
    tested: Any = DEFAULT_TESTS[name]
    wanted = getattr(tested, "jinja_pass_arg", None)

    @pass_context
    def run(context: Context, value: Any, *args: Any) -> Any:
        for part in (value, *args):
            context[METER].look(part)
        passed = (context.environment,) if wanted else ()
        return tested(*passed, value, *args)

    return run


def call_method(context: Context, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a bound method of a text or a dict, counted."""
    meter: EffortMeter = context[METER]
    owner, name = method.__self__, method.__name__
    steps = steps_of(owner)
    meter.spend(steps)
    for each in (*args, *kwargs.values()):
        meter.look(each)
        # Each letter of one text may be compared with all of another.
        meter.spend(steps * steps_of(each) if isinstance(owner, str) and name not in OWN else 0)
    if name == "title":
        meter.spend(steps * SLOW[name])
    if name == "join":
        return tame(meter, _joined(context[METER], owner, *args, **kwargs))
    if name == "replace":
        return tame(meter, _replace(context, owner, *args, **kwargs))
    if name == "format":
        return tame(meter, Braces(context.environment.getitem).vformat(owner, args, kwargs))
    return tame(meter, method(*args, **kwargs))


def tame(meter: EffortMeter, result: Any) -> Any:
    """A result as a plain value, counted. Raises jinja2's UndefinedError for a part that is missing."""
    if isinstance(result, str):
        # jinja2's own text would escape what is added to it.
        result = str.__str__(result)
    if isinstance(result, (Iterator, ItemsView, KeysView, ValuesView)):
        result = list(islice(result, min(MAX_STEPS, meter.left + 1)))
    if isinstance(result, list):
        for part in result:
            for each in part if isinstance(part, tuple) else (part,):
                refuse_missing(each)
    if isinstance(result, (str, list, int)):
        meter.spend(steps_of(result))
        check_size(len(result) if isinstance(result, (str, list)) else 1)
    return result


def refuse_missing(value: Any) -> None:
    """Raise jinja2's UndefinedError for a strict undefined value: it raises when it is used, naming what is missing."""
    if isinstance(value, Undefined):
        str(value)


def _count_arguments(meter: EffortMeter, value: Any, args: Iterable[Any], iterates: bool) -> None:
    many = len(value) if isinstance(value, (str, list, tuple, dict)) else 1
    if iterates:
        meter.spend(many)
    for each in args:
        meter.look(each)
        if not isinstance(each, str):
            continue
        if iterates:
            # It may be the path of a field in each part.
            meter.spend(many * (len(each) // LETTERS_OF_A_STEP))
        else:
            # Each letter of one text may be compared with all of another.
            meter.spend(steps_of(value) * steps_of(each))


def _filter_skipped(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if name in ("default", "d"):
        return args[0] if args else kwargs.get("default_value", "")
    return {"count": 0, "length": 0, "list": []}.get(name, SKIPPED)


@pass_context
def _join(context: Context, value: Any, d: Any = "", attribute: str | int | None = None) -> str:
    """The texts of the parts, with `d` between them."""
    parts = value if attribute is None else map(make_attrgetter(context.environment, attribute), value)
    return _joined(context[METER], text_of(d), parts)


def _joined(meter: EffortMeter, between: str, parts: Any) -> str:
    parts = parts if isinstance(parts, (str, list, tuple, dict)) else tame(meter, iter(parts))
    length = len(between) * len(parts)
    check_size(length)
    length += sum(map(len, parts)) if isinstance(parts, str) else sum(map(meter.look, parts))
    check_size(length)
    return between.join(map(text_of, parts))


@pass_context
def _replace(context: Context, s: Any, old: Any, new: Any, count: int = -1) -> str:
    """The text with each `old` as `new`, `count` of them at most."""
    text, old, new = str(s), str(old), str(new)
    found = text.count(old)
    check_size((found if count is None or count < 0 else min(found, count)) * len(new))
    return text.replace(old, new, -1 if count is None else count)


@pass_context
def _to_json(context: Context, value: Any, indent: int | None = None) -> str:
    """JSON text, with its letters unescaped; with `indent`, in lines."""
    check_size(context[METER].look(value))
    if indent is None:
        return json_of(value)
    if not isinstance(indent, int) or not 0 <= indent <= MAX_INDENT:
        raise SecurityError(f"`tojson` indents by {MAX_INDENT} at most")
    # Each part may stand on a line of its own, indented by its depth.
    check_size(context[METER].look(value) * (1 + indent))
    return json_of(value, indent=indent)


@pass_context
def _to_text(context: Context, value: Any) -> str:
    check_size(context[METER].look(value))
    return text_of(value)


def _center(value: str, width: int = 80) -> str:
    check_size(width)
    return value.center(width)


def _indent(s: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    check_size((s.count("\n") + 1) * (len(width) if isinstance(width, str) else width))
    return DEFAULT_FILTERS["indent"](s, width, first, blank)  # type: ignore[no-any-return]


@pass_context
def _wrap(context: Context, s: str, width: int = 79, *form: Any, wrapstring: str | None = None, **more: Any) -> str:
    width = max(width, 1)
    wrapstring = form[1] if len(form) > 1 else wrapstring
    check_size((len(s) // width + s.count("\n")) * len(wrapstring or " "))
    # A long word is copied for each line that it fills.
    context[METER].spend(steps_of(s) * (1 + len(s) // width))
    form = (form[0] if form else more.pop("break_long_words", True), wrapstring, *form[2:])
    return DEFAULT_FILTERS["wordwrap"](context.environment, s, width, *form, **more)  # type: ignore[no-any-return]


@pass_context
def _strip_tags(context: Context, value: str) -> str:
    context[METER].spend(steps_of(value) * value.count("<"))
    return DEFAULT_FILTERS["striptags"](value)  # type: ignore[no-any-return]


@pass_context
def _format(context: Context, value: str, *args: Any, **kwargs: Any) -> str:
    named = args[0] if len(args) == 1 and isinstance(args[0], dict) else kwargs
    return percent(value, args, named)


def _round(value: Any, precision: int = 0, method: Any = "common") -> Any:
    """A number rounded; `precision` is the number of digits after the point."""
    if isinstance(precision, int) and abs(precision) > MAX_DIGITS:
        raise SecurityError(f"`round` takes {MAX_DIGITS} digits at most")
    return DEFAULT_FILTERS["round"](value, precision, method)


@pass_context
def _batch(context: Context, value: Any, linecount: int, fill_with: Any = None) -> Iterator[Any]:
    check_size(linecount)
    context[METER].spend(linecount if fill_with is not None else 0)
    return DEFAULT_FILTERS["batch"](value, linecount, fill_with)  # type: ignore[no-any-return]


@pass_context
def _slice(context: Context, value: Any, slices: int, fill_with: Any = None) -> Iterator[Any]:
    check_size(slices)
    context[METER].spend(slices)
    return DEFAULT_FILTERS["slice"](context.eval_ctx, value, slices, fill_with)  # type: ignore[no-any-return]


@pass_context
def _sum(context: Context, iterable: Any, attribute: Any = None, start: Any = 0) -> Any:
    if not isinstance(start, (int, float)):
        raise SecurityError("`sum` adds numbers; use `join` for text")
    return DEFAULT_FILTERS["sum"](context.environment, iterable, attribute, start)


# What the budget cannot tell from the value and the arguments alone, these count before they make it.
OWN: dict[str, Callable[..., Any]] = {
    "join": _join,
    "replace": _replace,
    "tojson": _to_json,
    "string": _to_text,
    "round": _round,
    "batch": _batch,
    "slice": _slice,
    "sum": _sum,
    "center": _center,
    "indent": _indent,
    "wordwrap": _wrap,
    "striptags": _strip_tags,
    "format": _format,
    "number": number,
    "date": date,
    "safe": str,
}


def operate(meter: EffortMeter, operator: str, left: Any, right: Any) -> None:
    """Count an operation before it is done. Raises LimitExceeded where its result would be too large."""
    steps = steps_of(left) + steps_of(right)
    if operator == "%" and isinstance(left, str):
        raise SecurityError("`%` formats only a text that is written there, such as '%.2f' % price")
    if operator == "+" and isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
        check_size(len(left) + len(right))
    elif operator == "*":
        for many, times in ((left, right), (right, left)):
            if isinstance(many, (str, list, tuple)) and isinstance(times, int):
                check_size(len(many) * max(times, 0))
                steps = steps_of(many) * max(times, 1)
        if isinstance(left, int) and isinstance(right, int):
            check_bits(left.bit_length() + right.bit_length())
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        check_bits(left.bit_length() * max(right, 0))
    meter.spend(steps)
