"""The record that a supervisor writes beside its lock, and the wish to stop it. The record only describes: whether a supervisor
runs is known from its lock. The wish is a file of its own, because a supervisor that lives writes its record over and over.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

import xtyl_engine
from xtyl_engine.database.head import HEAD
from xtyl_engine.settings import Settings
from xtyl_engine.values.atomic_write import write_atomically


class SupervisorState(StrEnum):
    """The state of the embedded back end. It is `ready` when its worker takes notifications. `stopped` if a user asked it to end,
    `idle` if it ended because there was no client and no work, `ended` if the system ended it, `failed` if it gave up: after
    `stopped` and `failed` no look at a run starts it again, after the others, as after a crash, one does. `killed` is never
    written: it is what the record of a supervisor means that holds its lock no more."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    IDLE = "idle"
    ENDED = "ended"
    FAILED = "failed"
    KILLED = "killed"


# What a look at a run does not start again.
LEFT_ALONE = (SupervisorState.STOPPED, SupervisorState.FAILED)
AT_WORK = (SupervisorState.STARTING, SupervisorState.READY, SupervisorState.STOPPING)
# The word with which a look launches a supervisor.
UNLESS_STOPPED = "--unless-stopped"
# What the release of a kernel and that of a worker must have in common, besides the schema: how functions travel, and what their
# runs are lent. Releases that wrote none down have 0.
PROTOCOL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A supervisor's description of itself. `database` is a digest, `log` the end of the log that explains a failure,
    `settings` the variables that its worker runs with, `schema` and `protocol` those of its release, `shutdown_seconds` the time
    that jobs get when it ends."""

    pid: int
    state: SupervisorState
    started: float
    socket: str
    database: str
    version: str
    python: str
    server: str = ""
    server_pid: int | None = None
    worker_pid: int | None = None
    restarts: int = 0
    error: str | None = None
    log: str = field(default="", repr=False)
    settings: dict[str, str] = field(default_factory=dict, repr=False)
    schema: str = ""
    protocol: int = 0
    shutdown_seconds: float = 30.0

    @classmethod
    def of_this_process(cls, settings: Settings, state: SupervisorState, socket: str) -> Self:
        """The description of a supervisor that this process is, or stands in for; it has started nothing yet."""
        return cls(
            pid=os.getpid(),
            state=state,
            started=time.time(),
            socket=socket,
            database=settings.database_digest,
            version=xtyl_engine.__version__,
            python=sys.executable,
            schema=HEAD,
            protocol=PROTOCOL,
            shutdown_seconds=settings.shutdown_seconds,
        )


def write_presence(home: Path, presence: Presence) -> None:
    """Replace the record in one step: a reader sees the old or the new one."""
    write_atomically(home / "supervisor.json", json.dumps(asdict(presence)).encode())


def read_presence(home: Path) -> Presence | None:
    """The record, or None if there is none or it is damaged."""
    try:
        found = json.loads((home / "supervisor.json").read_bytes())
        known = {each.name: found[each.name] for each in fields(Presence) if each.name in found}
        presence = Presence(**(known | {"state": SupervisorState(known["state"])}))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    is_sound = isinstance(presence.pid, int) and isinstance(presence.socket, str)
    return presence if is_sound and isinstance(presence.shutdown_seconds, int | float) else None


def read_end(home: Path) -> Presence | None:
    """The record where no supervisor runs: `stopped` if one died while the wish to stop it was there."""
    found = read_presence(home)
    if found is None or found.state in LEFT_ALONE or not is_unwanted(home):
        return found
    return replace(found, state=SupervisorState.STOPPED)


def note_unwanted(home: Path) -> None:
    """Write down the wish to stop, so that it outlives the death of the supervisor. A full disk refuses it."""
    with suppress(OSError):
        _wish(home).touch(mode=0o600)


def is_unwanted(home: Path) -> bool:
    """Whether the wish to stop is there."""
    return _wish(home).exists()


def forget_unwanted(home: Path) -> None:
    """Remove the wish to stop: the supervisor that begins now was started on purpose, or there was none."""
    _wish(home).unlink(missing_ok=True)


def _wish(home: Path) -> Path:
    return home / "supervisor.unwanted"
