"""Named points where a test can make a process die, hang or lose its database. Nothing happens at a point unless
`XTYL_CRASH` names it: `effect/done=kill`, or `commit/after=cut@3` for the third time it is reached. Each fires once for all
processes of one home.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from xtyl_engine.errors import BackendError, WorkflowException


class Point(StrEnum):
    """Every point, in the order in which a job passes them; then those around a job."""

    SUBMIT_STEPPED = "submit/stepped"
    SUBMIT_COMMITTED = "submit/committed"
    HINT_BEFORE = "hint/before"
    HINT_SENT = "hint/sent"
    CLAIM_WRITTEN = "claim/written"
    CLAIM_COMMITTED = "claim/committed"
    EFFECT_BEFORE = "effect/before"
    EFFECT_DONE = "effect/done"
    ARTIFACT_WRITTEN = "artifact/written"
    ARTIFACT_KEPT = "artifact/kept"
    OUTCOME_WRITTEN = "outcome/written"
    OUTCOME_COMMITTED = "outcome/committed"
    EXPANSION_WRITTEN = "expansion/written"
    COMMIT_BEFORE = "commit/before"
    COMMIT_AFTER = "commit/after"
    SWEEP_FOUND = "sweep/found"
    SWEEP_COMMITTED = "sweep/committed"
    BEAT_BEFORE = "beat/before"
    BEAT_AFTER = "beat/after"
    CONTROL_WRITTEN = "control/written"
    CONTROL_STEPPED = "control/stepped"
    CONTROL_COMMITTED = "control/committed"
    SHUTDOWN_BEGUN = "shutdown/begun"
    SHUTDOWN_RELEASED = "shutdown/released"


class PointError(WorkflowException, ValueError):
    """XTYL_CRASH cannot be understood."""

    code = "settings/crash"


def _cut() -> None:
    raise BackendError("the connection was cut at a failpoint", retryable=True)


def _raise() -> None:
    raise RuntimeError("raised at a failpoint")


ACTIONS: dict[str, Callable[[], None]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "sleep": lambda: time.sleep(3),
    "raise": _raise,
    "interrupt": lambda: signal.raise_signal(signal.SIGINT),
    "cut": _cut,
}


class _Armed:
    """One point, and the action that happens there once."""

    def __init__(self, point: Point, action: str, count: int, mark: Path):
        self._point = point
        self._act = ACTIONS[action]
        self._left = count
        self._mark = mark
        self._lock = threading.Lock()

    def __call__(self, point: Point) -> None:
        if point is self._point and self._is_due():
            self._act()

    def _is_due(self) -> bool:
        with self._lock:
            self._left -= 1
            if self._left:
                return False
        try:
            self._mark.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _pass(point: Point) -> None:
    """The cost of every point when nothing is armed: one call."""


_reach: Callable[[Point], None] = _pass


def failpoint(point: Point) -> None:
    """Pass a point; the action armed for it happens here."""
    _reach(point)


def arm(crash: str | None, home: Path) -> None:
    """Arm what `crash` names in this process; None arms nothing. Raises PointError."""
    global _reach
    _reach = _pass if crash is None else _parsed(crash, home)


def _parsed(crash: str, home: Path) -> _Armed:
    name, _, rest = crash.partition("=")
    action, _, count = rest.partition("@")
    if name not in set(Point) or action not in ACTIONS or not (count or "1").isdecimal():
        raise PointError(
            f"XTYL_CRASH is {crash[:80]!r}",
            hint=f"Write point=action or point=action@n. Points: {', '.join(Point)}. Actions: {', '.join(ACTIONS)}.",
        )
    return _Armed(Point(name), action, int(count or 1), home / f"crashed-{name.replace('/', '-')}")
