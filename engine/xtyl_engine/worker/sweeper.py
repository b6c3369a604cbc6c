"""Keeps executions going when a worker or a message is lost: renews the leases of jobs that run here, puts back jobs that others
have lost, and notifies again for ready jobs that are not claimed. Every worker process runs one; there is no leader.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction, may_pass
from xtyl_engine.errors import ErrorClass, WorkflowException
from xtyl_engine.events import Event, EventKind
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.scheduler import node_changes, transitions
from xtyl_engine.scheduler.cascade import settle
from xtyl_engine.scheduler.clock_steps import STEP_SECONDS, bring_retries_forward
from xtyl_engine.scheduler.commit import Publish
from xtyl_engine.scheduler.isolation import ALONE
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.long_control import Steps, unfinished
from xtyl_engine.scheduler.mend_counts import mend_counts
from xtyl_engine.scheduler.rules import EndedJob
from xtyl_engine.scheduler.spending import pause_if_dry, settle_charge
from xtyl_engine.scheduler.startable import startable, waiting
from xtyl_engine.states import End, ExecutionState, JobState
from xtyl_engine.telemetry.log_lines import about_execution
from xtyl_engine.worker.losses import Loss, Losses
from xtyl_engine.worker.owners import Pulse, unknown
from xtyl_engine.worker.slots import Slots
from xtyl_engine.workflow.plan import Plan

log = logging.getLogger("xtyl")
MAX_LOST = 3
# So often if it was never certain whose death it was: a laptop that sleeps lets the leases of innocent jobs run out.
MOST_LOST = 10
MEND_SECONDS = 10.0
MEND = "Find what ends the process, such as too little memory or a crash in a library, then `run.retry()`."


def no_op(what: str) -> None:
    """Ignore the note; the default without a heartbeat file."""


def do_nothing() -> None:
    """Keep no lock and forget nothing; the default where the process has none."""


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
    silent_seconds: float = 60.0
    pulse: Callable[[str], Pulse] = unknown
    keep_lock: Callable[[], None] = do_nothing
    forget_ended: Callable[[], None] = do_nothing
    losses: Losses = field(init=False)
    _ended: threading.Event = field(default_factory=threading.Event)
    _ahead: float = math.inf
    _mend_at: float = 0.0
    _unfinished: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.losses = Losses(
            self.database,
            self.owner,
            self.slots.held,
            self.lease_seconds,
            self.beat_seconds,
            # A lease may be longer than the time in which silence usually counts.
            max(self.silent_seconds, self.lease_seconds),
            self.pulse,
        )

    def start(self) -> None:
        for name, work, seconds in (("beat", self.beat, self.beat_seconds), ("sweep", self.sweep, self.sweep_seconds)):
            threading.Thread(target=self._repeat, args=(work, seconds), name=f"xtyl-{name}", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def beat(self) -> None:
        """Renew the leases of the claims held here. A claim whose answer from the database was lost is not held, and runs out."""
        failpoint(Point.BEAT_BEFORE)
        self.keep_lock()
        held = list(self.slots.held())
        parameters = [
            {"job_id": claim.job_id, "number": claim.number, "owner": self.owner, "lease_seconds": self.lease_seconds}
            for claim in held
        ]
        if parameters:

            def renew(transaction: Transaction) -> int:
                renewed = transaction.many(transitions.BEAT, parameters)
                node_changes.beat(transaction, ((claim.execution_id, claim.node) for claim in held), self.beat_seconds)
                return renewed

            self.database.transact(renew, seconds=self.beat_seconds)
        failpoint(Point.BEAT_AFTER)

    def sweep(self) -> None:
        """One round: put back lost jobs, look for stopped executions, ask for slots for unclaimed jobs, mend counts at times."""
        self.put_back_lost()
        self._go_on_with_controls()
        self._note_stopped()
        self._mind_clock()
        self.slots.relieve()
        self._share_slots()
        if time.monotonic() > self._mend_at:
            mend_counts(self.database, self.load)
            self.forget_ended()
            self._mend_at = time.monotonic() + MEND_SECONDS

    def _share_slots(self) -> None:
        """Ask for the free slots. If there are none, the executions that have no slot here wait for the next."""
        free, rates = self.slots.free(), self.slots.recorder.rates
        with self.database.read() as transaction:
            if free:
                ready = startable(transaction, rates, self.load, free)
            else:
                ready = waiting(transaction, rates, self.load, self.slots.executions())
        self.slots.share(ready)

    def _mind_clock(self) -> None:
        """At the start, and whenever the database's clock was set back, bring forward what waits for a time written before."""
        with self.database.read() as transaction:
            (now,) = transaction.row(sql.CLOCK) or (0.0,)
        ahead = now - time.monotonic()
        if ahead < self._ahead - STEP_SECONDS and (count := self.database.transact(bring_retries_forward)):
            log.warning("the clock was set back: %d jobs that waited for a later time start now", count)
        self._ahead = ahead

    def put_back_lost(self) -> None:
        """Make lost jobs ready again; quarantine those lost too often."""
        found = self.losses.find()
        failpoint(Point.SWEEP_FOUND)
        for execution_id in sorted({loss.job.execution_id for loss in found}):
            try:
                self._put_back(execution_id, [loss for loss in found if loss.job.execution_id == execution_id])
            except Exception as error:
                if may_pass(error):
                    raise
                # One run whose plan cannot be read, for example, leaves the others their sweep.
                log.exception("the lost jobs of %s cannot be put back", execution_id)

    def _put_back(self, execution_id: str, found: list[Loss]) -> None:
        types: dict[str | None, str] = {}
        began = time.monotonic()

        def apply(transaction: Transaction) -> list[Event]:
            locked = LockedExecution(transaction, execution_id, self.load)
            types.update((node.id, node.type) for node in locked.plan.nodes.values())
            # Who held up this transaction for so long held up the beats of others as well: they come first.
            is_late = time.monotonic() - began > self.lease_seconds / 2
            ended = [job for loss in found if loss.is_certain or not is_late for job in _lose(locked, loss)]
            if ended:
                settle(locked, ended)
            pause_if_dry(locked)
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

    def _go_on_with_controls(self) -> None:
        """Go on with controls in steps whose processes have made none since the last round: these died, or sleep."""
        with self.database.read() as transaction:
            left = unfinished(transaction)
        for execution_id in [id for id, where in left.items() if self._unfinished.get(id) == where]:
            self.publish(Steps(self.database, self.load, execution_id).run(self.sweep_seconds))
        self._unfinished = left

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
        # The first time at once: jobs may have been lost with the process that was here before.
        is_over = False
        while not is_over:
            try:
                work()
                self.note(work.__name__)
            except WorkflowException as error:
                log.warning("%s: %s", threading.current_thread().name, error)
            except Exception:
                log.exception("%s failed and goes on", threading.current_thread().name)
            is_over = self._ended.wait(seconds)


def _lose(locked: LockedExecution, loss: Loss) -> list[EndedJob]:
    job, times = loss.job, loss.job.lost + loss.is_death
    words = f"its worker died or lost touch {times} times"
    (because,) = locked.transaction.row(sql.ATTEMPT_REASON, {"job_id": job.job_id, "number": job.number}) or ("",)
    is_proven = loss.is_certain and because == ALONE
    parameters = {
        "job_id": job.job_id,
        "number": job.number,
        "owner": loss.owner,
        "lease": job.lease,
        "deaths": int(loss.is_death),
        "now": locked.now,
        "reason": "lost",
        "outcome": "lost",
        "error_class": str(ErrorClass.PERMANENT),
        "error": f"quarantined: {words}{', the last time with no other job beside it' * is_proven}\n  {MEND}",
    }
    poisoned = loss.is_death and times >= (MAX_LOST if is_proven else MOST_LOST)
    if not locked.transaction.run(transitions.QUARANTINE if poisoned else transitions.LOSE, parameters):
        return []
    settle_charge(locked, job.job_id, job.number, None)
    locked.transaction.run(sql.END_ATTEMPT, parameters | {"error": loss.why})
    if not poisoned:
        locked.changes.move(job.node, JobState.RUNNING, JobState.READY)
        locked.note(EventKind.JOB_LOST, job.node, job.item, lost=times)
        return []
    locked.changes.fail(job.node, JobState.QUARANTINED, job.job_id)
    locked.failed += 1
    locked.note(EventKind.JOB_QUARANTINED, job.node, job.item, error=words)
    return [EndedJob(job.node, job.item, End.FAILURE)]
