"""Repeats a read while a database restarts: nothing is lost there, so a read need not fail. It never repeats a write."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from xtyl_engine.errors import BackendError

T = TypeVar("T")
OUTAGE_SECONDS = 60.0
AGAIN_SECONDS = 0.2


def patiently(look: Callable[[], T], seconds: float = OUTAGE_SECONDS) -> T:
    """The result of `look`, repeated for `seconds` while the database cannot be reached. Raises BackendError after that."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return look()
        except BackendError as error:
            if not error.data.get("retryable") or time.monotonic() > deadline:
                raise
        time.sleep(AGAIN_SECONDS)
