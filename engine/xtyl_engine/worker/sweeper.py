"""Keeps executions going when a worker or a message is lost: renews the leases of jobs that run here, puts back jobs whose lease
expired, and notifies again for ready jobs that are not claimed. Every worker process runs one; there is no leader.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction, may_pass
from xtyl_engine.errors import ErrorClass, WorkflowException
from xtyl_engine.events import Event, EventKind
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.scheduler import node_changes, transitions
from xtyl_engine.scheduler.cascade import settle
from xtyl_engine.scheduler.clock_steps import STEP_SECONDS, bring_retries_forward
from xtyl_engine.scheduler.commit import Publish
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.mend_counts import mend_counts
from xtyl_engine.scheduler.rules import EndedJob
from xtyl_engine.scheduler.startable import startable
from xtyl_engine.states import End, ExecutionState, JobState
from xtyl_engine.telemetry.log_lines import about_execution
from xtyl_engine.worker.slots import Slots
from xtyl_engine.workflow.plan import Plan

log = logging.getLogger("xtyl")
MAX_LOST = 3
MEND_SECONDS = 10.0
MEND = "Find what ends the process, such as too little memory or a crash in a library, then `run.retry()`."


def no_op(what: str) -> None:
    """Ignore the note; the default without a heartbeat file."""


@dataclass(eq=False)
class Sweeper:
    """Beats and sweeps for one worker process, in two threads: a slow sweep must not cost a lease."""

    database: Database
    slots: Slots
    owner: str
    publish: Publish
    load: Callable[[Transaction, str], Plan]
    lease_seconds: float
    beat_seconds: float
    sweep_seconds: float
    note: Callable[[str], None] = no_op
    _ended: threading.Event = field(default_factory=threading.Event)
    _ahead: float = math.inf
    _touched: float = field(default_factory=time.monotonic)
    _patient_until: float = 0.0
    _mend_at: float = 0.0

    def start(self) -> None:
        for name, work, seconds in (("beat", self.beat, self.beat_seconds), ("sweep", self.sweep, self.sweep_seconds)):
            threading.Thread(target=self._repeat, args=(work, seconds), name=f"xtyl-{name}", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def beat(self) -> None:
        """Renew the leases of the claims held here. A claim whose answer from the database was lost is not held, and runs out."""
        failpoint(Point.BEAT_BEFORE)
        held = list(self.slots.held())
        parameters = [
            {"job_id": claim.job_id, "number": claim.number, "owner": self.owner, "lease_seconds": self.lease_seconds}
            for claim in held
        ]
        if parameters:

            def renew(transaction: Transaction) -> int:
                renewed = transaction.many(transitions.BEAT, parameters)
                node_changes.beat(transaction, ((claim.execution_id, claim.node) for claim in held))
                return renewed

            self.database.transact(renew, seconds=self.beat_seconds)
        failpoint(Point.BEAT_AFTER)

    def sweep(self) -> None:
        """One round: put back lost jobs, look for stopped executions, ask for slots for unclaimed jobs, mend counts at times."""
        self.put_back_lost()
        self._note_stopped()
        self._mind_clock()
        if free := self.slots.free():
            with self.database.read() as transaction:
                waiting = startable(transaction, self.slots.recorder.rates, self.load, free)
            self.slots.share(waiting)
        if time.monotonic() > self._mend_at:
            mend_counts(self.database, self.load)
            self._mend_at = time.monotonic() + MEND_SECONDS

    def _mind_clock(self) -> None:
        """At the start, and whenever the database's clock was set back, bring forward what waits for a time written before."""
        with self.database.read() as transaction:
            (now,) = transaction.row(sql.CLOCK) or (0.0,)
        ahead = now - time.monotonic()
        if ahead < self._ahead - STEP_SECONDS and (count := self.database.transact(bring_retries_forward)):
            log.warning("the clock was set back: %d jobs that waited for a later time start now", count)
        self._ahead = ahead

    def put_back_lost(self) -> None:
        """Make jobs ready again whose lease has run out; quarantine those lost too often."""
        with self.database.read() as transaction:
            if not transaction.is_sqlite:
                transaction.run(sql.PLAIN_SCAN)
            expired = transaction.rows(sql.EXPIRED)
        if self._is_patient():
            return
        failpoint(Point.SWEEP_FOUND)
        for execution_id in sorted({row[0] for row in expired}):
            try:
                self._put_back(execution_id, [row[1:] for row in expired if row[0] == execution_id])
            except Exception as error:
                if may_pass(error):
                    raise
                # One run whose plan cannot be read, for example, leaves the others their sweep.
                log.exception("the lost jobs of %s cannot be put back", execution_id)

    def _is_patient(self) -> bool:
        """Whether to spare expired leases: after the database was out of reach, all workers get one lease's time to renew."""
        now = time.monotonic()
        if now - self._touched > self.lease_seconds / 2:
            self._patient_until = now + self.lease_seconds
        self._touched = now
        return now < self._patient_until

    def _put_back(self, execution_id: str, lost: list[tuple[Any, ...]]) -> None:
        types: dict[str | None, str] = {}

        def apply(transaction: Transaction) -> list[Event]:
            locked = LockedExecution(transaction, execution_id, self.load)
            types.update((node.id, node.type) for node in locked.plan.nodes.values())
            ended = [job for row in lost for job in _lose(locked, *row)]
            if ended:
                settle(locked, ended)
            if locked.events:
                locked.save()
            return locked.events

        events = self.database.transact(apply)
        failpoint(Point.SWEEP_COMMITTED)
        for event in events:
            if event.kind in (EventKind.JOB_LOST, EventKind.JOB_QUARANTINED):
                self._tell_lost(event, types[event.node])
        self.publish(events)

    def _tell_lost(self, event: Event, type: str) -> None:
        is_poison = event.kind is EventKind.JOB_QUARANTINED
        with about_execution(event.execution_id, node=str(event.node), item=str(event.item)):
            log.warning("its worker died or lost touch: %s", "given up" if is_poison else "started again")
        self.slots.meter.lost(type, is_poison)

    def _note_stopped(self) -> None:
        """Tell the executor which executions are stopped, for handlers that ask `context.cancelled()`."""
        stopped = set()
        with self.database.read() as transaction:
            for execution_id in self.slots.executions():
                found = transaction.row(sql.STATE, {"execution_id": execution_id})
                if found is None or found[0] == ExecutionState.STOPPED:
                    stopped.add(execution_id)
        self.slots.executor.stopped = stopped

    def _repeat(self, work: Callable[[], None], seconds: float) -> None:
        while not self._ended.wait(seconds):
            try:
                work()
                self.note(work.__name__)
            except WorkflowException as error:
                log.warning("%s: %s", threading.current_thread().name, error)
            except Exception:
                log.exception("%s failed and goes on", threading.current_thread().name)


def _lose(locked: LockedExecution, id: int, node: str, item: str, attempt: int, lost: int) -> list[EndedJob]:
    words = f"its worker died or lost touch {lost + 1} times"
    parameters = {
        "job_id": id,
        "number": attempt,
        "now": locked.now,
        "reason": "lost",
        "outcome": "lost",
        "error_class": str(ErrorClass.PERMANENT),
        "error": f"quarantined: {words}, the last time with no other job beside it\n  {MEND}",
    }
    # A job that was lost twice has run alone since.
    poisoned = lost + 1 >= MAX_LOST
    if not locked.transaction.run(transitions.QUARANTINE if poisoned else transitions.LOSE, parameters):
        return []
    locked.transaction.run(sql.END_ATTEMPT, parameters | {"error": words})
    if not poisoned:
        locked.changes.move(node, JobState.RUNNING, JobState.READY)
        locked.note(EventKind.JOB_LOST, node, item, lost=lost + 1)
        return []
    locked.changes.fail(node, JobState.QUARANTINED, id)
    locked.failed += 1
    locked.note(EventKind.JOB_QUARANTINED, node, item, error=words)
    return [EndedJob(node, item, End.FAILURE)]
