"""Makes events of executions without a worker: committed as the engine commits them, published or lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine_driver import Driver
from plans import plan_of
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.events import Event, EventKind
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.states import ExecutionState

PLAN = plan_of({"a": {}}, [])
STATES = {
    EventKind.COMPLETED: ExecutionState.COMPLETED,
    EventKind.STOPPED: ExecutionState.STOPPED,
    EventKind.FAILED: ExecutionState.FAILED,
    EventKind.REOPENED: ExecutionState.RUNNING,
}


class Teller:
    """One database, and a publisher's `publish` for the events committed to it."""

    def __init__(self, database: Database, publish: Callable[[Sequence[Event]], None]):
        self.driver = Driver(database)
        self.publish = publish

    def submit(self) -> str:
        """An execution that has one event and starts nothing by itself."""
        return self.driver.submit(PLAN)

    def tell(
        self, id: str, kind: EventKind = EventKind.JOB_STARTED, *, times: int = 1, lost: bool = False, **data: Any
    ) -> int:
        """Commit events of one kind, and the state that it brings; the number of the last. Lost ones are not published."""

        def work(transaction: Transaction) -> LockedExecution:
            locked = LockedExecution(transaction, id, self.driver.plans.load)
            for _ in range(times):
                locked.note(kind, "a", "0", **data)
            locked.state = STATES.get(kind, locked.state)
            locked.save()
            return locked

        locked = self.driver.database.transact(work)
        if not lost:
            self.publish(locked.events)
        return int(locked.sequence)
