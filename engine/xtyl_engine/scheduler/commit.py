"""The only writer of job outcomes and claims. Slots hand their outcomes in; the first to get the lock commits those of all slots
in one transaction and returns the next claims. A lone slot does not wait; busy slots commit in batches. It also checks a
claim's licence: whether its effect may still start.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.errors import RunNotFound
from xtyl_engine.events import Event
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.machine import since_boot
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.apply_outcomes import Raced, accept, mine
from xtyl_engine.scheduler.claim import OPEN_TO_CLAIMS, Claimant, Grant, claim_jobs, is_ready_elsewhere
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import LICENCE_SECONDS, Claim, Outcome
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy, Permits
from xtyl_engine.workflow.plan import Plan

Publish = Callable[[Sequence[Event]], None]


@dataclass(slots=True, eq=False)
class _Request:
    outcomes: Sequence[Outcome]
    execution_id: str
    want: int
    grant: Grant | None = None
    error: BaseException | None = None


@dataclass(eq=False)
class Recorder:
    """Commits for one worker process. `owner` names the process in its leases."""

    database: Database
    owner: str
    lease_seconds: float
    publish: Publish
    load: Callable[[Transaction, str], Plan]
    rates: ClaimPolicy = field(default_factory=ClaimPolicy)
    _queue: deque[_Request] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, outcomes: Sequence[Outcome], execution_id: str, want: int) -> Grant:
        """Commit outcomes and claim up to `want` ready jobs of the execution. Raises BackendError when the database
        cannot be reached for a long while; the outcomes may be handed in again."""
        request = _Request(outcomes, execution_id, want)
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

    def _renew(self, transaction: Transaction, claim: Claim) -> bool:
        locked = LockedExecution(transaction, claim.execution_id, self.load)
        return locked.state in OPEN_TO_CLAIMS and bool(transaction.run(transitions.RENEW, mine(locked, claim)))

    def _commit(self, requests: list[_Request]) -> None:
        try:
            self._commit_together(requests)
        except (Raced, RunNotFound):
            # A notification may name a run that does not exist: that fails its own request, and no other result.
            for request in requests:
                self._commit_apart(request)
        except BaseException as error:
            for request in requests:
                request.error = error
            if not isinstance(error, Exception):
                raise

    def _commit_together(self, requests: list[_Request]) -> None:
        ids = sorted(
            {outcome.claim.execution_id for r in requests for outcome in r.outcomes}
            | {r.execution_id for r in requests}
        )
        grants, events = self.database.transact(lambda transaction: self._apply(transaction, ids, requests, False))
        self._deliver(requests, grants, events)

    def _commit_apart(self, request: _Request) -> None:
        elsewhere = False
        try:
            for outcome in request.outcomes:
                alone = _Request([outcome], outcome.claim.execution_id, 0)
                ids = [alone.execution_id]
                done, events = self.database.transact(lambda t, ids=ids, one=alone: self._apply(t, ids, [one], True))  # type: ignore[misc]
                elsewhere |= done[0].elsewhere
                self.publish(events)
            ask = _Request([], request.execution_id, request.want)
            grants, events = self.database.transact(lambda t: self._apply(t, [ask.execution_id], [ask], True))
            self._deliver([request], [replace(grant, elsewhere=elsewhere) for grant in grants], events)
        except Exception as error:
            request.error = error

    def _deliver(self, requests: list[_Request], grants: list[Grant], events: list[Event]) -> None:
        for request, grant in zip(requests, grants, strict=True):
            request.grant = grant
        failpoint(Point.OUTCOME_COMMITTED)
        self.publish(events)

    def _apply(
        self, transaction: Transaction, ids: list[str], requests: list[_Request], alone: bool
    ) -> tuple[list[Grant], list[Event]]:
        claimant = Claimant(owner=self.owner, lease_seconds=self.lease_seconds, asked=since_boot())
        executions = {id: LockedExecution(transaction, id, self.load) for id in ids}
        outcomes = {id: [o for r in requests for o in r.outcomes if o.claim.execution_id == id] for id in ids}
        # Only the commit that makes the first such job ready notifies the other workers; they find the rest themselves.
        quiet = [id for id in ids if outcomes[id] and not is_ready_elsewhere(executions[id], self.rates.route)]
        won = {id: accept(locked, outcomes[id], alone) for id, locked in executions.items()}
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
            if locked.events:
                locked.save()
        return grants, [event for locked in executions.values() for event in locked.events]

    def _grant(
        self, executions: dict[str, LockedExecution], requests: list[_Request], permits: Permits, claimant: Claimant
    ) -> list[Grant]:
        grants = [Grant() for _ in requests]
        for id, locked in executions.items():
            asking = [place for place, r in enumerate(requests) if r.execution_id == id and r.want]
            if not asking:
                continue
            want = sum(requests[place].want for place in asking)
            grant = claim_jobs(locked, permits.gate(id), want, claimant)
            failpoint(Point.CLAIM_WRITTEN)
            queue = deque(grant.claims)
            for place in asking:
                granted = tuple(queue.popleft() for _ in range(min(requests[place].want, len(queue))))
                grants[place] = Grant(granted, grant.more, grant.wait_seconds)
        return grants
