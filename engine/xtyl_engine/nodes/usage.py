"""What a provider says that it used, as plain numbers and names that every database takes. Others write providers: an odd report
never costs the result that was paid for, and what is no such number is unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from numbers import Integral
from typing import Any

from xtyl_engine.limits import MAX_NAME_LENGTH
from xtyl_engine.providers.base import Usage
from xtyl_engine.values.plain import mend

log = logging.getLogger("xtyl")
# What the columns hold; a single job that needs more has been counted wrongly.
MAX_TOKENS = 2**31 - 1
MAX_DOLLARS = 1e9
MAX_NOTES = 20
MAX_NOTE_LENGTH = 500
PARTS = ("input_tokens", "output_tokens", "image_tokens")


def plain_usage(told: Any, hide: Callable[[str], str] = str) -> Usage | None:
    """A provider's usage in plain numbers and names, without what `hide` takes out of a text; None if it tells none."""
    if told is None:
        return None
    parts = {name: _amount(told, name, _whole, MAX_TOKENS) for name in (*PARTS, "cached_tokens")}
    return Usage(
        provider=_text(told, "provider", hide),
        model=_text(told, "model", hide),
        tokens=_total(_amount(told, "tokens", _whole, MAX_TOKENS), parts),
        cost=_amount(told, "cost", float, MAX_DOLLARS),
        request_id=_text(told, "request_id", hide) or None,
        notes=_notes(told, hide),
        price=_text(told, "price", hide) or None,
        **parts | {"cached_tokens": _within(parts["cached_tokens"], parts["input_tokens"])},
    )


def _total(told: int | None, parts: Mapping[str, int | None]) -> int | None:
    """All tokens: as told, or else the sum of the parts, where input and output are both known."""
    if told is not None or parts["input_tokens"] is None or (parts["output_tokens"] is parts["image_tokens"] is None):
        return told
    return min(sum(parts[name] or 0 for name in PARTS), MAX_TOKENS)


def _within(cached: int | None, read: int | None) -> int | None:
    """The tokens that were cached, unknown where they are more than were read: they are no part of these."""
    if cached is None or read is None or cached <= read:
        return cached
    log.warning("its provider reports %d cached tokens of %d: how many it had cached is unknown", cached, read)
    return None


def _text(told: Any, field: str, hide: Callable[[str], str]) -> str:
    # A report of any library may be told, and its fields and their values may raise.
    with suppress(Exception):
        value = getattr(told, field, None)
        return "" if value is None else mend(hide(str(value)))[:MAX_NAME_LENGTH]
    log.warning("its provider's report of its %s cannot be read: it is unknown", field)
    return ""


def _notes(told: Any, hide: Callable[[str], str]) -> tuple[str, ...]:
    with suppress(Exception):
        notes = getattr(told, "notes", None) or ()
        first = (notes,) if isinstance(notes, str) else islice(notes, MAX_NOTES)
        return tuple(mend(hide(str(note)))[:MAX_NOTE_LENGTH] for note in first)
    log.warning("its provider's notes cannot be read: they are left out")
    return ()


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
