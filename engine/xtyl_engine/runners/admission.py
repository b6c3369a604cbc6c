"""When a call may begin: not while memory is short, and not while as many calls compute as there are processors. What a function
needs is learned from its calls. It starts nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from xtyl_engine.machine import memory_available, memory_bytes, processors
from xtyl_engine.runners.patience import Patience
from xtyl_engine.values.recent import Recent

LEAST_FREE = 0.2
COMPUTING = 0.2
# A shorter call is over before it matters what it does.
SHORT_SECONDS = 0.01
LOOK_SECONDS = 0.05
# So long a call may take until it has the memory that its function needs.
GROWING_SECONDS = 2.0
_REMEMBERED = 4096
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True, kw_only=True)
class Need:
    """What calls of one function have needed: seconds, seconds of a processor, and bytes at most."""

    seconds: float
    computed: float
    memory: int = 0

    @property
    def computes(self) -> bool:
        """Whether its calls keep a processor busy."""
        return self.seconds > SHORT_SECONDS and self.computed >= COMPUTING * self.seconds

    def learn(self, seconds: float, computed: float, memory: int) -> None:
        """Learn from another call; the last ones count most."""
        self.seconds += 0.2 * (seconds - self.seconds)
        self.computed += 0.2 * (computed - self.computed)
        self.memory = max(self.memory, memory)


@dataclass(eq=False, slots=True, kw_only=True)
class Flight:
    """One call that has been let in. `pid` is its runner's, `computed` what that had computed before, in seconds; both are not
    known until it has a runner."""

    function: str
    began: float
    computes: bool
    memory: int
    pid: int = 0
    computed: float = 0.0


@dataclass(eq=False)
class Admission:
    """The calls in flight of one process, and whether another may begin. `available` says how much memory there is, None where
    that is not known; `on_short` is called where it is too little, to free some."""

    cores: int = field(default_factory=processors)
    memory: int = field(default_factory=memory_bytes)
    available: Callable[[], int | None] = memory_available
    on_short: Callable[[], None] = lambda: None
    _flights: set[Flight] = field(default_factory=set)
    _computing: int = 0
    _needs: Recent[str, Need] = field(default_factory=lambda: Recent(_REMEMBERED))
    _changing: threading.Condition = field(default_factory=threading.Condition)
    _waiting: int = 0
    _looked: float = 0.0
    _free: int | None = None
    _measured: float = 0.0

    @contextmanager
    def entered(self, function: str, patience: Patience) -> Iterator[Flight]:
        """Wait until a call may begin; it is in flight inside the block. Raises as Patience does."""
        flight = self._enter(function, patience)
        try:
            yield flight
        finally:
            self._leave(flight)

    def ended(self, flight: Flight, computed: float, memory: int) -> None:
        """Learn from a call that has ended: what its runner has computed in all, and the most memory it had."""
        seconds, own = time.monotonic() - flight.began, computed - flight.computed
        with self._changing:
            need = self._needs.get(flight.function)
            if need is None:
                self._needs.put(flight.function, Need(seconds=seconds, computed=own, memory=memory))
                # More than one may know now that it need not wait.
                self._changing.notify_all()
            else:
                need.learn(seconds, own, memory)

    def _enter(self, function: str, patience: Patience) -> Flight:
        with self._changing:
            while not self._is_open(function):
                self._waiting += 1
                try:
                    self._changing.wait(LOOK_SECONDS)
                finally:
                    self._waiting -= 1
                self._measure()
                patience.check()
            need = self._needs.get(function)
            computes = need is None or need.computes
            flight = Flight(
                function=function, began=time.monotonic(), computes=computes, memory=0 if need is None else need.memory
            )
            self._flights.add(flight)
            self._computing += computes
            return flight

    def _leave(self, flight: Flight) -> None:
        with self._changing:
            self._flights.discard(flight)
            self._computing -= flight.computes
            if self._waiting:
                self._changing.notify()

    def _is_open(self, function: str) -> bool:
        if not self._flights:
            return True
        need = self._needs.get(function)
        if (need is None or need.computes) and self._computing >= self.cores:
            return False
        return self._has_memory(0 if need is None else need.memory)

    def _has_memory(self, wanted: int) -> bool:
        now = time.monotonic()
        if now > self._looked + LOOK_SECONDS:
            self._free, self._looked = self.available(), now
        if self._free is None:
            return True
        # What began lately does not have all its memory yet.
        growing = sum(flight.memory for flight in self._flights if flight.began > now - GROWING_SECONDS)
        if self._free - growing - wanted >= LEAST_FREE * self.memory:
            return True
        self.on_short()
        return False

    def _measure(self) -> None:
        """Look which calls in flight compute, once for all who wait."""
        now = time.monotonic()
        if now < self._measured + LOOK_SECONDS:
            return
        self._measured = now
        for flight in self._flights:
            seconds = now - flight.began
            if flight.pid and seconds >= LOOK_SECONDS and (computed := computed_by(flight.pid)) is not None:
                computes = computed - flight.computed >= COMPUTING * seconds
                self._computing += computes - flight.computes
                flight.computes = computes


def computed_by(pid: int) -> float | None:
    """The seconds that a process and its ended children have kept a processor busy; None where that is not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS
    except (OSError, ValueError):
        return None
