"""Which runs a sweep asks slots for: those that may start something, in turns."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import text

from engine_driver import Driver, retrying
from plans import chain
from scripted_run import plan_of
from xtyl_engine.database.connection import Database
from xtyl_engine.rates import parse_rates
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy
from xtyl_engine.scheduler.routing import Route
from xtyl_engine.scheduler.startable import startable, waiting
from xtyl_engine.settings import load_settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.slots import Slots, deal
from xtyl_engine.worker.sweeper import Sweeper


def texts() -> Any:
    return plan_of({"draft": ("generate_copy", {"prompt": "Write", "provider": "offline"})}, [])


def asked(driver: Driver, count: int = 4) -> list[str]:
    """The runs that a sweep of one process with `count` free slots asks for, in order."""
    settings = load_settings()
    store = ArtifactStore(settings.artifacts_folder)
    executor = Executor(settings, driver.database, driver.plans, store, driver.recorder.may_start)
    notified: list[str] = []
    slots = Slots(driver.recorder, executor, notified.append, count, 60.0)
    Sweeper(driver.database, slots, "sweeper", lambda events: None, driver.plans.load, 10.0, 3.0, 1.0).sweep()
    return notified


def due_retry(driver: Driver) -> str:
    """A run whose only job is to be tried again now."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, retrying(claim))
    return id


def test_a_run_held_back_by_a_rate_takes_no_slot_of_another(database: Database) -> None:
    """A hundred jobs may not start for an hour: every slot asked for goes to the retry of a later run."""
    driver = Driver(database)
    driver.recorder.rates = ClaimPolicy(parse_rates("offline=1/h"), "offline")
    held = driver.submit(texts(), 100)
    assert len(driver.claim(held, 4)) == 1
    assert asked(driver) == []
    retry = due_retry(driver)
    assert asked(driver) == [retry]


def test_a_run_at_its_own_limit_takes_no_slot_of_another(database: Database) -> None:
    """It has as many jobs running as it may: the slots go to a later run, and one to it for each that it may still start."""
    driver = Driver(database)
    full = driver.submit(chain(1), 100, max_parallel=2)
    assert len(driver.claim(full, 2)) == 2
    other = due_retry(driver)
    assert asked(driver) == [other]
    nearly = driver.submit(chain(1), 100, max_parallel=2)
    driver.claim(nearly, 1)
    assert Counter(asked(driver)) == {other: 1, nearly: 1}


def test_slots_are_dealt_in_turns(database: Database) -> None:
    """Two runs with many jobs and one with a retry share four slots; one slot serves each run in turn."""
    driver = Driver(database)
    large, larger, retry = driver.submit(chain(1), 50), driver.submit(chain(1), 90), due_retry(driver)
    found = Counter(asked(driver))
    assert found.total() == 4
    assert (found[retry], min(found[large], found[larger])) == (1, 1)
    assert sorted(asked(driver, count=3)) == sorted([large, larger, retry])


def test_the_run_after_the_last_served_is_next() -> None:
    """With one free slot the runs take turns, whatever comes and goes between."""
    served, last = [], ""
    for lacking in ({"a": 9, "b": 9, "c": 9}, {"a": 9, "b": 9, "c": 9}, {"a": 9, "c": 9}, {"a": 9, "b": 1, "c": 9}):
        (last,) = deal(lacking, 1, last)
        served.append(last)
    assert served == ["a", "b", "c", "a"]
    assert deal({"a": 1, "b": 3, "c": 0, "d": -2}, 9, "a") == ["b", "a", "b", "b"]
    assert deal({"a": 1}, -1, "") == []


def test_jobs_for_other_workers_are_not_counted(database: Database) -> None:
    """A worker for everything but images asks for the texts alone, and for a run of images not at all."""
    driver = Driver(database)
    both = plan_of(
        {"draft": ("generate_copy", {"prompt": "Write"}), "picture": ("generate_image", {"prompt": "Draw"})}, []
    )
    mixed = driver.submit(both, 3)
    driver.submit(plan_of({"picture": ("generate_image", {"prompt": "Draw"})}, []), 5)
    policy = ClaimPolicy(route=Route(frozenset({"generate_image"})))
    with database.read() as transaction:
        assert startable(transaction, policy, driver.plans.load, 10) == {mixed: 3}
        assert startable(transaction, policy, driver.plans.load, 2) == {mixed: 2}


def waiting_ids(driver: Driver, *besides: str) -> set[str]:
    """The runs that a process without a free slot finds, besides those it works on."""
    with driver.database.read() as transaction:
        return set(waiting(transaction, driver.recorder.rates, driver.plans.load, besides))


def test_only_runs_that_may_start_something_wait_for_a_slot(database: Database) -> None:
    """Neither a run that its rate holds back, nor one at its own limit, nor one that has a slot waits; a due retry does."""
    driver = Driver(database)
    driver.recorder.rates = ClaimPolicy(parse_rates("offline=1/h"), "offline")
    held = driver.submit(texts(), 3)
    full = driver.submit(chain(1), 3, max_parallel=2)
    assert waiting_ids(driver) == {held, full}
    driver.claim(held, 1)
    driver.claim(full, 1)
    assert waiting_ids(driver) == {full}
    driver.claim(full, 1)
    assert waiting_ids(driver) == set()
    served, retry = driver.submit(chain(1), 9), due_retry(driver)
    assert waiting_ids(driver, served) == {retry}


def test_a_run_waits_where_counts_are_not_kept(database: Database) -> None:
    """The release before has written it: it is asked for, and a claim decides."""
    driver = Driver(database)
    limited = driver.submit(chain(1), 3, max_parallel=2)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE workflow_executions SET counted = counted - 1"))
    assert waiting_ids(driver) == {limited}
