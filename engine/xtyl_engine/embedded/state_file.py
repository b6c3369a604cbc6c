"""The record that a supervisor writes beside its lock. It only describes: whether a supervisor runs is known from its lock."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Self

import xtyl_engine
from xtyl_engine.database.head import HEAD
from xtyl_engine.settings import Settings
from xtyl_engine.values.atomic_write import write_atomically


class SupervisorState(StrEnum):
    """The state of the embedded back end. It is `ready` when its worker takes notifications. `stopped` if it was asked to end or
    was not needed, `ended` if the system ended it, `failed` if it gave up: only after `ended`, as after a crash, does a look at
    a run start it again. `killed` is never written: it is what the record of a supervisor means that holds its lock no more."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
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
    `settings` the variables that its worker runs with, `schema` and `protocol` those of its release."""

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
    return presence if is_sound else None
