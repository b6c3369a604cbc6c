"""Formats that a text asks for: `'%.2f' % price`, `'{:.2f}'.format(price)`, `price|number(2)`, `day|date('%d.%m.%Y')`. They know
numbers, texts and the fields of plain data, in no language's customs, and make nothing wider than a prompt.
"""

from __future__ import annotations

import re
from _string import formatter_field_name_split  # type: ignore[import-not-found]
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation, localcontext
from string import Formatter
from typing import Any

from xtyl_engine.errors import RenderError, with_article
from xtyl_engine.workflow.templating.effort import check_size
from xtyl_engine.workflow.templating.texts import text_of

MAX_WIDTH = 1000
MAX_DECIMALS = 100
_CONVERSION = re.compile(r"%(?:\(([^()]*)\))?([-+ #0]*)(\*|\d*)((?:\.(?:\*|\d*))?)([a-zA-Z%])")
_DATES = re.compile(r"(?:%-?[aAbBdHIjmMpSyYzZfuVGUWw%]|[^%])*")
_DIGITS = re.compile(r"\d+")
# More digits than a number of 64 bits has.
_EXACT = Context(prec=1000, rounding=ROUND_HALF_UP)


def percent(form: str, values: Sequence[Any], named: Mapping[str, Any]) -> str:
    """Python's `%` on a text."""
    pieces, size, end, place = [], 0, 0, 0
    for match in _CONVERSION.finditer(form):
        key, flags, width, precision, kind = match.groups()
        pieces.append(form[end : match.start()])
        end = match.end()
        if kind == "%":
            pieces.append("%")
            continue
        _check_widths(width + precision)
        if key is None:
            if place >= len(values):
                raise RenderError(f"the format {form[:80]!r} has more places than values")
            value, place = values[place], place + 1
        else:
            value = named[key]
        pieces.append(f"%{flags}{width}{precision}{kind}" % (_formatted(value),))
        size += len(pieces[-1])
        check_size(size)
    if place < len(values) and not named:
        raise RenderError(f"the format {form[:80]!r} has fewer places than values")
    return "".join((*pieces, form[end:]))


class Braces(Formatter):
    """Python's `str.format`, for a form that is written in the Jinja itself. `read` reads a field of a value."""

    def __init__(self, read: Callable[[Any, Any], Any]):
        self.read = read
        self.size = 0

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The value that a name such as `0.title` or `name[0]` reads."""
        first, rest = formatter_field_name_split(field_name)
        value = self.get_value(first, args, kwargs)
        for _, step in rest:
            value = self.read(value, step)
        return value, first

    def convert_field(self, value: Any, conversion: Any) -> Any:
        """`!s`, `!r` and `!a` are the value's text."""
        return text_of(value) if conversion else value

    def format_field(self, value: Any, format_spec: str) -> str:
        """One value in its format."""
        _check_widths(format_spec)
        text = format(_formatted(value), format_spec)
        self.size += len(text)
        check_size(self.size)
        return text


def number(value: Any, decimals: int | None = None, thousands: str = "", point: str = ".") -> str:
    """A number with so many decimals, its halves rounded up, and signs between its thousands: `1,234.50`."""
    if value is None or value == "":
        return ""
    if decimals is not None and not (isinstance(decimals, int) and 0 <= decimals <= MAX_DECIMALS):
        raise RenderError(f"`number` takes 0 to {MAX_DECIMALS} decimals")
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise InvalidOperation
        exact = _EXACT.create_decimal(str(value).strip())
        if not exact.is_finite() or abs(exact.adjusted()) > 400:
            raise InvalidOperation
    except InvalidOperation:
        shown = repr(value[:40]) if isinstance(value, str) else with_article(type(value).__name__)
        raise RenderError(f"`number` takes a number, not {shown}") from None
    with localcontext(_EXACT):
        if decimals is not None:
            exact = exact.quantize(Decimal(1).scaleb(-decimals))
        text = format(exact, ",f" if thousands else "f")
    return text.translate({ord(","): thousands, ord("."): point})


def date(value: Any, form: str = "%Y-%m-%d") -> str:
    """A day or a time in the form of Python's `strftime`: `02.05.2026` for `%d.%m.%Y`."""
    if value is None or value == "":
        return ""
    if not isinstance(form, str) or len(form) > MAX_WIDTH or not _DATES.fullmatch(form):
        raise RenderError("`date` takes a form such as '%d.%m.%Y'")
    try:
        return datetime.fromisoformat(value).strftime(form)
    except (TypeError, ValueError):
        shown = repr(value[:40]) if isinstance(value, str) else with_article(type(value).__name__)
        raise RenderError(f"`date` takes a date such as '2026-05-02', not {shown}") from None


def _check_widths(spec: str) -> None:
    if "*" in spec or any(int(each) > MAX_WIDTH for each in _DIGITS.findall(spec[:100])) or len(spec) > 100:
        raise RenderError(f"a format has a width of {MAX_WIDTH:,} at most", hint="Write the width as a number.")


def _formatted(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else text_of(value)
