"""When a server asks to be called again, as its headers say it: milliseconds, seconds or a date. Knows no provider, and does not
decide whether anything is tried again.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_MAX_RETRY_AFTER = 3600.0
_COUNTED = ("requests", "tokens")
_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS = (3600.0, 60.0, 1.0, 0.001)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait, by headers named in lower case; None without such a header or if it is malformed.
    Milliseconds are the more exact, and count where a server says both. A gateway may pass on what the service behind it says."""
    found = next((said for before in ("", "llm_provider-") if (said := _told(headers, before)) is not None), None)
    found = _reset(headers) if found is None else found
    return None if found is None else min(max(found, 0.0), _MAX_RETRY_AFTER)


def _told(headers: Mapping[str, str], before: str) -> float | None:
    found = _number(headers.get(f"{before}retry-after-ms"), 0.001)
    if found is None:
        found = _number(headers.get(f"{before}retry-after"), 1.0)
    return _until(headers.get(f"{before}retry-after"), headers.get("date")) if found is None else found


def _reset(headers: Mapping[str, str]) -> float | None:
    """When what is used up is there again, where the server says what that is and names units: `6m0s`, `120ms`."""
    used_up = [each for each in _COUNTED if headers.get(f"x-ratelimit-remaining-{each}", "").strip() == "0"]
    spans = [_SPAN.fullmatch(headers.get(f"x-ratelimit-reset-{each}", "").strip()) for each in used_up]
    found = [
        sum(float(part) * unit for part, unit in zip(span.groups(), _UNITS, strict=True) if part)
        for span in spans
        if span
    ]
    return max(found, default=0.0) or None


def _number(said: str | None, unit: float) -> float | None:
    try:
        amount = float(said or "") * unit
    except ValueError:
        return None
    return amount if math.isfinite(amount) else None


def _until(said: str | None, given: str | None) -> float | None:
    try:
        # Both dates are by the server's clock; this machine's may be wrong.
        now = time.time() if given is None else parsedate_to_datetime(given).timestamp()
        return parsedate_to_datetime(said or "").timestamp() - now
    except (ValueError, TypeError):
        return None
