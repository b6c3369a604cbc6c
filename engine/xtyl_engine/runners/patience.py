"""How long a call is waited for: until its time is over, or its run is stopped and it had time to end by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from xtyl_engine.errors import NodeTimeout, TransientError

LOOK_SECONDS = 1.0
GRACE_SECONDS = 10.0


class CallStopped(TransientError):
    """The function was ended, because its run was stopped."""

    code = "node/stopped"


class Patience:
    """The time that one call has: `seconds` from `begin` on, None without a limit; once it is `cancelled`, the grace."""

    def __init__(self, seconds: float | None, cancelled: Callable[[], bool]):
        self._seconds = seconds
        self._cancelled = cancelled
        self._deadline = float("inf")
        self._look = time.monotonic() + LOOK_SECONDS
        self._told: float | None = None
        self._has_begun = False

    def begin(self) -> None:
        """Let the time begin: the function is about to be called."""
        self._has_begun = True
        if self._seconds is not None:
            self._deadline = time.monotonic() + self._seconds

    def extend(self, seconds: float) -> None:
        """Do not count time in which a finished result waits for room on a full disk: it is paid for."""
        self._deadline += seconds

    def left(self) -> float:
        """Seconds until `check` has to be called again."""
        return max(0.0, min(self._look, self._deadline) - time.monotonic())

    def check(self) -> None:
        """Raise NodeTimeout when the time is over, CallStopped when the run was stopped: once the grace is over, or at
        once where nothing has begun."""
        now = time.monotonic()
        if now >= self._deadline:
            raise NodeTimeout(
                f"no result after {self._seconds:g} s", hint="Raise `timeout=`, or make the step smaller."
            )
        if now < self._look:
            return
        self._look = now + LOOK_SECONDS
        if not self._cancelled():
            self._told = None
        elif self._told is None and self._has_begun:
            self._told = now
        elif self._told is None or now >= self._told + GRACE_SECONDS:
            raise CallStopped("ended, because its run was stopped")
