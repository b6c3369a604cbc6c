"""Stores Python's own objects (UUIDs, dates, decimals, tuples and more) in labels and cells as JSON, and finds them again by the
names of their types. Which type pandas gives a whole column is for `dtypes`.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pandas as pd

from xtyl_engine.errors import FrameError, with_article
from xtyl_engine.values.plain import mend

OBJECT = "object"
# Of a value that JSON holds by itself.
OWN = ""
_MISSING = {"NaN": float("nan"), "NaT": pd.NaT, "NA": pd.NA}


def _read_timedelta(text: str) -> timedelta:
    days, _, clock = text.rpartition(", ")
    hours, minutes, seconds = clock.split(":")
    whole, _, part = seconds.partition(".")
    past_midnight = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(whole), microseconds=int(part or 0))
    return timedelta(days=int(days.split()[0]) if days else 0) + past_midnight


# By the name of the type that is stored: the type, and how its text is read.
_READERS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "UUID": (UUID, UUID),
    "date": (date, date.fromisoformat),
    "datetime": (datetime, datetime.fromisoformat),
    "time": (time, time.fromisoformat),
    "timedelta": (timedelta, _read_timedelta),
    "Timestamp": (pd.Timestamp, pd.Timestamp),
    "Timedelta": (pd.Timedelta, pd.Timedelta),
    # A cell is stored as a number.
    "Decimal": (Decimal, lambda stored: Decimal(str(stored))),
    "Fraction": (Fraction, Fraction),
    "bytes": (bytes, ast.literal_eval),
    "complex": (complex, complex),
    "int": (int, int),
    "float": (float, float),
}
_NAMES = {kind: name for name, (kind, _) in _READERS.items()}


def store(value: Any) -> Any:
    """A label as JSON: a tuple as a list, and text where JSON has no such type."""
    if isinstance(value, tuple):
        return [store(part) for part in value]
    value = _own(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _storable(str.__str__(value))
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    return None if value is pd.NA or value is pd.NaT else str(value)


def describe_labels(labels: Iterable[Any]) -> str:
    """The type of a level of objects: `object`, with the names of their types where JSON does not tell them: one for all, or else
    one for each. Raises FrameError for an object that could not be found again."""
    found = list(labels)
    return _described(found, [_name(value, place) for place, value in enumerate(found)])


def describe_cells(cells: Iterable[Any]) -> str:
    """The same for a column, whose cells may be anything: what `plain` stores otherwise stays as it is stored."""
    found = list(cells)
    return _described(found, [_NAMES.get(type(value), OWN) for value in found])


def _described(found: Sequence[Any], names: Sequence[Any]) -> str:
    told = {json.dumps(name): name for name, value in zip(names, found, strict=True) if value is not None}
    if set(told) <= {'""'}:
        return OBJECT
    return OBJECT + json.dumps(list(told.values()) if len(told) == 1 else names, separators=(",", ":"))


def restore(stored: Sequence[Any], described: str) -> list[Any]:
    """The objects, as they were before `store`."""
    names = json.loads(described.removeprefix(OBJECT) or '[""]')
    each = names * len(stored) if len(names) == 1 else names
    return [_again(value, name) for value, name in zip(stored, each, strict=True)]


def _storable(text: str) -> str:
    if mend(text) != text:
        raise FrameError(
            f"the label {text!r} holds a character that no database stores",
            hint='Take it out, for example with frame.index.str.replace("\\0", "").',
        )
    return text


def _own(value: Any) -> Any:
    """A scalar of numpy as the one of Python or pandas that it is equal to."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in ("M", "m"):
        return pd.Timestamp(value) if kind == "M" else pd.Timedelta(value)
    return value.item() if kind and hasattr(value, "item") else value


def _name(value: Any, place: int) -> Any:
    """The name of a value's type: text, a list for a tuple's parts, a mapping for what has a type of its own kind."""
    if isinstance(value, tuple):
        return [_name(part, place) for part in value]
    value = _own(value)
    if value is None or isinstance(value, (str, bool)):
        return OWN
    if missing := next((name for name, each in _MISSING.items() if value is each), None):
        return missing
    if isinstance(value, int):
        return OWN if isinstance(store(value), int) else "int"
    if isinstance(value, float):
        return OWN if math.isfinite(value) else "NaN" if math.isnan(value) else "float"
    if isinstance(value, pd.Period):
        return {"period": value.freqstr}
    if isinstance(value, pd.Interval):
        return {"interval": value.closed, "of": [_name_in_text(value.left, place), _name_in_text(value.right, place)]}
    return _name_in_text(value, place)


def _name_in_text(value: Any, place: int) -> str:
    if name := _NAMES.get(type(_own(value))):
        return name
    raise FrameError(
        f"the label of row {place}, {with_article(type(value).__name__)}, cannot be stored",
        hint="Use texts, numbers or dates as labels, for example frame.index.map(str), or frame.reset_index(drop=True).",
    )


def _again(value: Any, name: Any) -> Any:
    if value is None:
        return _MISSING.get(name) if isinstance(name, str) else None
    if isinstance(name, list):
        return tuple(_again(part, each) for part, each in zip(value, name, strict=True))
    if isinstance(name, Mapping):
        return _interval(value, name) if "interval" in name else pd.Period(value, freq=name["period"])
    return value if name == OWN else _READERS[name][1](value)


def _interval(text: str, name: Mapping[str, Any]) -> Any:
    left, right = (_again(part, each) for part, each in zip(text[1:-1].split(", "), name["of"], strict=True))
    return pd.Interval(left, right, closed=name["interval"])
