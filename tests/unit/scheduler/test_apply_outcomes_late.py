"""Outcomes that come when their job is over, or runs in another epoch: what is paid is kept, what was said is recorded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine_driver import Driver, completed, failed, retrying, waiting
from plans import chain, fan
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import ErrorClass
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.outcomes import Claim, Outcome, Released
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import Sweeper


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


def sweep(driver: Driver) -> None:
    """One round of a sweeper that has no slots to fill."""
    slots = Slots(driver.recorder, None, lambda id: None, 0, 1.0)  # type: ignore[arg-type]
    Sweeper(driver.database, slots, "sweeper", driver.published.extend, driver.plans.load, 10, 3, 1).put_back_lost()


def lose(driver: Driver) -> None:
    """Let the leases of all running jobs run out, and a sweep find them."""
    driver.expire_leases()
    sweep(driver)


def attempts(driver: Driver, claim: Claim) -> list[tuple[str, str | None]]:
    """Reason and outcome of each start of a claim's job."""
    return [(because, outcome) for _, because, _, _, outcome, _ in driver.queries.attempts(claim.job_id)]


def errors(driver: Driver, claim: Claim) -> list[str | None]:
    return [error for *_, error in driver.queries.attempts(claim.job_id)]


def test_a_job_in_flight_goes_on_over_stop_and_resume(driver: Driver) -> None:
    """Its result comes after the resume: it is one attempt, and one effect."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.controls.resume(id)
    assert driver.states(id) == {"n0@0": "running", "n1@0": "blocked"}
    assert driver.claim(id) == ()
    driver.record(id, completed(claim))
    assert driver.drain(id) == [("n1", "0")]
    assert attempts(driver, claim) == [("first", "completed")]
    assert driver.state(id) == "completed"
    assert "job_late" not in driver.kinds(id)


def test_a_job_that_goes_on_counts_as_running(driver: Driver) -> None:
    """No more jobs start beside it than the run allows."""
    id = driver.submit(fan(3), max_parallel=1)
    driver.record(id, *map(completed, driver.claim(id)))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.controls.resume(id)
    assert driver.claim(id) == ()
    driver.record(id, completed(claim))
    assert len(driver.claim(id)) == 1


def test_the_worker_of_a_job_that_goes_on_may_be_lost_like_any_other(driver: Driver) -> None:
    """The sweep finds it: the job starts again, and the attempts say why."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.controls.resume(id)
    lose(driver)
    (again,) = driver.claim(id)
    driver.record(id, completed(again))
    assert attempts(driver, claim) == [("first", "lost"), ("lost", "completed")]


@pytest.mark.parametrize("is_second", [False, True])
def test_a_result_of_an_earlier_epoch_completes_its_job(driver: Driver, is_second: bool) -> None:
    """A completed parent never changes, so the result is right: before the new attempt starts and while it runs."""
    id = driver.submit(chain(2))
    (old,) = driver.claim(id)
    lose(driver)
    driver.controls.stop(id)
    driver.controls.resume(id)
    newer = driver.claim(id) if is_second else ()
    driver.record(id, completed(old))
    assert driver.states(id) == {"n0@0": "completed", "n1@0": "ready"}
    driver.record(id, *map(completed, newer))
    assert attempts(driver, old) == [("first", "completed"), ("reopened", "duplicate")][: 1 + is_second]
    assert driver.kinds(id).count("job_completed") == 1


ENDINGS: dict[str, Callable[[Claim], Outcome]] = {
    "released": lambda claim: Released(claim=claim, because="released"),
    "failed": failed,
    "retrying": retrying,
    "partial": lambda claim: failed(claim, ErrorClass.PARTIAL),
    "waiting": waiting,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_that_ends_after_a_stop_is_closed(driver: Driver, ending: str) -> None:
    """Its job stays stopped, the record says how it ended, and a resume starts it again: no process executes it any more."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.record(id, ENDINGS[ending](claim))
    assert driver.states(id) == {"n0@0": "stopped", "n1@0": "stopped"}
    assert (driver.state(id), driver.queries.execution(id).failed) == ("stopped", 0)
    assert driver.kinds(id)[-1] == "job_released"
    message = {"failed": "it broke", "partial": "it broke", "retrying": "try again"}.get(ending)
    assert errors(driver, claim) == [message]
    assert driver.queries.events(id)[-1].data == {"because": "over"} | ({"error": message} if message else {})
    driver.controls.resume(id)
    assert driver.drain(id) == [("n0", "0"), ("n1", "0")]
    assert attempts(driver, claim) == [("first", ending), ("reopened", "completed")]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_that_ends_twice_is_closed_once(driver: Driver, ending: str) -> None:
    """A commit whose answer was lost is repeated without harm."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.record(id, ENDINGS[ending](claim))
    before = driver.queries.events(id)
    driver.record(id, ENDINGS[ending](claim))
    assert driver.queries.events(id) == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_that_another_overtook_is_closed(driver: Driver, ending: str) -> None:
    """A slow worker's result completes the job while a newer attempt runs; that attempt does not stay open for ever."""
    id = driver.submit(chain(2))
    (slow,) = driver.claim(id)
    lose(driver)
    (newer,) = driver.claim(id)
    driver.record(id, completed(slow))
    driver.record(id, ENDINGS[ending](newer))
    assert driver.states(id) == {"n0@0": "completed", "n1@0": "ready"}
    assert attempts(driver, slow) == [("first", "completed"), ("lost", ending)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_that_was_lost_stays_lost(driver: Driver, ending: str) -> None:
    """What it says afterwards changes nothing; only a result still counts."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    lose(driver)
    driver.record(id, ENDINGS[ending](claim))
    assert attempts(driver, claim) == [("first", "lost")]
    assert driver.kinds(id)[-1] == "job_lost"


def test_a_job_keeps_its_lease_while_its_run_is_stopped(driver: Driver) -> None:
    """Its worker beats on: a sweep right after the resume, however late that is, takes nothing from it."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.expire_leases("stopped")
    beat = {"job_id": claim.job_id, "number": 1, "owner": claim.owner, "lease_seconds": 10.0}
    with driver.database.write() as transaction:
        assert transaction.run(transitions.BEAT, beat) == 1
    driver.controls.resume(id)
    sweep(driver)
    assert driver.states(id) == {"n0@0": "running"}
