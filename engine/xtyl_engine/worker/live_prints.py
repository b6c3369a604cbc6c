"""What running attempts of one process print, written at most once a second while they print, so that it is seen live and a
killed worker loses no more. A silent attempt costs nothing: the thread runs only while attempts that print are open.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field, replace

from xtyl_engine.database.connection import Database
from xtyl_engine.errors import BackendError
from xtyl_engine.scheduler.keep_prints import keep_live_prints
from xtyl_engine.scheduler.outcomes import Claim, Outcome
from xtyl_engine.values.prints import Printed, Prints

log = logging.getLogger("xtyl")
EVERY_SECONDS = 1.0
PATIENCE_SECONDS = 2.0


@dataclass(eq=False)
class LivePrints:
    """The prints of the attempts that run in one process."""

    database: Database
    _open: dict[tuple[int, int], Prints] = field(default_factory=dict)
    _written: dict[tuple[int, int], Printed] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # Held while rows are written: what an attempt printed last must not be overwritten by what it had printed before.
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def take(self, claim: Claim, prints: Prints) -> None:
        """Take an attempt that has printed something; call it as often as there is more."""
        if self._open.get(claim.attempt) is prints:
            return
        with self._lock:
            self._open[claim.attempt] = prints
            if self._thread is None:
                self._thread = threading.Thread(target=self._save_all, name="xtyl-prints", daemon=True)
                self._thread.start()

    def ended(self, outcome: Outcome) -> Outcome:
        """The outcome with what its attempt printed, which is written no more from here."""
        attempt = outcome.claim.attempt
        if attempt not in self._open:
            return outcome
        with self._writing, self._lock:
            printed = self._open.pop(attempt).printed()
            self._written.pop(attempt, None)
        return replace(outcome, printed=printed)

    def save(self) -> None:
        """Write what was printed since the last time."""
        with self._writing:
            with self._lock:
                now = {attempt: prints.printed(is_live=True) for attempt, prints in self._open.items()}
            fresh = {attempt: printed for attempt, printed in now.items() if self._written.get(attempt) != printed}
            if fresh:
                keep_live_prints(self.database, fresh, PATIENCE_SECONDS)
                self._written |= fresh

    def save_last(self) -> None:
        """Write what was printed since the last time, if the database takes it: what is printed costs no job anything."""
        try:
            self.save()
        except BackendError as error:
            log.info("what jobs print is not written yet: %s", error)
        except Exception:
            log.exception("what jobs print could not be written; they go on")

    def _save_all(self) -> None:
        pause = threading.Event()
        while not pause.wait(EVERY_SECONDS):
            self.save_last()
            with self._lock:
                if not self._open:
                    self._thread = None
                    return
