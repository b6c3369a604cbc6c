"""A slot's work after a notification: claim, execute, record and claim the next job, until nothing is ready or the time slice is
used up. It also decides which execution is notified next. One `Slots` per worker process; the decisions about jobs are the
scheduler's.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from xtyl_engine.database.connection import may_pass
from xtyl_engine.errors import BackendError
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.scheduler.claim import Grant, Quick
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.isolation import AtWork
from xtyl_engine.scheduler.outcomes import Claim, Completed, Outcome, Released
from xtyl_engine.telemetry.log_lines import about_execution
from xtyl_engine.telemetry.samples import Meter
from xtyl_engine.values.recent import Recent
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.timer import Alarm

log = logging.getLogger("xtyl")
QUICK_SECONDS = 0.002
# For so long a slot goes on with claims that it has, until it records; later they are given back.
HANDFUL_SECONDS, LATE_SECONDS = 0.005, 0.5
# Each run brings functions of its own, and with them their paces.
REMEMBERED_PACES = 4096
FORGET_NOTIFICATION_SECONDS = 1.0
# A result that cannot be recorded is held and tried again: for an hour if the error may pass, for a minute if it may not.
HOLD_SECONDS = 3600.0
HOLD_ODD_SECONDS = 60.0
RECORD_AGAIN_SECONDS = 1.0

Notify = Callable[[str], None]


def discard(execution_id: str) -> None:
    """Forward nothing: there are no workers of another kind."""


def do_nothing() -> None:
    """Note no first claim: nothing asks whether this process has worked."""


def deal(lacking: Mapping[str, int], count: int, last: str) -> list[str]:
    """Up to `count` slots, dealt in turns to the executions that lack some; the first is the one that follows `last` by name."""
    names = sorted(lacking)
    first = bisect_right(names, last)
    order = names[first:] + names[:first]
    turns = sorted((turn, place) for place, id in enumerate(order) for turn in range(min(lacking[id], count)))
    return [order[place] for _, place in turns[: max(0, count)]]


@dataclass(eq=False)
class Handful:
    """Claims that a slot executes one after the other, and the outcomes that it has not recorded yet."""

    began: float
    left: deque[Claim]
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(eq=False)
class Slots:
    """The slots of one process, `count` of them. `notify` asks all workers of this kind for a slot for an execution,
    `forward` asks the workers that claim the other node types; `others` counts the free slots of sibling processes;
    `on_first_claim` is called before the first job begins."""

    recorder: Recorder
    executor: Executor
    notify: Notify
    count: int
    slice_seconds: float
    forward: Notify = discard
    others: Callable[[], int] = int
    on_first_claim: Callable[[], None] = do_nothing
    closing: bool = False
    meter: Meter = field(default_factory=Meter)
    _active: Counter[str] = field(default_factory=Counter)
    _notified: dict[str, list[float]] = field(default_factory=dict)
    # Executions that may start something and have no slot here, in the order of their turns.
    _waiting: dict[str, None] = field(default_factory=dict)
    _held: dict[tuple[int, int], Claim] = field(default_factory=dict)
    _handfuls: set[Handful] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _served: str = ""
    _has_claimed: bool = False
    _pace: Recent[str, float] = field(default_factory=lambda: Recent(REMEMBERED_PACES))
    _alarm: Alarm = field(init=False)

    def __post_init__(self) -> None:
        self._alarm = Alarm(self._wake)

    def advance(self, execution_id: str) -> int:
        """Work on one execution; returns how many jobs were done."""
        self.meter.notified("received")
        with self._lock:
            self._active[execution_id] += 1
            if self._notified.get(execution_id):
                self._notified[execution_id].pop()
        try:
            with about_execution(execution_id):
                return self._work(execution_id)
        finally:
            with self._lock:
                self._active[execution_id] -= 1
                if not self._active[execution_id]:
                    del self._active[execution_id]

    def free(self) -> int:
        """How many slots are idle."""
        with self._lock:
            return max(0, self.count - self._active.total())

    def executions(self) -> tuple[str, ...]:
        """The executions that slots work on now."""
        with self._lock:
            return tuple(self._active)

    def held(self) -> tuple[Claim, ...]:
        """The claims whose jobs are executed here, or whose outcomes are not recorded yet."""
        with self._lock:
            return tuple(self._held.values())

    def at_work(self) -> AtWork:
        """What is executed here, whatever the record says of it."""
        with self._lock:
            return AtWork(tuple(self._held), self.executor.left_behind())

    def release(self) -> int:
        """Record what is done and give back every other held claim, because this process ends; returns how many there were."""
        held = self.held()
        self.executor.prints.save_last()
        known = {outcome.claim.attempt: outcome for taken in self._take_back(math.inf) for outcome in taken}
        for claim in held:
            given_back = Released(claim=claim, because="released", may_have_started=True)
            try:
                self.recorder.record([known.get(claim.attempt, given_back)], claim.execution_id, 0)
            except Exception as error:
                # The process ends all the same: the lease runs out in its place.
                log.warning("the job %s %s could not be given back: %s", claim.node, claim.item, error)
        return len(held)

    def ask(self, execution_id: str, ready: int) -> None:
        """Send notifications for further slots: as many as are free and not asked for yet, `ready` at most."""
        self._deal({execution_id: ready})

    def share(self, ready: Mapping[str, int]) -> None:
        """Send notifications for further slots to executions in turns: as many as are free and not asked for yet, and for each at
        most as many as it has jobs ready. The execution after the last one served is the first next time. Those that get none
        and have none wait, and no others do."""
        dealt = self._deal(ready)
        with self._lock:
            lacking = {id: None for id in ready if id not in self._active and id not in dealt}
            self._waiting = {id: None for id in self._waiting if id in lacking} | lacking

    def _deal(self, ready: Mapping[str, int]) -> list[str]:
        with self._lock:
            now = time.monotonic()
            fresh = {
                id: [at for at in sent if now - at < FORGET_NOTIFICATION_SECONDS] for id, sent in self._notified.items()
            }
            self._notified = {id: sent for id, sent in fresh.items() if sent}
            idle = self.count + self.others() - self._active.total() - sum(map(len, self._notified.values()))
            lacking = {id: count - len(self._notified.get(id, ())) for id, count in ready.items()}
            dealt = deal(lacking, idle, self._served)
            for id in dealt:
                self._notified.setdefault(id, []).append(now)
                self._served = id
        for id in dealt:
            self._notify(id)
        return dealt

    def _notify(self, execution_id: str) -> None:
        self.notify(execution_id)
        self.meter.notified("sent")

    def _wake(self, execution_id: str) -> None:
        """Ask for a slot once a rate allows the next start, or wait for one; no slot is held until then."""
        if self.closing:
            return
        if self.free():
            self._notify(execution_id)
            return
        with self._lock:
            self._waiting[execution_id] = None

    def _pass_on(self, more: str | None = None) -> None:
        """Pass the slot on to the execution that has waited longest; the slot's own, if it has more to do, waits in its place.
        One notification follows one that was used up, so none pile up at the broker, however many wait."""
        with self._lock:
            following = None if self.closing else next(iter(self._waiting), None)
            if following is None:
                following = more
            else:
                del self._waiting[following]
                if more is not None:
                    self._waiting[more] = None
            # Until it is received the slot looks idle, and every claim beside it would ask for it once more.
            if following is not None:
                self._notified.setdefault(following, []).append(time.monotonic())
        if following is not None:
            self._notify(following)

    def _work(self, execution_id: str) -> int:
        deadline = time.monotonic() + self.slice_seconds
        outcomes: list[Outcome] = []
        left: tuple[Claim, ...] = ()
        done, is_quick = 0, None
        while True:
            grant = self._record(outcomes, execution_id, int(not self.closing and not left), is_quick)
            self._forward(grant, execution_id)
            claims = left or grant.claims
            if not claims:
                if grant.wait_seconds is not None:
                    self._alarm.set(execution_id, grant.wait_seconds)
                self._pass_on()
                return done
            # Python runs one thread at a time, so for quick jobs more slots would only compete for the interpreter. If one
            # turns out slow, the next sweep asks for more slots.
            are_quick = all(self._is_quick(claim.template_id, claim.node) for claim in claims)
            if grant.more and not are_quick:
                self.ask(execution_id, grant.more)
            is_quick = partial(self._is_quick_call, claims[0].template_id) if are_quick else None
            outcomes, left = self._execute_all(claims)
            done += len(outcomes)
            if self.closing:
                outcomes += [Released(claim=claim, because="released") for claim in left]
            if self.closing or (time.monotonic() > deadline and not left):
                self._forward(self._record(outcomes, execution_id, 0), execution_id)
                self._pass_on(execution_id)
                return done

    def _forward(self, grant: Grant, execution_id: str) -> None:
        if grant.elsewhere:
            self.forward(execution_id)

    def _record(self, outcomes: list[Outcome], execution_id: str, want: int, is_quick: Quick | None = None) -> Grant:
        """Record outcomes, and update the held claims: the sweeper renews the leases of these and no others."""
        granted: tuple[Claim, ...] = ()
        began = time.monotonic()
        try:
            grant = self._insist(outcomes, execution_id, want, is_quick)
            granted = grant.claims
            if outcomes:
                self.meter.recorded(execution_id, len(outcomes), time.monotonic() - began)
        finally:
            with self._lock:
                for outcome in outcomes:
                    self._held.pop(outcome.claim.attempt, None)
                self._held.update({claim.attempt: claim for claim in granted})
        if granted and not self._has_claimed:
            self.on_first_claim()
            self._has_claimed = True
        failpoint(Point.CLAIM_COMMITTED)
        return grant

    def _insist(self, outcomes: list[Outcome], execution_id: str, want: int, is_quick: Quick | None) -> Grant:
        """Commit, and keep trying while the database is away or its disk full: results are paid for. A database that refuses
        everything, and not only for the moment, is tried for a minute only: it blocks the slot."""
        began = time.monotonic()
        while True:
            try:
                return self.recorder.record(outcomes, execution_id, want, is_quick)
            except BackendError as error:
                patience = HOLD_SECONDS if may_pass(error) else HOLD_ODD_SECONDS
                if not outcomes or time.monotonic() > began + patience:
                    raise
                log.error("%d results are not recorded yet, trying again: %s", len(outcomes), error)
            time.sleep(RECORD_AGAIN_SECONDS)
            self.meter.held_up("database", RECORD_AGAIN_SECONDS)

    def _execute_all(self, claims: tuple[Claim, ...]) -> tuple[list[Outcome], tuple[Claim, ...]]:
        """Execute claims, while that is as quick as they are said to be; the outcomes, and the claims that are left."""
        try:
            return self._execute_handful(claims) if len(claims) > 1 else ([self._execute(claims[0])], ())
        except BaseException:
            # Their outcomes will never be recorded: stop renewing their leases, so that other workers take the jobs.
            with self._lock:
                for claim in claims:
                    self._held.pop(claim.attempt, None)
            raise

    def _execute_handful(self, claims: tuple[Claim, ...]) -> tuple[list[Outcome], tuple[Claim, ...]]:
        handful = Handful(time.monotonic(), deque(claims))
        with self._lock:
            self._handfuls.add(handful)
        try:
            while (claim := self._next(handful)) is not None:
                outcome = self._execute(claim)
                with self._lock:
                    handful.outcomes.append(outcome)
        finally:
            with self._lock:
                self._handfuls.discard(handful)
        return handful.outcomes, tuple(handful.left)

    def _next(self, handful: Handful) -> Claim | None:
        with self._lock:
            if not handful.left or (handful.outcomes and time.monotonic() > handful.began + HANDFUL_SECONDS):
                return None
            return handful.left.popleft()

    def relieve(self) -> None:
        """Where a job takes long that was said to be quick, record what its slot has done before, and give back what it has
        claimed besides."""
        for outcomes in self._take_back(time.monotonic() - LATE_SECONDS):
            self._record(outcomes, outcomes[0].claim.execution_id, 0)

    def _take_back(self, late: float) -> list[list[Outcome]]:
        """Of each handful begun before this time, what is done, not recorded, and what is not begun. Its slot gives them up."""
        found: list[list[Outcome]] = []
        with self._lock:
            for handful in [each for each in self._handfuls if each.began < late]:
                found.append(
                    [*handful.outcomes, *(Released(claim=claim, because="released") for claim in handful.left)]
                )
                handful.outcomes = []
                handful.left.clear()
        return [outcomes for outcomes in found if outcomes]

    def _execute(self, claim: Claim) -> Outcome:
        began = time.monotonic()
        outcome = self.executor.execute(claim)
        self.meter.ended(outcome, self.executor.type_of(claim), time.monotonic() - began)
        if not (isinstance(outcome, Completed) and outcome.cached):
            self._learn(claim, time.monotonic() - began)
        return outcome

    def _is_quick(self, template_id: str, node: str) -> bool:
        pace = self._pace.get(self.executor.pace_key(template_id, node))
        return pace is not None and pace < QUICK_SECONDS

    def _is_quick_call(self, template_id: str, node: str) -> bool:
        return self.executor.runs_apart(template_id, node) and self._is_quick(template_id, node)

    def _learn(self, claim: Claim, seconds: float) -> None:
        key = self.executor.pace_key(claim.template_id, claim.node)
        known = self._pace.get(key)
        self._pace.put(key, seconds if known is None else 0.8 * known + 0.2 * seconds)
