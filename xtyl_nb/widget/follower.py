"""A daemon thread that reads a run after each new event, and hands the overview to a display. It ends with the run, and when no
page may show it any more; `start` starts it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from xtyl_engine.queries.views import Overview
from xtyl_engine.states import JobState
from xtyl_nb.drawing.displayable import CHANGED_SECONDS, Live

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
QUIET_SECONDS = 3.0
# As often as a worker writes what is printed.
PRINTS_SECONDS = 1.0


class Follower:
    """Calls `seen` with each new Overview, at most ten times a second, and `failed` with each error, as long as `is_watched`
    returns True."""

    def __init__(
        self,
        live: Live,
        *,
        seen: Callable[[Overview], None],
        failed: Callable[[Exception], None],
        is_watched: Callable[[], bool],
    ):
        self._live = live
        self._seen = seen
        self._failed = failed
        self._is_watched = is_watched
        self._lock = threading.Lock()
        self._leave = threading.Event()
        self._again = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Follow the run, unless a thread does already."""
        with self._lock:
            self._again = True
            self._leave.clear()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._follow, name=f"xtyl-{self._live.id}", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Stop soon, without waiting for the end."""
        with self._lock:
            self._again = False
            self._leave.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the thread has ended; False if it still runs after `timeout` seconds."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _follow(self) -> None:
        pause = SHORTEST_PAUSE_SECONDS
        while self._goes_on():
            try:
                if not self._look_and_wait():
                    continue
                pause = SHORTEST_PAUSE_SECONDS
            except Exception as error:
                self._failed(error)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                self._leave.wait(pause)
            with self._lock:
                self._again = True

    def _look_and_wait(self) -> bool:
        """Show the state of the run and wait for the next event; False if the run is over, or no longer watched."""
        began = monotonic()
        overview = self._live.overview()
        self._seen(overview)
        if overview.state.is_terminal:
            return False
        # A run that takes long to read is read less often.
        took = monotonic() - began
        self._leave.wait(max(SHORTEST_PAUSE_SECONDS, 3 * took))
        # Without an event it is read too: that a worker died is none.
        again = monotonic() + max(self._quiet_seconds(overview), 30 * took)
        while not self._leave.is_set() and not self._live._changed(overview.sequence, CHANGED_SECONDS):
            if monotonic() > again or not self._is_watched():
                break
        return self._is_watched()

    def _quiet_seconds(self, overview: Overview) -> float:
        """How long to wait without an event: what a function prints is none."""
        running = (name for name, node in overview.nodes.items() if node.counts.get(JobState.RUNNING))
        return (
            PRINTS_SECONDS
            if any(self._live._plan.nodes[name].kind.takes_function for name in running)
            else QUIET_SECONDS
        )

    def _goes_on(self) -> bool:
        """Whether to read once more. Decided under the lock, so that no `start` falls between."""
        with self._lock:
            goes_on = self._again and not self._leave.is_set()
            self._again = False
            if not goes_on:
                self._thread = None
            return goes_on
