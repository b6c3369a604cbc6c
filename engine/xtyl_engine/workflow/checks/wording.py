"""How messages show names and values of any kind, and which known name was probably meant. Finds no problems itself."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from xtyl_engine.errors import with_article

MAX_SHOWN = 60
MAX_COMPARISONS = 50_000

_WORDS = """and block call caller elif else endfor endif false False filter for if import in is kwargs loop macro none None not or
recursive self set super true True varargs"""
WORDS = frozenset(_WORDS.split())

_short = reprlib.Repr()
_short.maxlevel = 2
_short.maxlist = _short.maxdict = _short.maxtuple = 4
_short.maxstring = _short.maxother = _short.maxlong = MAX_SHOWN


def show_name(name: str) -> str:
    """A name unchanged if it is plain and short, else escaped and cut."""
    if name.isprintable() and len(name) <= MAX_SHOWN:
        return name
    return f"{ascii(name[:MAX_SHOWN])[1:-1]}{'...' if len(name) > MAX_SHOWN else ''}"


def spelled(name: str) -> str:
    """How Jinja reads a column: by its name, or by `row["..."]` where the name is no word of Jinja's."""
    if name.isidentifier() and name not in WORDS:
        return name
    return f"row[{json.dumps(name, ensure_ascii=False)}]"


def show_value(value: object) -> str:
    """A short repr of any value, even if its own repr raises."""
    try:
        return _short.repr(value)
    except Exception:
        return with_article(type(value).__name__)


def list_names(names: Iterable[str], most: int = 12) -> str:
    """Names in backticks, the first few of them."""
    shown = [f"`{show_name(name)}`" for name in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "") or "none"


class Suggestions:
    """Finds the name that was probably meant. Stops after many comparisons: an answer that lists a thousand problems soon is
    better than a late one with a thousand guesses."""

    def __init__(self) -> None:
        self._left = MAX_COMPARISONS

    def closest(self, name: str, candidates: Collection[str]) -> str | None:
        """The closest of some names, None if none is close."""
        self._left -= len(candidates)
        if self._left < 0:
            return None
        lowered = {candidate.lower(): candidate for candidate in candidates if isinstance(candidate, str)}
        found = get_close_matches(name[:MAX_SHOWN].lower(), lowered, n=1)
        return lowered[found[0]] if found else None

    def hint(self, name: str, candidates: Collection[str], otherwise: str) -> str:
        """The hint that asks for the closest name, else another hint."""
        close = self.closest(name, candidates)
        return f"Did you mean `{show_name(close)}`?" if close is not None else otherwise
