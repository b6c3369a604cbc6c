"""Executions that a process of the release before has written, which keeps no counts."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from engine_driver import Driver, completed, failed
from plans import plan_of
from xtyl_engine.database.connection import Database
from xtyl_engine.database.node_counts import kept_counts
from xtyl_engine.scheduler import mend_counts
from xtyl_engine.states import JobState

PLAN = plan_of({"way": {"type": "conditional", "when": "x"}, "a": {}}, [("way", "a", "then")])


def submitted_before(driver: Driver) -> str:
    """A run of three rows as that release leaves it: one row is through, one has failed, one has not begun."""
    id = driver.submit(PLAN, 3)
    first, second = driver.claim(id, 2)
    driver.record(id, completed(first, branch="then"), failed(second))
    with driver.database.engine.begin() as connection:
        for statement in (
            "DELETE FROM execution_nodes",
            "DELETE FROM execution_branches",
            "UPDATE workflow_executions SET counted = 0",
        ):
            connection.execute(text(statement))
    return id


def is_counted(driver: Driver, id: str) -> bool:
    with driver.database.read() as transaction:
        return kept_counts(transaction, id) is not None


def test_an_execution_without_counts_is_read_job_by_job(database: Database) -> None:
    """What an overview says of it is right, and stays right as it goes on."""
    driver = Driver(database)
    id = submitted_before(driver)
    nodes = driver.overview(id).nodes
    assert nodes["way"].counts == {JobState.COMPLETED: 1, JobState.FAILED: 1, JobState.READY: 1}
    assert nodes["way"].branches == {"then": 1}
    assert nodes["way"].error is not None
    (claim,) = driver.claim(id)
    assert driver.overview(id).nodes[claim.node].counts[JobState.RUNNING] == 1
    assert not is_counted(driver, id)


@pytest.mark.parametrize("quick_jobs", [50_000, 0])
def test_it_is_counted_anew_and_then_kept(database: Database, monkeypatch: pytest.MonkeyPatch, quick_jobs: int) -> None:
    """Under its lock if that is quick, else before; from then on as every other."""
    monkeypatch.setattr(mend_counts, "QUICK_JOBS", quick_jobs)
    driver = Driver(database)
    id = submitted_before(driver)
    before = driver.overview(id)
    mend_counts.mend_counts(database, driver.plans.load)
    assert is_counted(driver, id)
    after = driver.overview(id)
    assert {name: (node.counts, node.branches, node.error) for name, node in after.nodes.items()} == {
        name: (node.counts, node.branches, node.error) for name, node in before.nodes.items()
    }
    driver.drain(id)
    assert driver.states(id)["a@0"] == "completed"
    mend_counts.mend_counts(database, driver.plans.load)


def test_a_write_of_the_release_before_is_noticed(database: Database) -> None:
    """It moves a job and adds its event, and the kept counts are no longer used, until they are mended."""
    driver = Driver(database)
    id = driver.submit(PLAN, 2)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE agent_jobs SET state = 'running' WHERE node = 'way' AND item = '1'"))
        connection.execute(text("UPDATE workflow_executions SET sequence = sequence + 1"))
    assert driver.overview(id).nodes["way"].counts == {JobState.READY: 1, JobState.RUNNING: 1}
    driver.claim(id)
    assert driver.overview(id).nodes["way"].counts == {JobState.RUNNING: 2}
    mend_counts.mend_counts(database, driver.plans.load)
    assert driver.states(id)["way@1"] == "running"
