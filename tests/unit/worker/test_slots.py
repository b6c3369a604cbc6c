"""A slot and its notifications: when it asks for more, when it keeps quick jobs together, when it stops, and for whom."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from engine_driver import Driver, completed, retrying
from plans import chain, fan
from scripted_run import plan_of
from servers import PATIENT_SECONDS, wait_until
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.rates import parse_rates
from xtyl_engine.scheduler.claim import HANDFUL
from xtyl_engine.scheduler.outcomes import Claim, Outcome
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy
from xtyl_engine.settings import load_settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import Sweeper
from xtyl_engine.workflow.plan import Plan


class Answering(Executor):
    """Answers every claim at once, and remembers it."""

    ran: list[str]

    def execute(self, claim: Claim) -> Outcome:
        self.ran.append(claim.node)
        return completed(claim)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    database = Database(f"sqlite:///{tmp_path / 'xtyl.db'}")
    ensure_schema(database)
    yield Driver(database)
    database.close()


def slots_of(driver: Driver, hints: list[str], *, count: int = 4, slice_seconds: float = 60.0) -> Slots:
    settings = load_settings()
    store = ArtifactStore(settings.artifacts_folder)
    executor = Answering(settings, driver.database, driver.plans, store, driver.recorder.may_start)
    executor.ran = []
    return Slots(driver.recorder, executor, hints.append, count, slice_seconds)


@pytest.mark.parametrize(("plan", "jobs"), [(chain(20), 20), (fan(20), 22)], ids=["chain", "fan"])
def test_one_hint_is_enough_for_all(driver: Driver, plan: Plan, jobs: int) -> None:
    """A slot goes on until nothing is ready."""
    id = driver.submit(plan)
    assert slots_of(driver, []).advance(id) == jobs
    assert driver.state(id) == "completed"


def test_only_the_first_claim_is_noted(driver: Driver) -> None:
    """A notification that finds no job is none, and later claims cost nothing."""
    noted: list[int] = []
    slots = slots_of(driver, [])
    slots.on_first_claim = lambda: noted.append(slots.free())
    slots.advance(driver.submit(chain(1), rows=0))
    assert noted == []
    for _ in range(2):
        slots.advance(driver.submit(chain(3)))
    assert len(noted) == 1


def test_a_chain_asks_for_no_other_slot(driver: Driver) -> None:
    """Nothing is ready but what the slot takes itself."""
    hints: list[str] = []
    slots_of(driver, hints).advance(driver.submit(chain(20)))
    assert hints == []


def test_more_ready_jobs_ask_for_free_slots_and_no_more(driver: Driver) -> None:
    """A fan asks for as many further slots as are free."""
    hints: list[str] = []
    id = driver.submit(fan(20))
    slots = slots_of(driver, hints)
    driver.record(id, *map(completed, driver.claim(id)))
    slots.advance(id)
    assert hints == [id] * 3


def test_a_spent_time_slice_hands_the_rest_over(driver: Driver) -> None:
    """After its slice a slot records its results, sends notifications for the rest, and leaves."""
    hints: list[str] = []
    id = driver.submit(chain(20))
    assert slots_of(driver, hints, slice_seconds=0.0).advance(id) == 1
    assert hints == [id]
    assert driver.states(id)["n0@0"] == "completed"


def test_a_slot_that_is_handed_over_is_not_asked_for_again(driver: Driver) -> None:
    """It looks idle until its notification is received; what is ready beside it asks for the other slots alone."""
    hints: list[str] = []
    id = driver.submit(chain(1), 20)
    slots = slots_of(driver, hints, count=2, slice_seconds=0.0)
    slots.advance(id)
    asked = len(hints)
    assert asked == 2
    slots.ask(id, 9)
    assert len(hints) == asked


def test_a_closing_slot_takes_nothing_new(driver: Driver) -> None:
    """A worker that is ending leaves ready jobs to others."""
    id = driver.submit(chain(3))
    slots = slots_of(driver, [])
    slots.closing = True
    assert slots.advance(id) == 0
    assert driver.states(id)["n0@0"] == "ready"


def test_a_hint_for_a_finished_execution_does_nothing(driver: Driver) -> None:
    """A stale or doubled notification is harmless."""
    id = driver.submit(chain(2))
    slots = slots_of(driver, [])
    slots.advance(id)
    before = driver.queries.events(id)
    assert slots.advance(id) == 0
    assert driver.queries.events(id) == before


def test_a_meter_that_breaks_costs_no_job(driver: Driver) -> None:
    """Every job is recorded and started once, and no claim stays held."""

    def tell(samples: object) -> None:
        raise RuntimeError("the meter broke")

    id = driver.submit(chain(3))
    slots = slots_of(driver, [])
    slots.meter.tell = tell
    assert slots.advance(id) == 3
    assert driver.state(id) == "completed"
    assert slots.held() == ()
    assert driver.kinds(id).count("job_started") == 3


class Breaking(Executor):
    """Fails in a way that executing never should."""

    def execute(self, claim: Claim) -> Outcome:
        raise RuntimeError("no outcome")


def test_a_claim_is_not_held_for_ever_by_a_slot_that_broke(driver: Driver) -> None:
    """Its lease is left to run out, and others take the job."""
    settings = load_settings()
    store = ArtifactStore(settings.artifacts_folder)
    executor = Breaking(settings, driver.database, driver.plans, store, driver.recorder.may_start)
    slots = Slots(driver.recorder, executor, lambda id: None, 1, 60.0)
    with pytest.raises(RuntimeError, match="no outcome"):
        slots.advance(driver.submit(chain(1)))
    assert slots.held() == ()
    assert slots.free() == 1


def test_a_process_asks_for_those_beside_it(driver):
    """A forked process has one slot; with jobs for more it asks for as many as are idle."""
    hints: list[str] = []
    slots = slots_of(driver, hints, count=1)
    slots.others = lambda: 2
    slots.ask("run", 10)
    assert hints == ["run"] * 3
    assert slots.free() == 1


class Ending(Answering):
    """Ends its worker in the middle of a job, while the database refuses every write."""

    slots: Slots
    given_back: int

    def execute(self, claim: Claim) -> Outcome:
        self.slots.closing = True
        with self.database.engine.begin() as connection:
            connection.execute(text("ALTER TABLE workflow_executions RENAME TO elsewhere"))
        try:
            self.given_back = self.slots.release()
        finally:
            with self.database.engine.begin() as connection:
                connection.execute(text("ALTER TABLE elsewhere RENAME TO workflow_executions"))
        return completed(claim)


def test_a_worker_ends_although_its_jobs_cannot_be_given_back(driver: Driver) -> None:
    """What cannot be recorded is said and raises nothing, so that the process goes on to its end."""
    settings = load_settings()
    store = ArtifactStore(settings.artifacts_folder)
    executor = Ending(settings, driver.database, driver.plans, store, driver.recorder.may_start)
    executor.slots = slots = Slots(driver.recorder, executor, lambda id: None, 4, 60.0)
    assert slots.advance(driver.submit(chain(1))) == 1
    assert executor.given_back == 1


class Sweeping(Answering):
    """Sweeps in the middle of each job, while no slot is free; `hints` are the notifications that are under way."""

    slots: Slots
    hints: list[str]
    sweep: Callable[[], None]

    def execute(self, claim: Claim) -> Outcome:
        for _ in range(3):
            self.sweep()
        return super().execute(claim)

    def serve(self, first: str) -> list[str]:
        """Serve notifications as they come, first in first out, until there is none; for each, whom it was for."""
        self.hints.append(first)
        served: list[str] = []
        while self.hints:
            served.append(self.hints.pop(0))
            self.slots.advance(served[-1])
            assert len(self.hints) <= 1
        return served


@pytest.fixture
def sweeping(driver: Driver) -> Sweeping:
    """An executor whose jobs sweep, for one slot that keeps to an execution for one job."""
    settings = load_settings()
    store = ArtifactStore(settings.artifacts_folder)
    executor = Sweeping(settings, driver.database, driver.plans, store, driver.recorder.may_start)
    executor.ran, executor.hints = [], []
    executor.slots = Slots(driver.recorder, executor, executor.hints.append, 1, 0.0)
    sweeper = Sweeper(
        driver.database, executor.slots, "sweeper", lambda events: None, driver.plans.load, 10.0, 3.0, 1.0
    )
    executor.sweep = sweeper.sweep
    return executor


def test_a_due_retry_gets_the_slot_of_a_run_that_has_used_up_its_slice(driver: Driver, sweeping: Sweeping) -> None:
    """A run that fills every slot makes room after one slice, gets its slot back when the other is done, and loses no job."""
    long, retry = driver.submit(chain(1), 20), driver.submit(chain(1))
    (claim,) = driver.claim(retry)
    driver.record(retry, retrying(claim))
    assert sweeping.serve(long)[:4] == [long, retry, long, long]
    assert (driver.state(long), driver.state(retry)) == ("completed", "completed")


def test_runs_that_wait_take_turns_and_pile_up_no_notification(driver: Driver, sweeping: Sweeping) -> None:
    """Fifty runs share one slot: each has a turn before any has a second one, and one notification is under way, no more."""
    runs = [driver.submit(chain(1), 3) for _ in range(50)]
    served = sweeping.serve(runs[0])
    assert served[:50] == runs
    assert sorted(served[50:100]) == sorted(runs)
    assert {driver.state(run) for run in runs} == {"completed"}


def test_a_slot_of_a_worker_that_ends_makes_room_for_nothing_new(driver: Driver, sweeping: Sweeping) -> None:
    """What is left of its run is for other workers; they find by themselves what else there is."""
    long = driver.submit(chain(2))
    driver.submit(chain(1))
    sweep = sweeping.sweep

    def sweep_and_close() -> None:
        sweep()
        sweeping.slots.closing = True

    sweeping.sweep = sweep_and_close
    sweeping.slots.advance(long)
    assert sweeping.hints == [long]


def test_a_run_whose_rate_allows_a_start_waits_for_a_slot(driver: Driver) -> None:
    """No slot is free when the time comes: the next that has ended its slice goes to that run, before any sweep."""
    driver.recorder.rates = ClaimPolicy(parse_rates("offline=120/m"), "offline")
    draft = {"draft": ("generate_copy", {"prompt": "Write", "provider": "offline"})}
    limited = driver.submit(plan_of(draft, []), 9)
    hints: list[str] = []
    slots = slots_of(driver, hints, count=0, slice_seconds=0.0)
    long = driver.submit(chain(1), 5_000)
    while slots.advance(limited):
        hints.clear()

    def is_asked_for() -> bool:
        slots.advance(long)
        return limited in hints

    wait_until(is_asked_for)


class Counting(Answering):
    """Counts the claims that its slots hold while it answers, and waits at one job, if it is told to."""

    held: list[int]
    slots: Slots
    at: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.held, self.has_come, self.may_go = [], threading.Event(), threading.Event()

    def execute(self, claim: Claim) -> Outcome:
        self.held.append(len(self.slots.held()))
        if claim.item == self.at and not self.has_come.is_set():
            self.has_come.set()
            assert self.may_go.wait(PATIENT_SECONDS)
        return super().execute(claim)


def counted(driver: Driver) -> Counting:
    """An executor that knows its calls to be quick."""
    slots = slots_of(driver, [])
    settings, store = slots.executor.settings, slots.executor.store
    made = Counting(settings, driver.database, driver.plans, store, driver.recorder.may_start)
    made.ran, made.slots, slots.executor = [], slots, made
    slots.advance(driver.submit(chain(1), 20))
    made.held.clear()
    return made


def test_calls_that_are_over_at_once_are_claimed_together(driver: Driver) -> None:
    """Several with one commit, and each is done once."""
    executor = counted(driver)
    id = driver.submit(chain(1), 40)
    assert executor.slots.advance(id) == 40
    assert max(executor.held) == HANDFUL
    assert executor.ran[20:] == ["n0"] * 40


@pytest.mark.parametrize("limit", ["rate", "max_parallel", "slow"])
def test_what_is_limited_is_claimed_one_by_one(driver: Driver, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that needs a permit, one of a run that says how many may run, and one that is not known to be quick."""
    executor = counted(driver)
    if limit == "rate":
        driver.recorder.rates = ClaimPolicy(parse_rates("call=1000/s"))
    if limit == "slow":
        monkeypatch.setattr("xtyl_engine.worker.slots.QUICK_SECONDS", 0.0)
    executor.slots.advance(driver.submit(chain(1), 20, max_parallel=9 if limit == "max_parallel" else None))
    assert set(executor.held) == {1}


def test_what_is_claimed_behind_a_job_that_hangs_is_given_back(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done before it is recorded, and another slot does the rest, while it goes on."""
    monkeypatch.setattr("xtyl_engine.worker.slots.LATE_SECONDS", -1.0)
    executor = counted(driver)
    executor.at = "12"
    id = driver.submit(chain(1), 40)
    slot = threading.Thread(target=executor.slots.advance, args=(id,))
    slot.start()
    assert executor.has_come.wait(PATIENT_SECONDS)
    held = len(executor.slots.held())
    executor.slots.relieve()
    assert (held > 1, len(executor.slots.held())) == (True, 1)
    executor.slots.advance(id)
    assert {item for (_, item), job in driver.jobs(id).items() if job.state == "running"} == {"12"}
    executor.may_go.set()
    slot.join()
    assert driver.state(id) == "completed"
    assert sorted(executor.ran[20:]) == ["n0"] * 40


def test_a_worker_that_ends_keeps_what_it_has_done_before_a_job_that_hangs(driver: Driver) -> None:
    """It is recorded, though its slot is not free to do so; what is not begun is given back, and begins once."""
    executor = counted(driver)
    executor.at = "12"
    id = driver.submit(chain(1), 40)
    slot = threading.Thread(target=executor.slots.advance, args=(id,))
    slot.start()
    assert executor.has_come.wait(PATIENT_SECONDS)
    assert executor.slots.release() > 1
    states = {item: job.state for (_, item), job in driver.jobs(id).items()}
    assert {item for item, state in states.items() if state == "completed"} == {str(row) for row in range(12)}
    assert set(states.values()) == {"completed", "ready"}
    executor.may_go.set()
    slot.join()
    assert driver.state(id) == "completed"
    assert executor.ran[20:] == ["n0"] * 40
