"""Any sequence of claims, results, deaths and controls, by several workers with connections of their own, on SQLite and
PostgreSQL: after each step what SQL says is what the rules say.
"""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from engine_driver import Driver, completed, failed, retrying, waiting
from machine_oracle import PARENTS, Oracle
from plans import plan_of
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import ControlRefused, DecisionRefused, ErrorClass
from xtyl_engine.scheduler.outcomes import Claim, Outcome, Released
from xtyl_engine.settings import load_settings
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.owners import Pulse
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import Sweeper

ROWS = 2
OWNERS = 3
PLAN = plan_of(
    {node: {"type": "review"} if node == "look" else {} for node in PARENTS},
    [(parent, node) for node, parents in PARENTS.items() for parent in parents],
)
numbers = itertools.count()
workers = st.integers(0, OWNERS - 1)
draws = st.integers(0, 99)


class Machine(RuleBasedStateMachine):
    """One execution; `claims` are all that were ever given out, for a dead worker's claim may speak at any time."""

    def __init__(self, drivers: list[Driver]):
        super().__init__()
        self.drivers = drivers
        self.claims: list[Claim] = []

    @initialize()
    def submit(self) -> None:
        self.id = self.drivers[0].submit(PLAN, ROWS)
        self.oracle = Oracle(ROWS)
        run = next(numbers)
        for place, driver in enumerate(self.drivers):
            driver.recorder.owner = f"worker-{run}-{place}"
        self.order = [(job.node, job.item) for job in sorted(self.drivers[0].queries.jobs(self.id), key=lambda j: j.id)]

    @rule(worker=workers)
    def claim(self, worker: int) -> None:
        driver = self.drivers[worker]
        owner = driver.recorder.owner
        wanted = self.oracle.claimable(owner, self.order)
        found = driver.claim(self.id)
        assert [(claim.node, claim.item) for claim in found] == ([wanted] if wanted else [])
        if wanted:
            self.oracle.claim(wanted, owner)
            (claim,) = found
            assert (claim.number, claim.epoch) == (len(self.oracle.jobs[wanted].attempts), self.oracle.epoch)
            assert (claim.late_output is not None) == self.oracle.jobs[wanted].kept
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(draw=draws, worker=workers)
    def complete(self, draw: int, worker: int) -> None:
        """Mostly the newest claims, now and then one that is long out of date."""
        claim = self._drawn(draw)
        if claim.node != "look" or claim.late_output is not None:
            self._record(worker, completed(claim))
            self.oracle.complete((claim.node, claim.item), claim.number)

    @precondition(lambda self: self.claims)
    @rule(draw=draws, worker=workers)
    def show(self, draw: int, worker: int) -> None:
        claim = self._drawn(draw)
        if claim.node == "look":
            self._record(worker, waiting(claim))
            self.oracle.end((claim.node, claim.item), claim.number, "waiting", "waiting")

    @precondition(lambda self: self.claims)
    @rule(draw=draws, worker=workers, kind=st.sampled_from(["failed", "retrying", "released", "partial"]))
    def break_off(self, draw: int, worker: int, kind: str) -> None:
        claim = self._drawn(draw)
        outcomes: dict[str, tuple[Outcome, str, str | None]] = {
            "failed": (failed(claim), "failed", None),
            "retrying": (retrying(claim), "ready", "retry"),
            "released": (Released(claim=claim, because="released"), "ready", "released"),
            "partial": (failed(claim, ErrorClass.PARTIAL), "ready", "resumed"),
        }
        outcome, state, because = outcomes[kind]
        self._record(worker, outcome)
        self.oracle.end((claim.node, claim.item), claim.number, state, kind, because)

    @rule(worker=workers, other=workers)
    def die(self, worker: int, other: int) -> None:
        """A worker dies, and another's sweep finds what it held."""
        owner = self.drivers[worker].recorder.owner
        sweeper(self.drivers[other], owner).put_back_lost()
        self.oracle.lose(owner)

    @rule(row=st.integers(0, ROWS - 1), worker=workers, reject=st.booleans())
    def decide(self, row: int, worker: int, reject: bool) -> None:
        key = ("look", str(row))
        controls = self.drivers[worker].controls
        is_allowed = self.oracle.may_decide(key)
        try:
            if reject:
                controls.reject(self.id, *key, reason="no")
            else:
                controls.approve(self.id, *key, choose=[0])
        except DecisionRefused:
            assert not is_allowed
            return
        assert is_allowed
        self.oracle.decide(key, reject=reject)

    @rule(worker=workers, name=st.sampled_from(["pause", "resume", "stop", "retry"]))
    def control(self, worker: int, name: str) -> None:
        self._let_licences_run_out()
        is_allowed = getattr(self.oracle, name)()
        try:
            getattr(self.drivers[worker].controls, name)(self.id)
        except ControlRefused:
            assert not is_allowed
            return
        assert is_allowed

    @invariant()
    def sql_says_what_the_rules_say(self) -> None:
        driver = self.drivers[0]
        found = driver.queries.execution(self.id)
        oracle = self.oracle
        assert (found.state, found.done, found.failed, found.total) == (
            oracle.state, oracle.done, oracle.failed, len(oracle.jobs)
        )  # fmt: skip
        assert driver.states(self.id) == {f"{node}@{item}": job.state for (node, item), job in oracle.jobs.items()}

    @invariant()
    def every_start_is_explained(self) -> None:
        with self.drivers[0].database.engine.connect() as connection:
            found = connection.execute(
                text(
                    "SELECT j.node, j.item, a.because, a.outcome FROM job_attempts a JOIN agent_jobs j ON j.id = a.job_id "
                    "WHERE j.execution_id = :id ORDER BY j.id, a.number"
                ),
                {"id": self.id},
            ).all()
        wanted = [(*key, a.because, a.outcome) for key in self.order for a in self.oracle.jobs[key].attempts]
        assert [tuple(row) for row in found] == wanted

    @invariant()
    def events_have_no_gap(self) -> None:
        sequences = [event.sequence for event in self.drivers[0].queries.events(self.id)]
        assert sequences == list(range(1, len(sequences) + 1))
        assert self.drivers[0].queries.execution(self.id).sequence == len(sequences)

    def _drawn(self, draw: int) -> Claim:
        newest = self.claims[-4:]
        return newest[draw % len(newest)] if draw < 80 else self.claims[draw % len(self.claims)]

    def _record(self, worker: int, outcome: Outcome) -> None:
        self.drivers[worker].record(self.id, outcome)

    def _let_licences_run_out(self) -> None:
        """As if some time had passed since the last start: a control need not wait."""
        with self.drivers[0].database.engine.begin() as connection:
            connection.execute(
                text("UPDATE agent_jobs SET started = started - 10 WHERE execution_id = :id"), {"id": self.id}
            )


def sweeper(driver: Driver, dead: str) -> Sweeper:
    """One of another worker's rounds, to which one owner's process has ended."""
    executor = Executor(load_settings(), driver.database, driver.plans, None, driver.recorder.may_start)  # type: ignore[arg-type]
    slots = Slots(driver.recorder, executor, lambda id: None, 1, 1.0)

    def pulse(owner: str) -> Pulse:
        return Pulse.ENDED if owner == dead else Pulse.ALIVE

    return Sweeper(driver.database, slots, "sweeper", driver.published.extend, driver.plans.load, 10, 3, 1, pulse=pulse)


def test_sql_says_what_the_rules_say(database: Database) -> None:
    """Whatever happens, in whatever order, by whichever worker."""
    databases = [database, *(Database(database.url) for _ in range(OWNERS - 1))]
    examples = 120 if database.is_sqlite else 40
    try:
        run_state_machine_as_test(
            lambda: Machine([Driver(each) for each in databases]),  # type: ignore[arg-type]
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        for each in databases[1:]:
            each.close()
