"""The states of executions and jobs, and the one table of legal transitions between them.

Guards are built from this table, the diagram in engine/README.md is generated from it, and no other module names a source
state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ExecutionState(StrEnum):
    """The state of one submission."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_terminal(self) -> bool:
        return self in (ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.STOPPED)


class JobState(StrEnum):
    """The state of one job (one node for one item)."""

    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    STOPPED = "stopped"
    FAILED = "failed"
    QUARANTINED = "quarantined"

    @property
    def is_terminal(self) -> bool:
        return self not in OPEN


OPEN = (JobState.BLOCKED, JobState.READY, JobState.RUNNING, JobState.WAITING)


@dataclass(frozen=True, slots=True)
class Move:
    """A legal transition: from any of `sources` to `target`."""

    sources: tuple[StrEnum, ...]
    target: StrEnum


_E, _J = ExecutionState, JobState

EXECUTION_MOVES = {
    "start": Move((_E.PENDING,), _E.RUNNING),
    "pause": Move((_E.PENDING, _E.RUNNING), _E.PAUSED),
    "resume": Move((_E.PAUSED,), _E.RUNNING),
    "stop": Move((_E.PENDING, _E.RUNNING, _E.PAUSED), _E.STOPPED),
    "complete": Move((_E.RUNNING, _E.PAUSED), _E.COMPLETED),
    "fail": Move((_E.RUNNING, _E.PAUSED), _E.FAILED),
    "reopen": Move((_E.FAILED, _E.STOPPED), _E.RUNNING),
}

JOB_MOVES = {
    "unblock": Move((_J.BLOCKED,), _J.READY),
    "claim": Move((_J.READY,), _J.RUNNING),
    # Not fenced on the owner: the first commit wins, so a slow worker's paid result is kept.
    "complete": Move((_J.RUNNING, _J.READY), _J.COMPLETED),
    "wait": Move((_J.RUNNING,), _J.WAITING),
    "decide": Move((_J.WAITING,), _J.COMPLETED),
    # One more option is on its way.
    "another": Move((_J.WAITING,), _J.BLOCKED),
    "retry": Move((_J.RUNNING,), _J.READY),
    "release": Move((_J.RUNNING,), _J.READY),
    "lose": Move((_J.RUNNING,), _J.READY),
    "fail": Move((_J.RUNNING,), _J.FAILED),
    "quarantine": Move((_J.RUNNING,), _J.QUARANTINED),
    "skip": Move((_J.BLOCKED, _J.READY), _J.SKIPPED),
    "stop": Move(OPEN, _J.STOPPED),
    "reopen": Move((_J.FAILED, _J.QUARANTINED, _J.SKIPPED, _J.STOPPED), _J.BLOCKED),
}


class End(StrEnum):
    """How a job ended, as its children see it. The last three are also the reasons for skipping a job."""

    LIVE = "live"
    BRANCH = "branch not taken"
    FAILURE = "upstream failure"
    REJECTED = "rejected"


FATAL = (End.FAILURE, End.REJECTED)
