"""What each run has in a worker, and what runs with the same functions share: their launcher. Which runs go is decided here,
when is for `pool`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from xtyl_engine.runners.launchers import Launcher, Preparation, Runner
from xtyl_engine.runners.stems import Stem

# Packed bytes of the functions that stay loaded for runs without a call.
IDLE_BYTES = 64 * 1024 * 1024


@dataclass(eq=False)
class LauncherPlace:
    """What runs share that load the same; `key` says what. It has one launcher in its life, which ends with the last run."""

    key: object
    starting: threading.Lock = field(default_factory=threading.Lock)
    launcher: Launcher | None = None
    stem: Stem | None = None
    runs: int = 0


@dataclass(eq=False)
class RunPlace:
    """What one run has here. Its `preparation` holds the functions that its launcher has not loaded; its runners are `idle`
    here, or at a call."""

    starting: threading.Lock = field(default_factory=threading.Lock)
    # Held while a runner is forked: what waits for it may find another idle by then.
    forking: threading.Lock = field(default_factory=threading.Lock)
    shared: LauncherPlace | None = None
    idle: deque[Runner] = field(default_factory=deque)
    scratch: str | None = None
    preparation: Preparation | None = None
    avoid: set[str] = field(default_factory=set)
    packed_bytes: int = 0
    calls: int = 0
    used: float = 0.0

    @property
    def launcher(self) -> Launcher | None:
        """Its launcher, if it has one that answers."""
        launcher = None if self.shared is None else self.shared.launcher
        return None if launcher is None or launcher.is_gone else launcher

    def keep(self, preparation: Preparation, launcher: Launcher) -> None:
        """Keep what runners of this launcher need besides."""
        self.packed_bytes = sum(len(each.blob) for each in preparation.packed)
        left = tuple(each for each in preparation.packed if each.digest not in launcher.knows)
        self.preparation = replace(preparation, packed=left)


def idle_too_long(places: Mapping[str, RunPlace], limit: float) -> list[str]:
    """The runs without a call since then, and those idle longest where the functions of idle runs take too much."""
    found: list[str] = []
    kept_bytes = 0
    idle = [run for run, place in places.items() if not place.calls]
    for run in sorted(idle, key=lambda run: places[run].used, reverse=True):
        kept_bytes += places[run].packed_bytes
        if places[run].used < limit or kept_bytes > IDLE_BYTES:
            found.append(run)
    return found
