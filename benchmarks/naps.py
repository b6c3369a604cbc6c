"""The work of the measured jobs: a sleep, which holds a slot and no processor, as a call to a provider does."""

from __future__ import annotations

import time

NAP_SECONDS = 0.02


def nap(seconds: float = NAP_SECONDS) -> dict[str, float]:
    """Sleep; its start by this machine's clock, and its true length."""
    at, began = time.time(), time.perf_counter()
    time.sleep(seconds)
    return {"at": at, "took": time.perf_counter() - began}


def long_nap() -> dict[str, float]:
    """Sleep ten times as long."""
    return nap(10 * NAP_SECONDS)


def nothing() -> int:
    """Do the least that a job can do."""
    return 0
