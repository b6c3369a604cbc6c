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
class Transition:
    """A legal transition: from any of `sources` to `target`."""

    sources: tuple[StrEnum, ...]
    target: StrEnum


_E, _J = ExecutionState, JobState

EXECUTION_TRANSITIONS = {
    "start": Transition((_E.PENDING,), _E.RUNNING),
    "pause": Transition((_E.PENDING, _E.RUNNING), _E.PAUSED),
    "resume": Transition((_E.PAUSED,), _E.RUNNING),
    "stop": Transition((_E.PENDING, _E.RUNNING, _E.PAUSED), _E.STOPPED),
    "complete": Transition((_E.RUNNING, _E.PAUSED), _E.COMPLETED),
    "fail": Transition((_E.RUNNING, _E.PAUSED), _E.FAILED),
    "reopen": Transition((_E.FAILED, _E.STOPPED), _E.RUNNING),
}

JOB_TRANSITIONS = {
    "unblock": Transition((_J.BLOCKED,), _J.READY),
    "claim": Transition((_J.READY,), _J.RUNNING),
    # Not fenced on the owner or the epoch: the first commit wins, and parents that are complete never change.
    "complete": Transition((_J.RUNNING, _J.READY), _J.COMPLETED),
    "wait": Transition((_J.RUNNING,), _J.WAITING),
    "decide": Transition((_J.WAITING,), _J.COMPLETED),
    # One more option is on its way.
    "another": Transition((_J.WAITING,), _J.BLOCKED),
    "retry": Transition((_J.RUNNING,), _J.READY),
    "release": Transition((_J.RUNNING,), _J.READY),
    "lose": Transition((_J.RUNNING,), _J.READY),
    "fail": Transition((_J.RUNNING,), _J.FAILED),
    "quarantine": Transition((_J.RUNNING,), _J.QUARANTINED),
    "skip": Transition((_J.BLOCKED, _J.READY), _J.SKIPPED),
    "stop": Transition(OPEN, _J.STOPPED),
    # What is still being executed goes on as the same attempt.
    "go_on": Transition((_J.STOPPED,), _J.RUNNING),
    "reopen": Transition((_J.FAILED, _J.QUARANTINED, _J.SKIPPED, _J.STOPPED), _J.BLOCKED),
}


class End(StrEnum):
    """How a job ended, as its children see it. The last three are also the reasons for skipping a job."""

    LIVE = "live"
    BRANCH = "branch not taken"
    FAILURE = "upstream failure"
    REJECTED = "rejected"


FATAL = (End.FAILURE, End.REJECTED)
