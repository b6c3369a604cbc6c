"""The record that a supervisor writes beside its lock: only a description, the locks are the truth."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from xtyl_engine.atomic_write import write_atomically


class SupervisorState(StrEnum):
    """Where the embedded back end stands. It is `ready` when its worker takes hints."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a supervisor says of itself. `database` is a digest, `log` the end of the log that explains a failure,
    `settings` the variables that its worker goes by."""

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


def write_presence(home: Path, presence: Presence) -> None:
    """Replace the record at once: a reader sees the old or the new one."""
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
