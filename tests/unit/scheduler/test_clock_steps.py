"""A clock that was set back: a retry comes when it was to come, and not hours later."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from engine_driver import Driver, retrying
from plans import chain
from xtyl_engine.database.connection import Database
from xtyl_engine.settings import load_settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import Sweeper

HOURS = 8 * 3600.0


def sweeper_of(driver: Driver) -> Sweeper:
    store = ArtifactStore(load_settings().artifacts_folder)
    executor = Executor(load_settings(), driver.database, driver.plans, store, driver.recorder.may_start)
    slots = Slots(driver.recorder, executor, lambda id: None, 4, 60.0)
    return Sweeper(driver.database, slots, "sweeper", lambda events: None, driver.plans.load, 10.0, 3.0, 1.0)


def retry_in(driver: Driver, seconds: float) -> str:
    """A run whose only job is to be tried again after so long."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, retrying(claim, seconds))
    return id


def set_clock_back(database: Database) -> None:
    """Leave everything recorded so far hours ahead of the clock."""
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE agent_jobs SET due = due + :h WHERE due > 0"), {"h": HOURS})
        connection.execute(
            text("UPDATE job_attempts SET started = started + :h, finished = finished + :h"), {"h": HOURS}
        )


def test_a_retry_does_not_wait_for_a_clock_that_was_set_back(database: Database) -> None:
    """A worker that starts after the step finds the retry, and lets it start; a retry of the present waits for its time."""
    driver = Driver(database)
    before = retry_in(driver, 20.0)
    set_clock_back(database)
    present = retry_in(driver, 20.0)
    assert driver.claim(before) == ()
    sweeper_of(driver).sweep()
    assert driver.claim(present) == ()
    assert [claim.number for claim in driver.claim(before)] == [2]


def test_a_worker_sees_the_clock_set_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It compares the database's clock with its own, which no step moves: where the one lags behind, it looks."""
    driver = Driver(database)
    sweeper = sweeper_of(driver)
    sweeper.sweep()
    id = retry_in(driver, 20.0)
    set_clock_back(database)
    sweeper.sweep()
    assert driver.claim(id) == ()
    own = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: own() + HOURS)
    sweeper.sweep()
    assert [claim.number for claim in driver.claim(id)] == [2]
