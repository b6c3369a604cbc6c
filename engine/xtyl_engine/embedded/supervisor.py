"""The process that owns the embedded back end of one home: it starts the server and the worker, restarts them when they die,
and ends with them when they are not needed. It imports little, because a notebook waits for it. Run as
`-m xtyl_engine.embedded.supervisor`.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from xtyl_engine.embedded import redis_server
from xtyl_engine.embedded.drives import warn_of_network_drive
from xtyl_engine.embedded.log_files import empty_large, open_log, read_tail
from xtyl_engine.embedded.processes import Child, GaveUp, OrphanReaper
from xtyl_engine.embedded.state_file import (
    LEFT_ALONE,
    UNLESS_STOPPED,
    Presence,
    SupervisorState,
    forget_unwanted,
    note_unwanted,
    read_end,
    read_presence,
    write_presence,
)
from xtyl_engine.embedded.variables import Variables
from xtyl_engine.errors import BackendStartError, WorkflowException
from xtyl_engine.functions.variables import NAME
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_engine.values.locks import acquire, clients_lock, exclusive, is_same_file, orphans_lock, supervisor_lock
from xtyl_engine.worker.command import RETIRE, worker_command
from xtyl_engine.worker.first_claim import forget_claims, has_claimed

log = logging.getLogger("xtyl.supervisor")
TICK_SECONDS = 0.5
STARTING_TICK_SECONDS = 0.05
BIND_SECONDS = 2.0
SOFT_SECONDS = 5.0
ASK_SECONDS = 5.0
MOST_UNKNOWNS = 3
LOGS = ("supervisor", "server", "worker")


class Supervisor:
    """One home's back end, from start to end."""

    def __init__(self, settings: Settings, lock: int, alarm: int):
        self._settings = settings
        self._lock = lock
        self._alarm = alarm
        self._soft_seconds = settings.shutdown_seconds + SOFT_SECONDS
        self._keeper = OrphanReaper(self._soft_seconds, orphans_lock(settings.home))
        self._socket = redis_server.socket_path(settings.home)
        self._variables = Variables()
        self._server = Child("server", self._start_server, self._keeper)
        self._worker = Child("worker", self._start_worker, self._keeper, partial(has_claimed, settings.home))
        self._last_client = time.monotonic()
        self._unknowns = 0
        presence = Presence.of_this_process(settings, SupervisorState.STARTING, str(self._socket))
        self._presence = replace(presence, settings=settings.to_worker())
        forget_unwanted(settings.home)
        self._say()

    def run(self) -> int:
        """Tend the children until told to stop, idle, or unable to go on; the exit status."""
        try:
            redis_server.end_stray(self._socket)
            while self._tend():
                self._bound_logs()
                if (end := self._rest()) is not None:
                    return self._end(end)
                if self._is_idle() and self._end_idle():
                    return 0
        except (GaveUp, WorkflowException, OSError) as error:
            return self._fail(error)
        return self._end(SupervisorState.STOPPED)

    def _tend(self) -> bool:
        """Start and restart the children as needed; False if the home is gone."""
        # Cleaning up /tmp removes the socket of a running server.
        if (
            self._server.process
            and time.monotonic() - self._server.started > BIND_SECONDS
            and not (self._socket.exists() and self._socket.with_name(NAME).exists())
        ):
            self._server.process.kill()
        server_changed, worker_changed = self._server.tend(), self._worker.tend()
        if server_changed or worker_changed:
            self._say(SupervisorState.STARTING)
        elif self._presence.state is SupervisorState.STARTING and redis_server.has_worker(self._socket):
            self._say(SupervisorState.READY)
        elif read_presence(self._settings.home) != self._presence:
            # It was damaged or removed, or a full disk refused it.
            self._say()
        return self._is_home()

    def _rest(self) -> SupervisorState | None:
        """Wait for a signal or the next tick; the state to end in, if a signal asks for the end."""
        is_starting = self._presence.state is SupervisorState.STARTING
        return self._asked(STARTING_TICK_SECONDS if is_starting else TICK_SECONDS)

    def _asked(self, seconds: float) -> SupervisorState | None:
        if not select.select([self._alarm], [], [], seconds)[0]:
            return None
        numbers = os.read(self._alarm, 64)
        # `down` sends SIGINT; SIGTERM comes with the end of the system or of the session.
        if signal.SIGINT in numbers:
            return SupervisorState.STOPPED
        return SupervisorState.ENDED if signal.SIGTERM in numbers else None

    def _is_idle(self) -> bool:
        now = time.monotonic()
        with exclusive(clients_lock(self._settings.home)) as is_unused:
            if not is_unused:
                self._last_client = now
        return is_unused and now - self._last_client >= self._settings.idle_seconds

    def _end_idle(self) -> bool:
        """End, unless the back end is needed: then False. The clients' lock is held until the supervisor's own is free, so
        that a new client starts a new supervisor."""
        with exclusive(clients_lock(self._settings.home)) as is_unused:
            if is_unused and not self._has_work():
                log.info("this back end is not needed: no client, no work")
                # Where the database could not be asked, there may be work, which is to go on as it began.
                self._end(SupervisorState.ENDED if self._unknowns else SupervisorState.IDLE)
                return True
        self._last_client = time.monotonic() - max(0.0, self._settings.idle_seconds - ASK_SECONDS)
        return False

    def _has_work(self) -> bool:
        from xtyl_engine.queries.executions import has_active_work

        try:
            is_active = has_active_work(self._settings.database_url)
        except Exception as error:
            # A database that cannot be read here cannot be written by the worker either: no work goes on.
            self._unknowns += 1
            log.warning("cannot read from the database whether there is work: %s", error)
            return self._unknowns < MOST_UNKNOWNS
        self._unknowns = 0
        return is_active

    def _bound_logs(self) -> None:
        for name in LOGS:
            if empty_large(path := self._log_file(name)):
                log.info("%s was large: its lines are in %s.1 now", path, path.name)

    def _start_server(self) -> subprocess.Popen[bytes]:
        self._find_place()
        self._variables.listen(self._socket.with_name(NAME))
        binary = redis_server.find_server()
        self._presence = replace(self._presence, server=str(binary), socket=str(self._socket))
        with open(open_log(self._log_file("server")), "ab") as file:
            return redis_server.start_server(binary, self._socket, file)

    def _find_place(self) -> None:
        """Make the socket's folder, or choose another one: a runtime folder goes with the last session of its user."""
        try:
            redis_server.secure_folder(self._socket.parent)
        except BackendStartError as error:
            self._socket = redis_server.socket_path(self._settings.home)
            log.warning("%s; the server moves to %s", error.message, self._socket)
            # It knows the former place only.
            self._worker.retire(RETIRE)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        forget_claims(self._settings.home)
        settings = replace(self._settings, redis_url=f"unix://{self._socket}")
        with open(open_log(self._log_file("worker")), "ab") as file:
            return subprocess.Popen(
                worker_command(settings),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                # Celery puts its working folder on the import path, so it must be one that no other user writes to.
                cwd=settings.home,
                env=settings.child_environ(),
                start_new_session=True,
            )

    def _fail(self, error: Exception) -> int:
        log.error("%s", error)
        tail = read_tail(self._log_file(error.name)) if isinstance(error, GaveUp) else ""
        return self._end(SupervisorState.FAILED, error=str(error), tail=tail)

    def _end(self, state: SupervisorState, *, error: str | None = None, tail: str = "") -> int:
        if state is SupervisorState.STOPPED and self._is_home():
            note_unwanted(self._settings.home)
        self._say(SupervisorState.STOPPING)
        self._worker.end(self._soft_seconds)
        self._server.end(0)
        self._variables.close()
        self._keeper.close()
        if self._is_home() or not supervisor_lock(self._settings.home).exists():
            with suppress(OSError):
                self._socket.unlink(missing_ok=True)
                self._socket.with_name(NAME).unlink(missing_ok=True)
                self._socket.parent.rmdir()
        # `down` may have come while it ended for another reason.
        if state is not SupervisorState.FAILED and self._asked(0) is SupervisorState.STOPPED:
            state = SupervisorState.STOPPED
        self._say(state, error=error, tail=tail)
        os.close(self._lock)
        return 0 if error is None else 1

    def _say(self, state: SupervisorState | None = None, *, error: str | None = None, tail: str = "") -> None:
        self._presence = replace(
            self._presence,
            state=state or self._presence.state,
            server_pid=self._server.pid,
            worker_pid=self._worker.pid,
            restarts=self._server.restarts + self._worker.restarts,
            error=error,
            log=tail,
        )
        if self._is_home():
            with suppress(OSError):
                write_presence(self._settings.home, self._presence)

    def _is_home(self) -> bool:
        """False once the home was removed or made anew: no client finds this supervisor then, and its files are gone."""
        return is_same_file(self._lock, supervisor_lock(self._settings.home))

    def _log_file(self, name: str) -> Path:
        return self._settings.log_folder / f"{name}.log"


def _catch_signals() -> int:
    """Turn signals into bytes on a pipe, so that a signal or the death of a child ends a wait at once."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, _ignore)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return reader


def _ignore(number: int, frame: object) -> None:
    """A handler must exist for the signal to reach the pipe."""


def main() -> int:
    """Run as the supervisor of this home, or end quietly if it has one already, or was stopped since a look launched this one."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.umask(0o077)
    settings = load_settings()
    prepare_home(settings)
    warn_of_network_drive(settings)
    # From the first moment that the lock shows this process, a signal to it is a wish and not its death.
    alarm = _catch_signals()
    if (lock := acquire(supervisor_lock(settings.home))) is None:
        return 0
    found = read_end(settings.home) if UNLESS_STOPPED in sys.argv else None
    return 0 if found is not None and found.state in LEFT_ALONE else Supervisor(settings, lock, alarm).run()


if __name__ == "__main__":
    sys.exit(main())
