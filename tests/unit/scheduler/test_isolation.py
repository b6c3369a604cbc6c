"""Whether a suspect is really alone, by what its process executes, and what follows from a death."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_driver import Driver, completed, dead
from plans import chain
from servers import wait_until
from xtyl_engine.database.connection import Database
from xtyl_engine.failpoints import arm
from xtyl_engine.scheduler.isolation import AtWork
from xtyl_engine.scheduler.outcomes import Claim, Outcome
from xtyl_engine.settings import load_settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import MAX_LOST, MOST_LOST, Sweeper


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


@pytest.fixture
def disarmed(tmp_path: Path) -> Iterator[None]:
    yield
    arm(None, tmp_path)


class Patient(Executor):
    """Executes each job until it is told to end."""

    may_end: threading.Event

    def execute(self, claim: Claim) -> Outcome:
        assert self.may_end.wait(60)
        return completed(claim)


def sweep(driver: Driver, *, is_dead: bool) -> None:
    """One round of another process, which knows whether the driver's process has died, or nothing but its leases."""
    slots = Slots(driver.recorder, None, lambda id: None, 0, 1.0)  # type: ignore[arg-type]
    sweeper = Sweeper(driver.database, slots, "sweeper", driver.published.extend, driver.plans.load, 10, 3, 1)
    if is_dead:
        sweeper.losses.pulse = dead
    sweeper.put_back_lost()


def make_suspects(driver: Driver, *ids: str) -> None:
    """Let the process die twice with one job of each execution."""
    for _ in range(MAX_LOST - 1):
        for id in ids:
            assert driver.claim(id)
        sweep(driver, is_dead=True)


def reasons(driver: Driver, id: str) -> list[str]:
    """The reason of each start of an execution's only job."""
    return [because for _, because, *_ in driver.queries.attempts(driver.jobs(id)["n0", "0"].id)]


def test_a_stopped_job_that_goes_on_in_its_thread_is_beside_a_suspect(driver: Driver) -> None:
    """SQL knows of no running job after a stop, but the process executes it: a suspect of another run waits for its end."""
    stopped, innocent = driver.submit(chain(1)), driver.submit(chain(1))
    make_suspects(driver, stopped, innocent)
    now = [1000.0]
    driver.recorder.isolation.clock = lambda: now[0]
    settings, may_end = load_settings(), threading.Event()
    store = ArtifactStore(settings.artifacts_folder)
    executor = Patient(settings, driver.database, driver.plans, store, driver.recorder.may_start)
    executor.may_end = may_end
    slots = Slots(driver.recorder, executor, lambda id: None, 4, 60.0)
    driver.recorder.at_work = slots.at_work
    thread = threading.Thread(target=slots.advance, args=(stopped,))
    thread.start()
    try:
        wait_until(lambda: bool(slots.held()))
        driver.controls.stop(stopped)
        assert [driver.claim(innocent) for _ in range(3)] == [()] * 3
    finally:
        may_end.set()
        thread.join()
    assert driver.claim(innocent) == ()
    now[0] += 60
    assert len(driver.claim(innocent)) == 1
    assert reasons(driver, innocent)[-1] == "alone"


def test_a_death_beside_a_thread_left_behind_proves_nothing(driver: Driver) -> None:
    """The suspect does not wait for that thread, which may never end; but its death is no proof, and it has another turn."""
    id = driver.submit(chain(1))
    make_suspects(driver, id)
    driver.recorder.at_work = lambda: AtWork(left_behind=1)
    assert driver.claim(id)
    sweep(driver, is_dead=True)
    assert driver.states(id) == {"n0@0": "ready"}
    driver.recorder.at_work = AtWork
    assert driver.claim(id)
    sweep(driver, is_dead=True)
    assert driver.states(id) == {"n0@0": "quarantined"}
    assert reasons(driver, id) == ["first", "lost", "lost", "alone"]


def test_a_lease_that_ran_out_proves_no_death(driver: Driver) -> None:
    """A laptop of a team sleeps three times in one long job, which goes on; only after many times is it given up, and says so."""
    id = driver.submit(chain(1))
    for _ in range(MOST_LOST):
        assert driver.states(id) == {"n0@0": "ready"}
        assert driver.claim(id)
        driver.expire_leases()
        sweep(driver, is_dead=False)
    assert driver.states(id) == {"n0@0": "quarantined"}
    error = str(driver.jobs(id)["n0", "0"].error)
    assert f"died or lost touch {MOST_LOST} times\n" in error
    assert "no other job" not in error


def test_a_claim_that_is_rolled_back_and_repeated_keeps_the_turn(
    driver: Driver, tmp_path: Path, disarmed: None
) -> None:
    """The suspect for which another run was kept waiting starts with the second try, and not after a rest."""
    id, other = driver.submit(chain(1)), driver.submit(chain(1), rows=2)
    make_suspects(driver, id)
    (beside,) = driver.claim(other)
    assert driver.claim(id) == driver.claim(other) == ()
    driver.record(other, completed(beside))
    arm("commit/before=cut", tmp_path)
    assert len(driver.claim(id)) == 1
    assert driver.claim(other) == ()


def test_a_run_that_stands_still_for_a_suspect_says_so(driver: Driver) -> None:
    """While a suspect runs alone, the other run does not wait for a worker that is missing, and says what it waits for."""
    suspect, beside = driver.submit(chain(1)), driver.submit(chain(1))
    make_suspects(driver, suspect)
    assert driver.claim(suspect)
    assert driver.claim(beside) == ()
    assert "running alone" in str(driver.overview(beside).waiting_for)
    assert driver.overview(suspect).waiting_for is None
