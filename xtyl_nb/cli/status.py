"""The state of a back end as `xtyl status` tells it: in words for people, as a document for programs. It only reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xtyl_engine.embedded.state_file import SupervisorState
from xtyl_engine.embedded.status import BackendStatus
from xtyl_engine.embedded.status import status as look_at_embedded
from xtyl_engine.settings import Settings

WORKERS = {"ready": "ready", "starting": "is starting", "none": "no worker is there"}
NOT_RUNNING = {
    SupervisorState.STOPPED: "was stopped",
    SupervisorState.IDLE: "ended, because it had nothing to do",
    SupervisorState.FAILED: "failed",
    SupervisorState.KILLED: "was killed",
}
START = "`xtyl up` or the next run starts it"


@dataclass(frozen=True, slots=True)
class Told:
    """The state of a back end: `figures` are names and words."""

    figures: list[tuple[str, str]]
    document: dict[str, Any]


def look(settings: Settings) -> Told:
    """The state of the back end that the settings name."""
    if settings.redis_url is None:
        return embedded(look_at_embedded(settings))
    from xtyl_nb.cli.capacity import measure

    capacity = measure(settings)
    return Told(capacity.figures, {"kind": "shared", **asdict(capacity)})


def embedded(found: BackendStatus) -> Told:
    """The state of the embedded back end."""
    worker = WORKERS[found.worker] + _process(found.worker_pid)
    figures = [
        ("back end", _words(found)),
        ("worker", worker),
        ("home", str(found.home)),
        ("kernels", "at least one uses it" if found.clients else "none uses it"),
        ("broker", f"{Path(found.server).name} at {found.socket}" if found.server else ""),
        ("error", found.error or ""),
        ("version", f"{found.versions['xtyl']}, {found.versions['python']}"),
        ("this command", found.versions["client"]),
    ]
    document = asdict(found) | {"state": found.state and found.state.value, "versions": dict(found.versions)}
    return Told([(name, words) for name, words in figures if words], {"kind": "embedded", **document})


def _words(found: BackendStatus) -> str:
    if found.running:
        return f"running{_process(found.pid)}"
    if found.pid is not None:
        return f"{found.state.value if found.state else 'starting'}, does not answer yet{_process(found.pid)}"
    why = NOT_RUNNING.get(found.state) if found.state else None
    return f"{why or 'does not run'}; {START}"


def _process(pid: int | None) -> str:
    return "" if pid is None else f" (process {pid})"
