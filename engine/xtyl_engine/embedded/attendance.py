"""Tells those who look at runs whether a worker of the embedded back end is there to go on with them, and starts the back end
where it died or ended idle. It does not start one that was stopped, that gave up, or that ran with other settings. The workers
of a shared back end are known by their leases alone, see `queries.overview`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from xtyl_engine.embedded import client
from xtyl_engine.embedded.client import Connection
from xtyl_engine.embedded.likeness import unlike
from xtyl_engine.embedded.redis_server import has_worker
from xtyl_engine.embedded.state_file import Presence, SupervisorState, is_unwanted, read_end, read_presence
from xtyl_engine.errors import WorkflowException
from xtyl_engine.settings import Settings
from xtyl_engine.values.locks import holder, supervisor_lock

log = logging.getLogger("xtyl")
LOOK_SECONDS = 1.0
# A server that is frozen must not hold up the reading of a run.
ANSWER_SECONDS = 0.25
STARTING = "a worker: the back end is starting"
START = "`xtyl up` or the next run starts it"
ENDING = "a worker: the back end is ending, and begins nothing more"
STOPPING = f"a worker: the back end is being stopped, and begins nothing more; {START}"
# Looks come many times a second, and a start that fails may take a while each time.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedStart:
    """A start by looking that failed: why, and until when, on the monotonic clock, it is not tried again."""

    why: str
    pause: float
    until: float

    @property
    def words(self) -> str:
        return f"the back end cannot be started: {self.why}; a look tries again after {self.pause:g} s"


def do_nothing() -> None:
    """Do nothing about another supervisor; the default."""


class Attendance:
    """The look of one process at its back end. With `starts`, a look starts the back end in the background if it died or ended
    idle, and keeps one that lives from ending idle; `on_other` is called when a look finds another supervisor than the last.
    What it starts finds the variables of this process but for those `without` which. `connection` has its addresses as last
    seen: the socket of an embedded one may move. Safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        starts: bool,
        on_other: Callable[[], None] = do_nothing,
        without: Collection[str] = (),
    ):
        self._settings = settings
        self._without = without
        self._starts = starts
        self._on_other = on_other
        self._seen: float | None = None
        self.connection = client.find(settings)
        self._looking, self._ensuring = threading.Lock(), threading.Lock()
        self._seen_at = float("-inf")
        self._start: threading.Thread | None = None
        self._failed: FailedStart | None = None

    def ensure(self, *, to_begin: bool = False) -> Connection:
        """Find the back end, or start it whatever became of it; `to_begin` a run, in the place of an idle one of another release.
        Raises BackendStartError."""
        with self._ensuring:
            self.connection = client.ensure(self._settings, to_begin=to_begin, without=self._without)
        self._failed = None
        return self.connection

    def check(self) -> None:
        """Start a back end that died, and return when it answers. Raises BackendStartError if it failed, was stopped, or ran with
        other settings."""
        with self._ensuring:
            client.check(self._settings, without=self._without)

    def look(self, is_begun: bool = False) -> str | None:
        """What is missing for work to go on, in words; None where a worker is there. Work that is begun misses nothing while a
        back end ends. It never blocks for long, and a worker that was seen is not looked for again within a second: call it with
        every read."""
        if self._settings.redis_url is not None or time.monotonic() - self._seen_at < LOOK_SECONDS:
            return None
        with self._looking:
            missing = self._missing()
            if missing is None:
                self._seen_at = time.monotonic()
            return None if is_begun and missing in (ENDING, STOPPING) else missing

    def _missing(self) -> str | None:
        home = self._settings.home
        if (pid := holder(supervisor_lock(home))) is not None:
            return self._attended(pid, read_presence(home))
        found = read_end(home)
        if found is not None and found.state is SupervisorState.FAILED:
            return f"a worker: the back end failed: {found.error}; {START} again"
        if found is not None and found.state is SupervisorState.STOPPED:
            return f"a worker: the back end was stopped; {START}"
        if not self._starts:
            return f"a worker: the back end does not run; {START}"
        if found is not None and (why := unlike(found, self._settings)):
            return f"a worker: {why}"
        if self._failed is None or time.monotonic() >= self._failed.until:
            self._begin()
        return STARTING if self._failed is None else f"a worker: {self._failed.words}"

    def _attended(self, pid: int, found: Presence | None) -> str | None:
        if found is None or found.pid != pid:
            return STARTING if pid else None
        if found.database != self._settings.database_digest:
            return f"a worker: the back end of {self._settings.home} uses another database"
        self._failed = None
        self.connection = client.connection_at(self._settings, found.socket)
        if self._seen != found.started:
            self._seen = found.started
            self._on_other()
        if self._starts:
            client.stay(self._settings)
        if has_worker(Path(found.socket), ANSWER_SECONDS):
            return None
        if is_unwanted(self._settings.home):
            return STOPPING
        if found.state is SupervisorState.STOPPING:
            return ENDING
        again = f"; restarts so far: {found.restarts}, and `xtyl doctor` looks for the cause" if found.restarts else ""
        return f"{STARTING}{again}"

    def _begin(self) -> None:
        """Start the back end in the background, unless that is being done."""
        if self._start is not None and self._start.is_alive():
            return
        self._start = threading.Thread(target=self._start_again, name="xtyl-start", daemon=True)
        try:
            self._start.start()
        except RuntimeError as error:
            self._note_failure(str(error))

    def _start_again(self) -> None:
        try:
            self.check()
        except WorkflowException as error:
            self._note_failure(error.message.splitlines()[0])

    def _note_failure(self, why: str) -> None:
        last = self._failed
        pause = FIRST_PAUSE_SECONDS if last is None else min(2 * last.pause, LONGEST_PAUSE_SECONDS)
        failed = FailedStart(why=why, pause=pause, until=time.monotonic() + pause)
        if last is None or last.why != why:
            log.warning("%s", failed.words)
        self._failed = failed
