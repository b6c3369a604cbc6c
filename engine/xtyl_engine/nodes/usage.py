"""What a provider says that it used, as plain numbers and names that every database takes. Others write providers: an odd report
never costs the result that was paid for, and what is no such number is unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from numbers import Integral
from typing import Any

from xtyl_engine.limits import MAX_NAME_LENGTH
from xtyl_engine.providers.base import Usage
from xtyl_engine.values.plain import mend

log = logging.getLogger("xtyl")
# What the columns hold; a single job that needs more has been counted wrongly.
MAX_TOKENS = 2**31 - 1
MAX_DOLLARS = 1e9


def plain_usage(told: Any) -> Usage | None:
    """A provider's usage in plain numbers and names; None if it tells none."""
    if told is None:
        return None
    return Usage(
        provider=_name(told, "provider"),
        model=_name(told, "model"),
        tokens=_amount(told, "tokens", _whole, MAX_TOKENS),
        cost=_amount(told, "cost", float, MAX_DOLLARS),
    )


def _name(told: Any, field: str) -> str:
    # A report of any library may be told, and its fields and their values may raise.
    with suppress(Exception):
        value = getattr(told, field, None)
        return "" if value is None else mend(str(value))[:MAX_NAME_LENGTH]
    log.warning("its provider's report of its %s cannot be read: it is unknown", field)
    return ""


def _amount(told: Any, field: str, read: Callable[[Any], Any], most: float) -> Any:
    value: Any = "a field that cannot be read"
    with suppress(Exception):
        value = getattr(told, field, None)
        if value is None:
            return None
        amount = read(value)
        if 0 <= amount <= most and not isinstance(value, str | bytes | bool):
            return amount
    log.warning("its provider reports %s as %s, which is no such number: it is unknown", field, _shown(value))
    return None


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, Integral) else round(float(value))


def _shown(value: Any) -> str:
    try:
        return mend(repr(value))[:60]
    except Exception:
        return type(value).__name__
