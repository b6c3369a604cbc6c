"""A job's idempotency key as an HTTP header."""

from __future__ import annotations

from urllib.parse import quote


def as_header(key: str) -> str:
    """The key in ASCII alone, which headers have: a step may have any letters in its name. A key in ASCII stays as it is."""
    return quote(key, safe="/:@!$&'()*+,;=~ ")
