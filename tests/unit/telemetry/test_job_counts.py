"""The states of jobs and their waiting times, as read from SQL for Prometheus."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from engine_driver import Driver, completed, failed, retrying
from plans import plan_of
from xtyl_engine.database.connection import Database
from xtyl_engine.database.tables import attempts, executions, jobs
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.telemetry.job_counts import JobCounts
from xtyl_engine.telemetry.queue_times import MOST, QueueTimes

PAIR = plan_of({"line": {"type": "generate_copy"}, "loud": {}}, [("line", "loud")])


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


def written(driver: Driver, table, where=True, **values: float) -> None:
    """Times of the record as the test wants them."""
    with driver.database.engine.begin() as connection:
        connection.execute(update(table).where(where).values(**values))


def waited(driver: Driver, *claims: Claim) -> list[tuple[str, float]]:
    waits = QueueTimes(driver.database, driver.plans.load)
    for claim in claims:
        waits.note(claim, claim.node)
    return waits.read()


def test_jobs_are_counted_by_state_and_type(driver):
    """Those of runs that are not over, in one grouping by what their nodes are; those of paused runs apart."""
    driver.submit(PAIR, rows=3)
    driver.controls.pause(driver.submit(PAIR))
    begun = driver.submit(PAIR)
    driver.record(begun, completed(*driver.claim(begun)))
    driver.drain(driver.submit(PAIR))
    assert dict(JobCounts(driver.database, driver.plans.load)()) == {
        ("pending", "ready", "generate_copy"): 3,
        ("pending", "blocked", "call"): 3,
        ("paused", "ready", "generate_copy"): 1,
        ("paused", "blocked", "call"): 1,
        ("running", "completed", "generate_copy"): 1,
        ("running", "ready", "call"): 1,
    }


def test_a_plan_that_cannot_be_read_hides_no_other_run_s_jobs(driver):
    """Its own jobs are counted without their type."""
    broken = plan_of({"odd": {}}, [])
    for plan in (broken, PAIR):
        driver.submit(plan)

    def load(transaction, template_id):
        if template_id == broken.digest:
            raise KeyError("nodes")
        return driver.plans.load(transaction, template_id)

    assert dict(JobCounts(driver.database, load)()) == {
        ("pending", "ready", "unknown"): 1,
        ("pending", "ready", "generate_copy"): 1,
        ("pending", "blocked", "call"): 1,
    }


def test_the_count_is_kept_for_a_while(driver):
    """Frequent collections do not read the database as often."""
    id = driver.submit(PAIR)
    counts = JobCounts(driver.database, driver.plans.load)
    first = counts()
    driver.drain(id)
    assert counts() is first


def test_without_a_database_there_is_no_count(tmp_path):
    """An unknown number is not reported; the collector gets the others."""
    counts = JobCounts(Database(f"sqlite:///{tmp_path}/gone/xtyl.db"), PlanCache().load)
    assert counts() == []


def test_a_job_is_ready_when_its_last_parent_is_over(driver):
    """From submission for a job that has none; for one that gathers a list, from the end of the last of its jobs."""
    nodes = {"first": {}, "many": {"n": 3}, "last": {}}
    id = driver.submit(plan_of(nodes, [("first", "many"), ("many", "last")]))
    claims: dict[tuple[str, str], Any] = {}
    while granted := driver.claim(id, 4):
        claims |= {(claim.node, claim.item): claim for claim in granted}
        driver.record(id, *map(completed, granted))
    written(driver, executions, created=100.0)
    for (node, item), (started, finished) in {
        ("first", "0"): (103.0, 110.0),
        ("many", "0.0"): (110.0, 120.0),
        ("many", "0.1"): (111.0, 130.0),
        ("many", "0.2"): (112.0, 125.0),
        ("last", "0"): (135.0, 140.0),
    }.items():
        job_id = claims[node, item].job_id
        written(driver, attempts, attempts.c.job_id == job_id, started=started)
        written(driver, jobs, jobs.c.id == job_id, finished=finished)
    assert waited(driver, *(claims[job] for job in sorted(claims))) == [
        ("first", 3.0),
        ("last", 5.0),
        ("many", 0.0),
        ("many", 1.0),
        ("many", 2.0),
    ]


def test_a_retry_is_ready_when_its_pause_is_over(driver):
    """Neither the earlier attempt nor the pause after it counts as waiting; a job that a person started again is left out."""
    id = driver.submit(plan_of({"a": {}}, []))
    (first,) = driver.claim(id)
    driver.record(id, retrying(first))
    (second,) = driver.claim(id)
    driver.record(id, failed(second))
    driver.controls.retry(id)
    (third,) = driver.claim(id)
    written(driver, executions, created=100.0)
    written(driver, jobs, due=150.0)
    written(driver, attempts, attempts.c.number == 1, started=101.0, finished=140.0)
    written(driver, attempts, attempts.c.number == 2, started=152.0)
    assert waited(driver, first, second, third) == [("a", 1.0), ("a", 2.0)]


def test_of_many_jobs_a_few_are_read(driver):
    """However fast jobs are, reading how long they waited costs little; each is read once."""
    id = driver.submit(plan_of({"a": {}}, []), rows=2 * MOST)
    waits = QueueTimes(driver.database, driver.plans.load)
    for claim in driver.claim(id, 2 * MOST):
        waits.note(claim, "call")
    assert len(waits.read()) == MOST
    assert waits.read() == []
