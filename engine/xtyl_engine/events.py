"""What can be recorded about an execution: an Event is one fact, ordered by its sequence number. Storing and
streaming events is for `scheduler` and `broker`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """The kinds of facts: first those of the execution, then those of jobs."""

    SUBMITTED = "submitted"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOPPED = "stopped"
    REOPENED = "reopened"
    COMPLETED = "completed"
    FAILED = "failed"
    JOB_STARTED = "job_started"
    JOB_COMPLETED = "job_completed"
    JOB_WAITING = "job_waiting"
    JOB_DECIDED = "job_decided"
    ANOTHER_ASKED = "another_asked"
    JOB_RETRYING = "job_retrying"
    JOB_RELEASED = "job_released"
    JOB_LOST = "job_lost"
    JOB_FAILED = "job_failed"
    JOB_QUARANTINED = "job_quarantined"
    JOB_SKIPPED = "job_skipped"
    JOB_LATE = "job_late"
    ITEMS_BORN = "items_born"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One recorded fact. `time` is seconds since the epoch, UTC; `item` is a path such as `3.0` whose first part is the
    row's position."""

    execution_id: str
    sequence: int
    time: float
    kind: EventKind
    node: str | None = None
    item: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
