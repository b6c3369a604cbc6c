"""What a server says is wrong, out of the many forms in which servers say it: OpenAI's object, a plain text, lists of fields, an
error within an answer that is none. Reads documents only; what an error means for a job is decided elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Room for all that is wrong with a request, and the cure at the end of it.
MOST = 2000
UNSAID = "no reason given"
_SAYING = ("message", "msg", "detail", "error", "description", "title", "error_description", "reason")
_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)
_UNSEEN = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a server refuses: its words, its code, the parameter that it names, and the status that it gives in its document, which
    may stand inside a 200. `retry_after` are the seconds after which it asks to be called again, where its document says so."""

    words: str = UNSAID
    code: str = ""
    parameter: str | None = None
    status: int | None = None
    retry_after: float | None = None


def read_reason(said: Any, secret: str = "") -> Reason:
    """The reason in a document, or in a text that is none. The secret is taken out of its words, and the middle of long ones."""
    first = said[0] if isinstance(said, list) and said else said
    inner = first.get("error") or first if isinstance(first, Mapping) else first
    words = _words(said if isinstance(said, list) else inner)
    facts = inner if isinstance(inner, Mapping) else {}
    number = next((found for name in ("code", "status") if (found := _status(facts.get(name)))), None)
    code = next((each for name in ("code", "status", "type") if isinstance(each := facts.get(name), str) and each), "")
    parameter = facts.get("param")
    return Reason(
        words=shortened(" ".join(_without(words, secret).split())) or UNSAID,
        code=_without(code, secret)[:200],
        parameter=parameter if isinstance(parameter, str) else None,
        status=number,
        retry_after=_delay(facts.get("details")),
    )


def shortened(text: str) -> str:
    """The text, without its middle where it is long: what is wrong stands at its beginning, what helps often at its end."""
    half = MOST // 2 - 1
    return text if len(text) <= MOST else f"{text[:half]}…{text[-half:]}"


def _without(text: str, secret: str) -> str:
    return text.replace(secret, "***") if secret else text


def _status(value: Any) -> int | None:
    number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{3}", value) else value
    return number if isinstance(number, int) and 400 <= number <= 599 else None


def _words(said: Any, depth: int = 0) -> str:
    if depth > 5:
        return ""
    if isinstance(said, str):
        return _spoken(said, depth)
    if isinstance(said, list):
        return "; ".join(found for each in said[:20] if (found := _words(each, depth + 1)))
    if not isinstance(said, Mapping):
        return "" if said is None else str(said)
    words = next((found for name in _SAYING if (found := _words(said.get(name), depth + 1))), "")
    where = said.get("loc")
    if words and isinstance(where, list):
        return f"{'.'.join(map(str, where))}: {words}"
    # A gateway's own words can be no more than that the service behind it refused, whose words are beside them.
    beyond = said.get("metadata")
    raw = _words(beyond.get("raw"), depth + 1) if isinstance(beyond, Mapping) else ""
    return f"{words}: {raw}" if raw else words or (json.dumps(said, default=str) if said and not depth else "")


def _spoken(text: str, depth: int) -> str:
    """A text as it is read: a web page without its marks, and the words of a document that is quoted as text."""
    if _PAGE.match(text):
        return " ".join(_UNSEEN.sub(" ", text[:100_000]).split())
    if text.lstrip()[:1] in ("{", "[") and len(text) < 100_000:
        try:
            return _words(json.loads(text), depth + 1) or text
        except (ValueError, RecursionError):
            pass
    return text


def _delay(details: Any) -> float | None:
    """Google's way to say when to come back."""
    told = (
        [each.get("retryDelay") for each in details if isinstance(each, Mapping)] if isinstance(details, list) else []
    )
    found = next((match for each in told if isinstance(each, str) and (match := _DELAY.fullmatch(each))), None)
    return None if found is None else float(found[1])
