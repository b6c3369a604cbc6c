"""A server's reply to one request, as a document with the facts of its headers. Knows no request, and raises nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xtyl_engine.providers.base import Usage
from xtyl_engine.providers.reasons import Reason, read_reason

_HOLDS = ("choices", "data")
_COMPLAINS = ("error", "detail", "message")
_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-ms-request-id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: `document` is JSON, or the text that is none. `reason` says why it is a refusal, None where it is not."""

    status: int
    headers: Mapping[str, str]
    document: Any
    usage: Usage
    reason: Reason | None


def read_reply(status: int, headers: Mapping[str, str], document: Any, provider: str, model: str, secret: str) -> Reply:
    """The reply with these headers, named in lower case, to a request for this model."""
    usage = read_usage(document, headers, provider, model)
    reason = read_reason(document, secret) if status >= 300 or _is_error(document) else None
    if reason is not None:
        usage = usage.refused(status if status >= 300 else reason.status)
    return Reply(status=status, headers=headers, document=document, usage=usage, reason=reason)


def _is_error(document: Any) -> bool:
    """Whether a document whose status is in order is a refusal all the same."""
    if isinstance(document, list):
        return bool(document) and all(isinstance(each, Mapping) and each.get("error") for each in document)
    if not isinstance(document, Mapping) or any(document.get(name) for name in _HOLDS):
        return False
    return any(document.get(name) for name in _COMPLAINS)


def read_usage(document: Any, headers: Mapping[str, str], provider: str, model: str) -> Usage:
    """What a reply says that it took. Counts that contradict each other are unknown: a wrong one would be paid for in a price."""
    facts = document if isinstance(document, Mapping) else {}
    told = facts.get("usage")
    usage = told if isinstance(told, Mapping) else {}
    answered = facts.get("model")
    named = next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None) or facts.get("id")
    is_image = isinstance(facts.get("data"), list)
    return Usage(
        provider=provider,
        model=answered if isinstance(answered, str) and answered else model,
        request_id=named[:200] if isinstance(named, str) else None,
        cost=_cost(usage),
        **_counts(usage, is_image),
    )


def _counts(usage: Mapping[str, Any], is_image: bool) -> dict[str, Any]:
    into = _first(usage, "prompt_tokens", "input_tokens")
    out = _first(usage, "completion_tokens", "output_tokens")
    total = _first(usage, "total_tokens")
    if into is not None and out is not None:
        if total is None:
            total = into + out
        elif total < into + out:
            return {}
        # Some count reasoning in the total alone.
        out = total - into
    cached = _count(_details(usage, "prompt", "input").get("cached_tokens"))
    cached = _count(usage.get("prompt_cache_hit_tokens")) if cached is None else cached
    image = None
    if is_image and out is not None:
        drawn = _count(_details(usage, "completion", "output").get("image_tokens"))
        image = out if drawn is None or drawn > out else drawn
        out -= image
    return {
        "tokens": total,
        "input_tokens": into,
        "cached_tokens": cached if cached is not None and into is not None and cached <= into else None,
        "output_tokens": out,
        "image_tokens": image,
    }


def _details(usage: Mapping[str, Any], *sides: str) -> Mapping[str, Any]:
    found = (usage.get(f"{side}_tokens_details") for side in sides)
    return next((each for each in found if isinstance(each, Mapping)), {})


def _first(usage: Mapping[str, Any], *names: str) -> int | None:
    # Something was read and something was written: 0 is said by a server that does not count.
    return next((found for name in names if (found := _count(usage.get(name)))), None)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _cost(usage: Mapping[str, Any]) -> float | None:
    """Dollars, where the server itself says what it took; not where it was paid with a key of the user's at another one."""
    told = usage.get("cost")
    amount = told.get("total_cost") if isinstance(told, Mapping) else told
    if not isinstance(amount, int | float) or isinstance(amount, bool) or usage.get("is_byok"):
        return None
    return float(amount) if 0 <= amount < 1e9 else None
