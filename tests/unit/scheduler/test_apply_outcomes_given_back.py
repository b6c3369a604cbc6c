"""A job that its worker gives back while it runs starts again, but not without end."""

from __future__ import annotations

import pytest

from engine_driver import Driver
from plans import chain
from xtyl_engine.database.connection import Database
from xtyl_engine.scheduler.apply_outcomes import MOST_GIVEN_BACK
from xtyl_engine.scheduler.outcomes import Claim, Released


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


def given_back(claim: Claim, because: str = "released", *, ran: bool = True) -> Released:
    """What a worker that is told to end hands in for a job; `ran` says whether its effect may have started."""
    return Released(claim=claim, because=because, may_have_started=ran)


def give_back(driver: Driver, id: str, times: int, because: str = "released", *, ran: bool = True) -> None:
    """Start the run's job so many times, and give it back each time."""
    for _ in range(times):
        (claim,) = driver.claim(id)
        driver.record(id, given_back(claim, because, ran=ran))


def test_a_job_that_is_given_back_too_often_fails_by_name(driver: Driver) -> None:
    """It may be what tells its worker to end, or too long for any worker: each start may be paid for."""
    id = driver.submit(chain(2))
    give_back(driver, id, MOST_GIVEN_BACK - 1)
    assert driver.states(id) == {"n0@0": "ready", "n1@0": "blocked"}
    give_back(driver, id, 1)
    assert driver.states(id) == {"n0@0": "failed", "n1@0": "skipped"}
    assert driver.state(id) == "failed"
    job = driver.jobs(id)["n0", "0"]
    assert str(job.error).startswith("its worker was told to end each of 10 times while it ran\n")
    assert "XTYL_SHUTDOWN_SECONDS" in str(job.error)
    assert "`run.retry()`" in str(job.error)
    said = [(outcome, str(error).partition("\n")[0]) for *_, outcome, error in driver.queries.attempts(job.id)]
    assert said[0] == ("released", "its worker was told to end while it ran")
    assert [outcome for outcome, _ in said] == ["released"] * 9 + ["failed"]


def test_only_starts_that_may_be_paid_for_count(driver: Driver) -> None:
    """Not those whose effect did not start, nor those that ended because the run was stopped."""
    id = driver.submit(chain(1))
    give_back(driver, id, MOST_GIVEN_BACK - 1)
    give_back(driver, id, MOST_GIVEN_BACK, ran=False)
    give_back(driver, id, MOST_GIVEN_BACK, "unread", ran=False)
    give_back(driver, id, MOST_GIVEN_BACK, "stopped")
    assert driver.states(id) == {"n0@0": "ready"}
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.record(id, given_back(claim))
    assert driver.states(id) == {"n0@0": "stopped"}
    driver.controls.resume(id)
    assert driver.states(id) == {"n0@0": "ready"}


def test_a_retry_begins_anew(driver: Driver) -> None:
    """After `run.retry()` the job may be given back as often again."""
    id = driver.submit(chain(1))
    give_back(driver, id, MOST_GIVEN_BACK)
    driver.controls.retry(id)
    give_back(driver, id, MOST_GIVEN_BACK - 1)
    assert driver.states(id) == {"n0@0": "ready"}
    give_back(driver, id, 1)
    assert driver.states(id) == {"n0@0": "failed"}
