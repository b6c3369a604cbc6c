"""The only writer of job outcomes and claims. Slots hand their outcomes in; whoever gets the lock first commits
everybody's in one transaction and hands back the next claims: alone it adds no waiting, busy it commits in batches.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from xtyl_engine import moves
from xtyl_engine import statements as sql
from xtyl_engine.database import Database, Transaction
from xtyl_engine.errors import ErrorClass
from xtyl_engine.events import Event, EventKind
from xtyl_engine.ledger import Ledger
from xtyl_engine.outcomes import (
    LICENCE_SECONDS,
    Claim,
    Completed,
    Failed,
    Failure,
    Outcome,
    Released,
    Retrying,
    Waiting,
)
from xtyl_engine.permits import READY_OPEN, READY_SHUT, Gate, Rates, settle_permits
from xtyl_engine.plan import Plan
from xtyl_engine.points import Point, reach
from xtyl_engine.schedule import End, Over
from xtyl_engine.states import ExecutionState

Publish = Callable[[Sequence[Event]], None]
PEEK = 16
OPEN_TO_CLAIMS = (ExecutionState.PENDING, ExecutionState.RUNNING)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a slot gets back: its next claims, how many more jobs were ready (counted up to a few), and, if there are ready jobs
    which no rate allows to start now, in how many seconds one may."""

    claims: tuple[Claim, ...] = ()
    more: int = 0
    wait_seconds: float | None = None


@dataclass(slots=True, eq=False)
class _Request:
    outcomes: Sequence[Outcome]
    execution_id: str
    want: int
    grant: Grant | None = None
    error: BaseException | None = None


class _Raced(Exception):
    """An outcome in a batch lost a race; each must be looked at alone."""


@dataclass(eq=False)
class Recorder:
    """One per worker process. `owner` names the process in the leases it holds."""

    database: Database
    owner: str
    lease_seconds: float
    publish: Publish
    load: Callable[[Transaction, str], Plan]
    rates: Rates = field(default_factory=Rates)
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
        """Whether a claim's effect may start now. A claim is a licence for a moment only, so that whoever pauses or stops knows
        when the last effect has started; later it is renewed, if the execution still goes on and the job is still ours."""
        asked = claim.asked
        while time.monotonic() - asked > LICENCE_SECONDS:
            asked = time.monotonic()
            if not self.database.transact(lambda transaction: self._renew(transaction, claim)):
                return False
        return True

    def _renew(self, transaction: Transaction, claim: Claim) -> bool:
        ledger = Ledger(transaction, claim.execution_id, self.load)
        return ledger.state in OPEN_TO_CLAIMS and bool(transaction.run(moves.RENEW, _mine(ledger, claim)))

    def _commit(self, requests: list[_Request]) -> None:
        try:
            self._commit_together(requests)
        except _Raced:
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
        try:
            for outcome in request.outcomes:
                alone = _Request([outcome], outcome.claim.execution_id, 0)
                ids = [alone.execution_id]
                _, events = self.database.transact(lambda t, ids=ids, one=alone: self._apply(t, ids, [one], True))  # type: ignore[misc]
                self.publish(events)
            ask = _Request([], request.execution_id, request.want)
            grants, events = self.database.transact(lambda t: self._apply(t, [ask.execution_id], [ask], True))
            self._deliver([request], grants, events)
        except Exception as error:
            request.error = error

    def _deliver(self, requests: list[_Request], grants: list[Grant], events: list[Event]) -> None:
        for request, grant in zip(requests, grants, strict=True):
            request.grant = grant
        reach(Point.OUTCOME_COMMITTED)
        self.publish(events)

    def _apply(
        self, transaction: Transaction, ids: list[str], requests: list[_Request], alone: bool
    ) -> tuple[list[Grant], list[Event]]:
        asked = time.monotonic()
        ledgers = {id: Ledger(transaction, id, self.load) for id in ids}
        for id, ledger in ledgers.items():
            outcomes = [o for request in requests for o in request.outcomes if o.claim.execution_id == id]
            write_outcomes(ledger, outcomes, alone)
            settle_permits(ledger, outcomes, self.rates)
        reach(Point.OUTCOME_WRITTEN)
        grants = self._grant(ledgers, requests, asked)
        for ledger in ledgers.values():
            if ledger.events:
                ledger.save()
        return grants, [event for ledger in ledgers.values() for event in ledger.events]

    def _grant(self, ledgers: dict[str, Ledger], requests: list[_Request], asked: float) -> list[Grant]:
        grants = [Grant() for _ in requests]
        for id, ledger in ledgers.items():
            asking = [place for place, r in enumerate(requests) if r.execution_id == id and r.want]
            if not asking:
                continue
            want = sum(requests[p].want for p in asking)
            grant = self._claim(ledger, want, asked)
            reach(Point.CLAIM_WRITTEN)
            queue = deque(grant.claims)
            for place in asking:
                mine = tuple(queue.popleft() for _ in range(min(requests[place].want, len(queue))))
                grants[place] = Grant(mine, grant.more, grant.wait_seconds)
        return grants

    def _claim(self, ledger: Ledger, want: int, asked: float) -> Grant:
        """Take up to `want` ready jobs."""
        room = _room(ledger, want)
        if room <= 0:
            return Grant()
        gate = Gate(ledger, self.rates)
        asked_for = {"execution_id": ledger.id, "now": ledger.now, "limit": room, "shut": gate.shut()}
        found = ledger.transaction.rows(READY_OPEN if asked_for["shut"] else sql.READY, asked_for)
        taken = _admitted(_without_crowds(ledger, found, self.owner), gate, want)
        if taken:
            ledger.move("start")
            _write_claims(ledger, taken, self.owner, self.lease_seconds)
            gate.save()
        wait = None
        if not taken and (shut := gate.shut()) and ledger.transaction.row(READY_SHUT, asked_for | {"shut": shut}):
            wait = gate.seconds()
        return Grant(_claims(ledger, taken, self.owner, asked), len(found) - len(taken), wait)


def _room(ledger: Ledger, want: int) -> int:
    """How many ready jobs to look at: a few more than wanted, so that it is known whether to ask for other slots."""
    if ledger.state not in OPEN_TO_CLAIMS:
        return 0
    if ledger.max_parallel is None:
        return PEEK + want
    running = ledger.transaction.row(sql.COUNT_RUNNING, {"execution_id": ledger.id})
    return ledger.max_parallel - (running[0] if running else 0)


def _admitted(found: list[tuple[Any, ...]], gate: Gate, want: int) -> list[tuple[Any, ...]]:
    """The first jobs that have a permit. One whose result is there already, kept after a stop, needs none."""
    taken: list[tuple[Any, ...]] = []
    for row in found:
        _, node, _, _, _, _, output, _ = row
        if len(taken) < want and (output is not None or gate.admit(node)):
            taken.append(row)
    return taken


def _claims(ledger: Ledger, taken: list[tuple[Any, ...]], owner: str, asked: float) -> tuple[Claim, ...]:
    return tuple(
        Claim(
            job_id=id,
            execution_id=ledger.id,
            node=node,
            item=item,
            number=attempt + 1,
            tries=tries + 1,
            epoch=ledger.epoch,
            template_id=ledger.template_id,
            owner=owner,
            asked=asked,
            late_output=output,
        )
        for id, node, item, attempt, tries, _, output, _ in taken
    )


def _without_crowds(ledger: Ledger, found: list[tuple[Any, ...]], owner: str) -> list[tuple[Any, ...]]:
    """A job whose worker died twice may be what killed it. In one process such jobs start one at a time: the next death then
    tells which it was, and no other is lost as often as the one to blame. After one death all start again at once."""
    suspects = [row for row in found if row[-1] >= sql.SUSPECT_LOST]
    if not suspects:
        return found
    is_taken = ledger.transaction.row(sql.SUSPECT_RUNNING, {"owner": owner}) is not None
    return [row for row in found if row[-1] < sql.SUSPECT_LOST or (row is suspects[0] and not is_taken)]


def _write_claims(ledger: Ledger, taken: list[tuple[Any, ...]], owner: str, lease_seconds: float) -> None:
    lease = ledger.now + lease_seconds
    rows = [
        {"job_id": id, "number": attempt + 1, "because": because, "owner": owner, "lease": lease, "started": ledger.now}
        for id, _, _, attempt, _, because, *_ in taken
    ]
    ledger.transaction.many(moves.CLAIM, rows)
    ledger.transaction.many(sql.ADD_ATTEMPT, [{k: v for k, v in row.items() if k != "lease"} for row in rows])
    for _, node, item, attempt, _, because, *_ in taken:
        ledger.note(EventKind.JOB_STARTED, node, item, attempt=attempt + 1, because=because)


def write_outcomes(ledger: Ledger, outcomes: Iterable[Outcome], alone: bool) -> None:
    """Record what became of claims. In a batch, a lost race raises; alone, it is recorded for what it is."""
    outcomes = list(outcomes)
    completed = [outcome for outcome in outcomes if isinstance(outcome, Completed)]
    if not alone and len({each.claim.node for each in completed if each.items is not None}) > 1:
        # Jobs born of one list may wait for jobs born of another: each birth must find the other open, or written.
        raise _Raced
    overs = _complete(ledger, completed, alone) if completed else []
    for outcome in outcomes:
        match outcome:
            case Failed() if outcome.failure.error_class is ErrorClass.PARTIAL:
                _pause(ledger, outcome)
            case Failed():
                overs += _fail(ledger, outcome)
            case Retrying():
                _retry(ledger, outcome)
            case Waiting():
                _wait(ledger, outcome)
            case Released():
                _release(ledger, outcome)
            case Completed():
                pass
    if overs:
        ledger.settle(overs)


def _complete(ledger: Ledger, outcomes: list[Completed], alone: bool) -> list[Over]:
    """Success is fenced on the epoch and not on the owner: the first commit wins."""
    current = [outcome for outcome in outcomes if outcome.claim.epoch == ledger.epoch]
    won = ledger.transaction.many(moves.COMPLETE, [_completed_row(ledger, outcome) for outcome in current])
    if len(current) != len(outcomes) or won != len(current):
        if not alone:
            raise _Raced
        _keep_late(ledger, outcomes[0])
        return []
    _end_attempts(ledger, [outcome.claim for outcome in outcomes], "completed")
    for outcome in outcomes:
        cached = {"cached": True} if outcome.cached else {}
        ledger.note(EventKind.JOB_COMPLETED, outcome.claim.node, outcome.claim.item, **cached)
    return [Over(o.claim.node, o.claim.item, End.LIVE, o.branch, o.items) for o in outcomes]


def _keep_late(ledger: Ledger, outcome: Completed) -> None:
    """The job was over before this result came: stopped, or completed by another worker, or by this very commit
    whose answer was lost. The result of a stopped job is kept and fires nothing."""
    attempt = {"job_id": outcome.claim.job_id, "number": outcome.claim.number}
    found = ledger.transaction.row(sql.ATTEMPT_OUTCOME, attempt)
    if found is not None and found[0] == "completed":
        return
    kept = ledger.transaction.run(moves.KEEP_LATE, _completed_row(ledger, outcome))
    _end_attempts(ledger, [outcome.claim], "late" if kept else "duplicate")
    ledger.note(EventKind.JOB_LATE, outcome.claim.node, outcome.claim.item, kept=bool(kept))


def _fail(ledger: Ledger, outcome: Failed) -> list[Over]:
    claim = outcome.claim
    if not ledger.transaction.run(moves.FAIL, _mine(ledger, outcome.claim, outcome.failure)):
        return []
    _end_attempts(ledger, [claim], "failed", outcome.failure)
    ledger.failed += 1
    ledger.note(EventKind.JOB_FAILED, claim.node, claim.item, error=outcome.failure.message[:500])
    return [Over(claim.node, claim.item, End.FAILURE)]


def _pause(ledger: Ledger, outcome: Failed) -> None:
    """A partial failure waits for a person: the job is ready again, and the execution paused."""
    given = {"due": 0.0, "reason": "resumed", "tries": outcome.claim.tries}
    parameters = _mine(ledger, outcome.claim, outcome.failure) | given
    if not ledger.transaction.run(moves.RETRY, parameters):
        return
    _end_attempts(ledger, [outcome.claim], "partial", outcome.failure)
    ledger.move("start")
    if ledger.move("pause"):
        ledger.error = outcome.failure.message
        ledger.note(EventKind.PAUSED, outcome.claim.node, outcome.claim.item, error=outcome.failure.message[:500])


def _retry(ledger: Ledger, outcome: Retrying) -> None:
    claim = outcome.claim
    due = ledger.now + outcome.delay_seconds
    tries = claim.tries - bool(outcome.hold_seconds)
    parameters = _mine(ledger, claim, outcome.failure) | {"due": due, "reason": "retry", "tries": tries}
    if ledger.transaction.run(moves.RETRY, parameters):
        _end_attempts(ledger, [claim], "retrying", outcome.failure)
        error = outcome.failure.message[:500]
        ledger.note(
            EventKind.JOB_RETRYING, claim.node, claim.item, error=error, seconds=round(outcome.delay_seconds, 3)
        )


def _release(ledger: Ledger, outcome: Released) -> None:
    claim = outcome.claim
    parameters = _mine(ledger, claim) | {"due": ledger.now + outcome.delay_seconds, "reason": outcome.because}
    if ledger.transaction.run(moves.RELEASE, parameters):
        _end_attempts(ledger, [claim], "released")
        ledger.note(EventKind.JOB_RELEASED, claim.node, claim.item, because=outcome.because)


def _wait(ledger: Ledger, outcome: Waiting) -> None:
    parameters = _mine(ledger, outcome.claim) | {"output": outcome.output}
    if ledger.transaction.run(moves.WAIT, parameters):
        _end_attempts(ledger, [outcome.claim], "waiting")
        ledger.note(EventKind.JOB_WAITING, outcome.claim.node, outcome.claim.item)


def _mine(ledger: Ledger, claim: Claim, failure: Failure | None = None) -> dict[str, Any]:
    """Failure is fenced on the owner and the attempt: a zombie's error must not fail the new attempt."""
    return {
        "job_id": claim.job_id,
        "number": claim.number,
        "owner": claim.owner,
        "now": ledger.now,
        "error_class": None if failure is None else str(failure.error_class),
        "error": None if failure is None else failure.message,
        "traceback": None if failure is None else failure.traceback,
    }


def _end_attempts(ledger: Ledger, claims: list[Claim], outcome: str, failure: Failure | None = None) -> None:
    rows = [_mine(ledger, claim, failure) | {"outcome": outcome} for claim in claims]
    ledger.transaction.many(sql.END_ATTEMPT, rows)


def _completed_row(ledger: Ledger, outcome: Completed) -> dict[str, Any]:
    usage = outcome.usage
    return {
        "job_id": outcome.claim.job_id,
        "output": outcome.output,
        "branch": outcome.branch,
        "cache_key": outcome.cache_key,
        "cached": int(outcome.cached),
        "provider": usage.provider if usage else None,
        "model": usage.model if usage else None,
        "tokens": usage.tokens if usage else None,
        "cost": usage.cost if usage else None,
        "now": ledger.now,
    }
