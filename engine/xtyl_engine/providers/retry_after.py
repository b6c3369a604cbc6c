"""When a server asks to be called again, as its headers say it: milliseconds, seconds or a date. Knows no provider, and does not
decide whether anything is tried again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_MAX_RETRY_AFTER = 3600.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait, by headers named in lower case; None without such a header or if it is malformed.
    Milliseconds are the more exact, and count where a server says both."""
    found = _number(headers.get("retry-after-ms"), 0.001)
    if found is None:
        found = _number(headers.get("retry-after"), 1.0)
    if found is None:
        found = _until(headers.get("retry-after"), headers.get("date"))
    return None if found is None else min(max(found, 0.0), _MAX_RETRY_AFTER)


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
