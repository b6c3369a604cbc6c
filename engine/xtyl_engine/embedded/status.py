"""The state of the embedded back end of a home. It only reads: it starts and changes nothing."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import xtyl_engine
from xtyl_engine.embedded.redis_server import has_worker, ping
from xtyl_engine.embedded.state_file import AT_WORK, Presence, SupervisorState, read_end, read_presence
from xtyl_engine.settings import Settings
from xtyl_engine.values.locks import clients_lock, exclusive, holder, supervisor_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendStatus:
    """The embedded back end of a home at one moment. `worker` is `ready`, `starting` or `none`."""

    running: bool
    home: Path
    state: SupervisorState | None
    pid: int | None
    worker: str
    worker_pid: int | None
    server: str | None
    socket: Path | None
    clients: bool
    error: str | None
    versions: Mapping[str, str]


def status(settings: Settings) -> BackendStatus:
    """The state of the embedded back end of this home."""
    pid = holder(supervisor_lock(settings.home))
    found = read_end(settings.home) if pid is None else read_presence(settings.home)
    here = found if pid is not None and found is not None and found.pid == pid else None
    socket = Path(here.socket) if here else None
    is_ready = socket is not None and has_worker(socket)
    return BackendStatus(
        running=here is not None and ping(Path(here.socket)),
        home=settings.home,
        state=_state(found, pid),
        pid=pid,
        worker="ready" if is_ready else "starting" if here else "none",
        worker_pid=here.worker_pid if here else None,
        server=here.server if here else None,
        socket=socket,
        clients=_has_clients(settings.home),
        error=found.error if found else None,
        versions={
            "xtyl": here.version if here else xtyl_engine.__version__,
            "python": here.python if here else sys.executable,
            "client": f"{xtyl_engine.__version__} on Python {platform.python_version()}",
        },
    )


def _state(found: Presence | None, pid: int | None) -> SupervisorState | None:
    if found is not None and found.state in AT_WORK and pid is None:
        return SupervisorState.KILLED
    return found.state if found else None


def _has_clients(home: Path) -> bool:
    if not clients_lock(home).exists():
        return False
    with exclusive(clients_lock(home)) as is_unused:
        return not is_unused
