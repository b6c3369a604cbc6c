"""One execution inside one write transaction: its locked row, its counters and its new events. Every change of an execution goes
through a LockedExecution; what follows from an ended job is in `cascade`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.errors import LimitExceeded, RunNotFound
from xtyl_engine.events import Event, EventKind
from xtyl_engine.limits import MAX_EVENT_BYTES
from xtyl_engine.scheduler.budget import Budget
from xtyl_engine.scheduler.node_changes import NodeChanges
from xtyl_engine.states import EXECUTION_TRANSITIONS, ExecutionState, JobState
from xtyl_engine.workflow.plan import Plan

# Made once: `json.dumps` makes an encoder for each call.
_encoded = json.JSONEncoder(separators=(",", ":")).encode
# What an execution was paused or failed for does not count in these.
_MADE_GOOD = (ExecutionState.RUNNING, ExecutionState.COMPLETED)


class LockedExecution:
    """The locked row of one execution. Call `save` once, last."""

    def __init__(self, transaction: Transaction, execution_id: str, load: Callable[[Transaction, str], Plan]):
        # Ids that cannot exist are not asked for: PostgreSQL refuses NUL, and neither database encodes half a surrogate.
        found = transaction.row(sql.LOCK, {"execution_id": execution_id}) if execution_id.isprintable() else None
        if found is None:
            raise RunNotFound.of(execution_id)
        (
            self._stored,
            self.epoch,
            self.total,
            self.done,
            self.failed,
            self.sequence,
            counted,
            self.template_id,
            limit,
            rest,
            *money,
            now,
        ) = found
        self.transaction = transaction
        self.id = execution_id
        self.state = ExecutionState(self._stored)
        self.max_parallel: int | None = limit
        # What is left of a control that goes on in steps; until it is done, the execution does not end by itself.
        self.unfinished: str | None = rest
        self.budget = Budget(*money)
        self.now = float(now)
        self.error: str | None = None
        self.events: list[Event] = []
        self.changes = NodeChanges()
        self._counted = int(counted)
        self.is_counted = counted == self.sequence
        self._load = load
        self._plan: Plan | None = None

    @property
    def plan(self) -> Plan:
        if self._plan is None:
            self._plan = self._load(self.transaction, self.template_id)
        return self._plan

    def note(self, kind: EventKind, node: str | None = None, item: str | None = None, **data: Any) -> None:
        """Add one event, which `save` writes."""
        self.sequence += 1
        self.events.append(
            Event(
                execution_id=self.id, sequence=self.sequence, time=self.now, kind=kind, node=node, item=item, data=data
            )
        )

    def make(self, name: str) -> bool:
        """Make a transition of the execution itself, if its state allows it; returns whether it did."""
        transition = EXECUTION_TRANSITIONS[name]
        if self.state not in transition.sources:
            return False
        self.state = ExecutionState(transition.target)
        if self.state in _MADE_GOOD:
            # None would keep the stored error.
            self.error = ""
        return True

    def save(self) -> None:
        """Write the row, the counts of the nodes, and the events."""
        if self.done >= self.total and not self.state.is_terminal and self.unfinished is None:
            self._finish()
        if self.is_counted:
            self.changes.save(self.transaction, self.id, self.now)
            self._counted = self.sequence
        self.transaction.run(
            sql.SAVE_EXECUTION if self.state == self._stored else sql.SAVE_STATE,
            {
                "execution_id": self.id,
                "state": str(self.state),
                "epoch": self.epoch,
                "total": self.total,
                "done": self.done,
                "failed": self.failed,
                "sequence": self.sequence,
                "counted": self._counted,
                "unfinished": self.unfinished,
                "error": self.error,
                "started": None if self.state is ExecutionState.PENDING else self.now,
                "finished": self.now if self.state.is_terminal else None,
            },
        )
        self.save_budget()
        self.transaction.many(sql.ADD_EVENTS, [event_row(event) for event in self.events])

    def save_budget(self) -> None:
        """Write the money alone, where nothing else of the row has changed."""
        self.budget.save(self.transaction, self.id)

    def add_jobs(self, seeds: Iterable[dict[str, Any]]) -> int:
        """Add jobs; returns how many."""
        rows = list(seeds)
        self.transaction.many(sql.ADD_JOBS, rows)
        for (node, state), count in Counter((row["node"], row["state"]) for row in rows).items():
            self.changes.add(node, JobState(state), count)
        self.total += len(rows)
        return len(rows)

    def _finish(self) -> None:
        self.state = ExecutionState.RUNNING if self.state is ExecutionState.PENDING else self.state
        if self.failed:
            self.make("fail")
            self.error = f"{self.failed} of {self.total} jobs failed"
            self.note(EventKind.FAILED, error=self.error)
        else:
            self.make("complete")
            self.note(EventKind.COMPLETED)


def event_row(event: Event) -> dict[str, Any]:
    """An event as a row of its table. Raises LimitExceeded for an event that is too large to send to every watcher."""
    data = _encoded(dict(event.data)) if event.data else None
    if data is not None and len(data) > MAX_EVENT_BYTES:
        raise LimitExceeded(
            f"the event {event.kind} at {event.node} would be {len(data):,} characters; at most {MAX_EVENT_BYTES:,}",
            hint="Shorten its data, a name for example; long texts belong in outputs.",
        )
    return {
        "execution_id": event.execution_id,
        "sequence": event.sequence,
        "time": event.time,
        "kind": str(event.kind),
        "node": event.node,
        "item": event.item,
        "data": data,
    }
