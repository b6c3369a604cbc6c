"""How far a function says it is. Outside of a runner nothing listens, so that a function may say so anywhere."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection

# A card shows no more; a loop may say it a million times.
EVERY_SECONDS = 0.2
_reporter: Reporter | None = None


def progress(done: float, of: float | None = None) -> None:
    """Say from within a function of `call` how far it is.

    The step's card and the job's details show it. Where no run calls the function, as when you
    try it in a cell, this does nothing.

    Args:
        done: How much is done, in whatever unit.
        of: How much there is to do, if it is known.

    Raises:
        TypeError: One of them is not a number.

    Example:
        >>> def measure(words):
        ...     for place, word in enumerate(words, 1):
        ...         xt.progress(place, len(words))
        ...     return len(words)
        >>> measure(["lamp", "mug"])
        2
    """
    told = (_number(done), None if of is None else _number(of))
    if _reporter is not None and all(part is None or math.isfinite(part) for part in told):
        _reporter.say(told)


def report_to(tell: Callable[[float, float | None], None], strangers: Collection[int] = ()) -> Reporter:
    """Tell from now on, at intervals, how far the function is that runs in this process, until the reporter's `end`. What these
    threads say is not its."""
    global _reporter
    _reporter = Reporter(tell, strangers)
    return _reporter


class Reporter:
    """Tells the newest of what was said, a few times a second at most."""

    def __init__(self, tell: Callable[[float, float | None], None], strangers: Collection[int]):
        self._tell = tell
        self._strangers = strangers
        self._lock = threading.Lock()
        self._unsaid: tuple[float, float | None] | None = None
        self._next = 0.0

    def say(self, told: tuple[float, float | None]) -> None:
        """Tell this, or keep it until there is something newer or the end."""
        if threading.get_ident() in self._strangers:
            return
        with self._lock:
            self._unsaid = told
            if time.monotonic() >= self._next:
                self._send()

    def end(self) -> None:
        """Tell what was not told yet, and nothing any more."""
        global _reporter
        _reporter = None
        with self._lock:
            if self._unsaid is not None:
                self._send()

    def _send(self) -> None:
        if self._unsaid is not None:
            self._tell(*self._unsaid)
        self._unsaid, self._next = None, time.monotonic() + EVERY_SECONDS


def _number(value: float) -> float:
    if isinstance(value, str | bytes):
        raise TypeError(f"progress() takes numbers, and got {value!r:.40}")
    return float(value)
