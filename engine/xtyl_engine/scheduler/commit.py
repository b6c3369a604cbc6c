"""The only writer of job outcomes and claims. Slots hand their outcomes in; the first to get the lock commits those of all slots
in one transaction and returns the next claims. A lone slot does not wait; busy slots commit in batches. It also checks a
claim's licence: whether its effect may still start.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from xtyl_engine.database.connection import Database, Transaction, may_pass
from xtyl_engine.errors import BackendError, ErrorClass, RunNotFound
from xtyl_engine.events import Event
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.machine import since_boot
from xtyl_engine.nodes.usage import plain_usage
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.apply_outcomes import accept, mine
from xtyl_engine.scheduler.claim import HANDFUL, OPEN_TO_CLAIMS, Claimant, Grant, Quick, claim_jobs, is_ready_elsewhere
from xtyl_engine.scheduler.isolation import AtWork, Isolation
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import LICENCE_SECONDS, Claim, Completed, Failed, Failure, Outcome, Waiting
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy, Permits
from xtyl_engine.scheduler.spending import free_short, hold, pause_if_dry
from xtyl_engine.values.error_text import describe_error
from xtyl_engine.workflow.plan import Plan

log = logging.getLogger("xtyl")
Publish = Callable[[Sequence[Event]], None]


@dataclass(slots=True, eq=False)
class _Request:
    outcomes: Sequence[Outcome]
    execution_id: str
    want: int
    is_quick: Quick | None = None
    grant: Grant | None = None
    error: BaseException | None = None


@dataclass(eq=False)
class Recorder:
    """Commits for one worker process. `owner` names the process in its leases; `at_work` tells what it executes."""

    database: Database
    owner: str
    lease_seconds: float
    publish: Publish
    load: Callable[[Transaction, str], Plan]
    rates: ClaimPolicy = field(default_factory=ClaimPolicy)
    isolation: Isolation = field(default_factory=Isolation)
    beat_seconds: float = 3.0
    at_work: Callable[[], AtWork] = AtWork
    _queue: deque[_Request] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, outcomes: Sequence[Outcome], execution_id: str, want: int, is_quick: Quick | None = None) -> Grant:
        """Commit outcomes and claim up to `want` ready jobs of the execution; several more where `is_quick` says of their nodes
        that each job is over almost at once. Raises BackendError when the database
        cannot be reached for a long while; the outcomes may be handed in again."""
        request = _Request(outcomes, execution_id, want, is_quick)
        self._queue.append(request)
        with self._lock:
            if request.grant is None and request.error is None:
                self._commit([self._queue.popleft() for _ in range(len(self._queue))])
        if request.error is not None:
            raise request.error
        return request.grant or Grant()

    def may_start(self, claim: Claim) -> bool:
        """Whether a claim's effect may start now. A claim is a licence for `LICENCE_SECONDS` only, sleep of the machine included,
        so that a pause or stop knows when the last effect has started. Later it is renewed, if the execution still goes on and
        the job is still ours."""
        asked = claim.asked
        while since_boot() - asked > LICENCE_SECONDS:
            asked = since_boot()
            if not self.database.transact(lambda transaction: self._renew(transaction, claim)):
                return False
        return True

    def hold(self, claim: Claim, most: int) -> bool | None:
        """Hold the most money that an attempt may cost, before it starts; False where its execution has less left, None where the
        claim counts no more."""

        def work(transaction: Transaction) -> bool | None:
            locked = LockedExecution(transaction, claim.execution_id, self.load)
            if locked.state not in OPEN_TO_CLAIMS or not transaction.run(transitions.RENEW, mine(locked, claim)):
                return None
            is_held = hold(locked, claim, most)
            locked.save_budget()
            return is_held

        return self.database.transact(work)

    def _renew(self, transaction: Transaction, claim: Claim) -> bool:
        locked = LockedExecution(transaction, claim.execution_id, self.load)
        return locked.state in OPEN_TO_CLAIMS and bool(transaction.run(transitions.RENEW, mine(locked, claim)))

    def _commit(self, requests: list[_Request]) -> None:
        try:
            grants, events = self._written(requests, alone=False)
        except Exception as error:
            if may_pass(error):
                for request in requests:
                    request.error = error
                return
            # What one request causes fails that request, and no other's results.
            for request in requests:
                self._commit_apart(request)
        except BaseException as error:
            for request in requests:
                request.error = error
            raise
        else:
            self._deliver(requests, grants, events)

    def _commit_apart(self, request: _Request) -> None:
        try:
            elsewhere = [self._commit_outcome(outcome) for outcome in request.outcomes]
            grant, events = self._claimed(request)
        except Exception as error:
            request.error = error
        else:
            self._deliver([request], [replace(grant, elsewhere=any(elsewhere))], events)

    def _claimed(self, request: _Request) -> tuple[Grant, list[Event]]:
        try:
            (grant,), events = self._written([_Request([], request.execution_id, request.want)], alone=True)
        except Exception as error:
            if may_pass(error) or not request.outcomes:
                raise
            # The outcomes are recorded, and are not to be handed in again because nothing more can be claimed.
            log.error("no job of %s can be claimed: %s", request.execution_id, error)
            return Grant(), []
        return grant, events

    def _commit_outcome(self, outcome: Outcome) -> bool:
        """Commit one outcome by itself; returns whether other workers should be notified."""
        try:
            return self._commit_alone(outcome)
        except RunNotFound as error:
            log.warning("what became of a job is dropped, for its run was deleted: %s", error)
            return False
        except Exception as error:
            if may_pass(error):
                raise
            return self._give_up(outcome, error)

    def _give_up(self, outcome: Outcome, error: Exception) -> bool:
        """Fail the job of an outcome that can never be recorded, and say why. Where what follows from that failure cannot be
        recorded either, pause the run: without an end the job would be started, and paid for, again and again."""
        log.error("%s at %s: its outcome cannot be recorded: %s", outcome.claim.node, outcome.claim.item, error)
        for error_class in (ErrorClass.PERMANENT, ErrorClass.PARTIAL):
            try:
                return self._commit_alone(unrecorded(outcome, error, error_class))
            except Exception as again:
                if may_pass(again):
                    raise
        raise error

    def _commit_alone(self, outcome: Outcome) -> bool:
        (grant,), events = self._written([_Request([outcome], outcome.claim.execution_id, 0)], alone=True)
        self.publish(events)
        return grant.elsewhere

    def _written(self, requests: list[_Request], *, alone: bool) -> tuple[list[Grant], list[Event]]:
        ids = sorted(
            {outcome.claim.execution_id for r in requests for outcome in r.outcomes}
            | {r.execution_id for r in requests}
        )
        grants, events, isolation = self.database.transact(
            lambda transaction: self._apply(transaction, ids, requests, alone)
        )
        self.isolation = isolation
        return grants, events

    def _deliver(self, requests: list[_Request], grants: list[Grant], events: list[Event]) -> None:
        for request, grant in zip(requests, grants, strict=True):
            request.grant = grant
        failpoint(Point.OUTCOME_COMMITTED)
        self.publish(events)

    def _apply(
        self, transaction: Transaction, ids: list[str], requests: list[_Request], alone: bool
    ) -> tuple[list[Grant], list[Event], Isolation]:
        claimant = Claimant(
            owner=self.owner,
            lease_seconds=self.lease_seconds,
            beat_seconds=self.beat_seconds,
            asked=since_boot(),
            isolation=Isolation(**vars(self.isolation)),
            at_work=lambda: self._at_work_besides(requests),
        )
        executions = {id: LockedExecution(transaction, id, self.load) for id in ids}
        outcomes = {id: [o for r in requests for o in r.outcomes if o.claim.execution_id == id] for id in ids}
        # Only the commit that makes the first such job ready notifies the other workers; they find the rest themselves.
        quiet = [id for id in ids if outcomes[id] and not is_ready_elsewhere(executions[id], self.rates.route)]
        won = {id: accept(locked, outcomes[id], alone) for id, locked in executions.items()}
        for locked in executions.values():
            free_short(locked)
        failpoint(Point.OUTCOME_WRITTEN)
        asking = {request.execution_id for request in requests if request.want}
        permits = Permits(
            transaction,
            self.rates,
            min(locked.now for locked in executions.values()),
            [executions[id] for id in sorted(asking)],
            [(executions[id], outcome) for id in ids for outcome in won[id]],
        )
        grants = self._grant(executions, requests, permits, claimant)
        for id in quiet:
            if is_ready_elsewhere(executions[id], self.rates.route):
                first = next(place for place, request in enumerate(requests) if request.execution_id == id)
                grants[first] = replace(grants[first], elsewhere=True)
        permits.save()
        for locked in executions.values():
            pause_if_dry(locked)
            if locked.events or locked.changes:
                locked.save()
        return grants, [event for locked in executions.values() for event in locked.events], claimant.isolation

    def _at_work_besides(self, requests: list[_Request]) -> AtWork:
        """What this process executes when these requests have handed in their outcomes."""
        attempts, left_behind = self.at_work()
        return AtWork(set(attempts) - {o.claim.attempt for r in requests for o in r.outcomes}, left_behind)

    def _grant(
        self, executions: dict[str, LockedExecution], requests: list[_Request], permits: Permits, claimant: Claimant
    ) -> list[Grant]:
        grants = [Grant() for _ in requests]
        for id, locked in executions.items():
            asking = [place for place, r in enumerate(requests) if r.execution_id == id and r.want]
            if not asking:
                continue
            want = sum(requests[place].want for place in asking)
            # Where one slot asks alone: together slots share a commit anyway.
            (first, *others) = (requests[place] for place in asking)
            spare = 0 if others else HANDFUL - 1
            grant = claim_jobs(locked, permits.gate(id), want, claimant, spare, first.is_quick)
            failpoint(Point.CLAIM_WRITTEN)
            queue = deque(grant.claims)
            for place in asking:
                granted = tuple(queue.popleft() for _ in range(min(requests[place].want + spare, len(queue))))
                grants[place] = Grant(granted, grant.more, grant.wait_seconds)
        return grants


def unrecorded(outcome: Outcome, error: Exception, error_class: ErrorClass) -> Failed:
    """The failure of a job whose outcome no database takes."""
    what = "result" if isinstance(outcome, Completed | Waiting) else "error"
    described = describe_error(error)
    # The hint of a database's error is for one that is away, and this one is not.
    why = error.message if isinstance(error, BackendError) else f"{described.type}: {described.message}"
    message = f"its {what} could not be recorded and is lost: {why}"
    hint = "Change what the step returns, or report this; then `run.retry()` runs it again."
    failure = Failure(error_class=error_class, message=f"{message}\n  {hint}", traceback=described.traceback)
    # What its result used was paid for. It may be what no database takes.
    return Failed(claim=outcome.claim, failure=failure, usage=plain_usage(outcome.usage), printed=outcome.printed)
