"""The client's side of the embedded back end: finds, starts, checks and stops the one of this home. It starts nothing where
a broker is configured. Importing it is cheap.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGINT

from xtyl_engine.embedded.drives import warn_of_network_drive
from xtyl_engine.embedded.likeness import is_to_be_replaced, other_settings, unlike
from xtyl_engine.embedded.log_files import read_tail
from xtyl_engine.embedded.redis_server import ping
from xtyl_engine.embedded.starting import DOCTOR, Start, StartedSupervisor, ended_error
from xtyl_engine.embedded.state_file import (
    LEFT_ALONE,
    Presence,
    SupervisorState,
    note_unwanted,
    read_end,
    read_presence,
    write_presence,
)
from xtyl_engine.errors import BackendError, BackendStartError, WorkflowException
from xtyl_engine.settings import Settings, prepare_home
from xtyl_engine.values.locks import (
    acquire,
    clients_lock,
    exclusive,
    holder,
    is_same_file,
    orphans_lock,
    shared,
    supervisor_lock,
)

POLL_SECONDS = 0.005
MOST_STARTS = 3
# More than the supervisor and the reaper give a worker beside the time for its jobs.
END_SECONDS = 10.0
_joined: dict[Path, int] = {}
_joining = threading.Lock()
_warned: set[tuple[Path | str, ...]] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The addresses of a back end: its database, and its broker as Celery and as redis-py write it."""

    database_url: str = field(repr=False)
    celery_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    home: Path


def ensure(settings: Settings, *, to_begin: bool = False, without: Collection[str] = ()) -> Connection:
    """Connect to the back end; an embedded one that is not running is started. With `to_begin`, for a run that is about to be
    written, one of another release is replaced if it has nothing to do. Cheap when it runs: call it often.

    Returns when the server answers; the worker may still be starting. Raises BackendStartError.
    """
    if settings.redis_url is not None:
        return connection_at(settings, None)
    return _connect(settings, Start(without=without), to_begin=to_begin)


def _connect(settings: Settings, start: Start, *, to_begin: bool = False) -> Connection:
    prepare_home(settings)
    warn_of_network_drive(settings)
    deadline = time.monotonic() + settings.start_seconds
    with _named(settings):
        _join_clients(settings, deadline)
        socket = _find_or_start(settings, deadline, start)
        if to_begin and (found := read_presence(settings.home)) and is_to_be_replaced(found, settings):
            down(settings)
            socket = _find_or_start(settings, time.monotonic() + settings.start_seconds, start)
        return connection_at(settings, socket)


def find(settings: Settings) -> Connection:
    """The addresses of a back end, which need not run: an embedded one's as it wrote them down. Starts nothing."""
    if settings.redis_url is not None:
        return connection_at(settings, None)
    prepare_home(settings)
    warn_of_network_drive(settings)
    presence = read_presence(settings.home)
    return connection_at(settings, presence.socket if presence else _no_socket(settings.home))


def connection_at(settings: Settings, socket: str | None) -> Connection:
    """The addresses of the back end whose server listens on this socket; None for a configured broker."""
    settings = settings if socket is None else replace(settings, redis_url=f"unix://{socket}")
    return Connection(
        database_url=settings.database_url,
        celery_url=str(settings.celery_url),
        redis_url=settings.event_url,
        home=settings.home,
    )


def check(settings: Settings, *, without: Collection[str] = ()) -> None:
    """Check that a back end still runs, and start it again if it was killed or ended idle. This process is a client from then on.

    Raises BackendStartError if it failed, was stopped, or ran with other settings than this process has.
    """
    if settings.redis_url is not None:
        return
    if holder(supervisor_lock(settings.home)) is not None:
        stay(settings)
        return
    _leave_alone(read_end(settings.home), settings)
    _connect(settings, Start(by_look=True, without=without))


def _leave_alone(presence: Presence | None, settings: Settings) -> None:
    """Raise BackendStartError if a look is not to start a back end where this is the record."""
    if presence is not None and presence.state in LEFT_ALONE:
        raise ended_error(presence)
    if presence is not None and (why := unlike(presence, settings)):
        raise BackendStartError(
            why,
            hint="Start it on purpose (`xtyl up`, `run.resume()`), or look with the settings and the Python it had.",
        )


def stay(settings: Settings) -> None:
    """Count this process as a client from now on, so that the back end does not end idle. It does not wait: where a back end is
    just ending, or another thread joins, nothing is done."""
    joining = _joining
    if joining.acquire(blocking=False):
        try:
            _join(settings.home)
        finally:
            joining.release()


def down(settings: Settings, timeout: float | None = None) -> bool:
    """Stop the embedded back end of this home and keep its runs; False if there is none. Nothing but a run or an explicit start
    starts it after that, also if it dies while it ends. The `timeout` is the time that its running jobs get, and some more.

    Raises BackendError if it does not end in time.
    """
    path, seconds = supervisor_lock(settings.home), end_seconds(settings) if timeout is None else timeout
    deadline = time.monotonic() + seconds
    asked: set[int] = set()
    while not _note_stopped(settings):
        pid = holder(path)
        if pid == 0:
            message, hint = _elsewhere(settings.home)
            raise BackendError(message, hint=hint)
        if pid is not None:
            # Each time: a supervisor that has just begun removes what was there before.
            note_unwanted(settings.home)
        if pid is not None and pid not in asked:
            asked.add(pid)
            with suppress(ProcessLookupError):
                # SIGTERM comes from a system or a session that ends, and after that a look at a run starts the back end again.
                os.kill(pid, SIGINT)
        if time.monotonic() > deadline:
            raise BackendError(
                f"the embedded back end (process {pid}) is still ending after {seconds:g} s",
                hint=f"Run `xtyl down` again to wait on, or end it with `kill -9 {pid}`: it stays stopped, its worker ends "
                "after XTYL_SHUTDOWN_SECONDS, and no finished job is lost.",
            )
        time.sleep(POLL_SECONDS)
    return _await_orphans(settings, time.monotonic() + seconds) or bool(asked)


def end_seconds(settings: Settings) -> float:
    """The time that an orderly end may take: what running jobs get, by the settings here or of the back end, and some more."""
    found = read_presence(settings.home)
    return max(settings.shutdown_seconds, found.shutdown_seconds if found else 0.0) + END_SECONDS


@contextmanager
def _named(settings: Settings) -> Iterator[None]:
    """Turn what the system refuses at a start, such as one more process or file, into BackendStartError."""
    try:
        yield
    except WorkflowException:
        raise
    except OSError as error:
        words = error.strerror or type(error).__name__
        message = f"the system refused what a back end in {settings.home} needs to start: {words}"
        raise BackendStartError(message, hint=DOCTOR) from error


def _note_stopped(settings: Settings) -> bool:
    """Write down that no look is to start a back end, not even one that is about to; False while one runs. What a failure left
    to read stays."""
    if holder(supervisor_lock(settings.home)) is None and not settings.home.exists():
        return True
    if (lock := acquire(supervisor_lock(settings.home))) is None:
        return False
    presence = read_presence(settings.home) or Presence.of_this_process(
        settings, SupervisorState.ENDED, _no_socket(settings.home)
    )
    if presence.state not in LEFT_ALONE:
        write_presence(settings.home, replace(presence, state=SupervisorState.STOPPED))
    os.close(lock)
    return True


def _await_orphans(settings: Settings, deadline: float) -> bool:
    """Wait for the worker that a killed supervisor left behind, and which is being ended; whether there was one."""
    had_some = False
    while settings.home.is_dir() and holder(supervisor_lock(settings.home)) is None:
        with exclusive(orphans_lock(settings.home)) as is_free:
            if is_free:
                break
        had_some = True
        if time.monotonic() > deadline:
            raise BackendError(
                f"the worker of an embedded back end in {settings.home} that was killed is still ending",
                hint="Wait for the running job: the worker ends after XTYL_SHUTDOWN_SECONDS, and no finished job is lost.",
            )
        time.sleep(POLL_SECONDS)
    return had_some


def _no_socket(home: Path) -> str:
    return str(home / "no-server-yet.sock")


def _join_clients(settings: Settings, deadline: float) -> None:
    """Count this process as a client until it ends. If a supervisor is ending, wait for it first."""
    with _joining:
        while not _join(settings.home):
            if time.monotonic() > deadline:
                raise BackendStartError(
                    f"an embedded back end in {settings.home} has been ending for {settings.start_seconds:g} s",
                    hint="Try again in a moment. " + DOCTOR,
                )
            time.sleep(POLL_SECONDS)


def _join(home: Path) -> bool:
    """Share the clients' lock, unless this process does; False while a supervisor holds it. Called with `_joining` held."""
    known, path = _joined.get(home), clients_lock(home)
    if known is not None and is_same_file(known, path):
        return True
    if (handle := shared(path)) is None:
        return False
    if known is not None:
        os.close(known)
    _joined[home] = handle
    return True


def _leave_clients() -> None:
    """Give up the parent's place in a forked child, so that it keeps a back end running only once it uses one."""
    global _joining
    _joining = threading.Lock()
    for handle in _joined.values():
        os.close(handle)
    _joined.clear()


os.register_at_fork(after_in_child=_leave_clients)


def _find_or_start(settings: Settings, deadline: float, start: Start) -> str:
    """Return the socket of a server that answers."""
    path, starts = supervisor_lock(settings.home), 0
    with ExitStack() as kept:
        started: StartedSupervisor | None = None
        while time.monotonic() < deadline:
            pid, presence = holder(path), read_presence(settings.home)
            if pid is not None:
                if presence is not None and presence.pid == pid and _answers(presence, settings):
                    _compare(presence, settings)
                    return presence.socket
            elif started is None or started.has_ended():
                if start.by_look:
                    _leave_alone(read_end(settings.home), settings)
                elif started is not None and presence is not None:
                    started.raise_if_ended(presence)
                if starts == MOST_STARTS:
                    break
                started, starts = kept.enter_context(StartedSupervisor(settings, start)), starts + 1
            time.sleep(POLL_SECONDS)
    raise _late(settings)


def _answers(presence: Presence, settings: Settings) -> bool:
    if presence.state not in (SupervisorState.STARTING, SupervisorState.READY) or not ping(Path(presence.socket)):
        return False
    if presence.database != settings.database_digest:
        raise BackendStartError(
            f"the back end that runs in {settings.home} uses another database than XTYL_DATABASE_URL names",
            hint="Stop it with `xtyl down`, or set XTYL_HOME to a folder of its own for this database.",
        )
    return True


def _compare(presence: Presence, settings: Settings) -> None:
    """Warn once of each setting that changed since the back end started: its worker still uses the old value."""
    other = other_settings(presence, settings)
    if other and (settings.home, *other) not in _warned:
        _warned.add((settings.home, *other))
        theirs = ", ".join(f"{name}={value}" if value else f"{name} unset" for name, value in other.items())
        warnings.warn(
            f"the back end that runs in {settings.home} was started with {theirs}, and uses that until it ends. "
            "To apply the current settings, run `xtyl down`; the next run starts it again, and nothing is lost.",
            stacklevel=2,
        )


def _late(settings: Settings) -> BackendStartError:
    pid, presence = holder(supervisor_lock(settings.home)), read_presence(settings.home)
    if pid is not None and (presence is None or presence.pid != pid):
        message, hint = _elsewhere(settings.home)
        return BackendStartError(message, hint=hint)
    path = settings.log_folder / "supervisor.log"
    return BackendStartError(
        f"the embedded back end did not answer within {settings.start_seconds:g} s\n{path} ends with:\n{read_tail(path)}",
        hint=f"{DOCTOR} On a slow machine, set XTYL_START_SECONDS higher.",
    )


def _elsewhere(home: Path) -> tuple[str, str]:
    return (
        f"the back end of {home} runs where this process cannot reach it: in another container or on another machine",
        "Set XTYL_HOME to a folder that only this machine uses, or share a back end with XTYL_REDIS_URL.",
    )
