"""The work of the measured jobs: a sleep, which keeps a slot and no processor, as a call to a provider does."""

from __future__ import annotations

import time

NAP_SECONDS = 0.02


def nap(seconds: float = NAP_SECONDS) -> dict[str, float]:
    """Sleep; when it began, by this machine's clock, and how long it took in truth."""
    at, began = time.time(), time.perf_counter()
    time.sleep(seconds)
    return {"at": at, "took": time.perf_counter() - began}


def long_nap() -> dict[str, float]:
    """Ten times as long."""
    return nap(10 * NAP_SECONDS)


def nothing() -> int:
    """The least that a job can do."""
    return 0
