"""Cursors: the end of a page as text, with which a client asks for the next page; a number, or a place of several parts. Clients
send cursors back, so their content is checked here before it reaches a database.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from xtyl_engine.errors import WorkflowException

LARGEST = 2**31 - 1


class CursorRefused(WorkflowException, ValueError):
    """No page ended with this cursor."""

    code = "api/cursor"


def closed(*place: Any) -> str:
    """A place as a cursor: a number as it is, several parts encoded."""
    if len(place) == 1:
        return str(place[0])
    return urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode().rstrip("=")


def opened(cursor: str | None, first: list[Any], *kinds: tuple[type, ...]) -> list[Any]:
    """The place that a cursor holds, its parts of these kinds; `first` where the cursor is None. Raises CursorRefused."""
    if cursor is None:
        return first
    try:
        place = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        raise _unknown(cursor) from None
    if not (isinstance(place, list) and len(place) == len(kinds)):
        raise _unknown(cursor)
    if any(type(part) not in kind or _is_unfit(part) for part, kind in zip(place, kinds, strict=True)):
        raise _unknown(cursor)
    return place


def _is_unfit(part: Any) -> bool:
    """Whether a database would refuse it: NUL, half a surrogate pair, a number out of range or NaN."""
    if isinstance(part, str):
        return "\0" in part or any("\ud800" <= char <= "\udfff" for char in part)
    return not -1e16 < part < 1e16


def number(cursor: str | None, first: int) -> int:
    """The number that a cursor holds; `first` where the cursor is None. Raises CursorRefused."""
    if cursor is None:
        return first
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 10 and int(cursor) <= LARGEST):
        raise _unknown(cursor)
    return int(cursor)


def _unknown(cursor: str) -> CursorRefused:
    return CursorRefused(
        f"after={cursor[:40]!r} is not a cursor", hint="Use `next` of the page before as it is, or leave `after` out."
    )
