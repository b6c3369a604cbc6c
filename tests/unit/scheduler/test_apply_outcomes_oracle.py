"""The cascade against an oracle: random graphs with items, lists born at run time, branches and failures, run in random
order on a real database, end as a direct reading of the rules says, whatever the order was.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from cascade_oracle import FATAL, Case, cases, expect
from engine_driver import Driver, completed, failed
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.scheduler.outcomes import Claim, Outcome


def answer(case: Case, claim: Claim) -> Outcome:
    if claim.item.split(".")[0] in case.fails[claim.node]:
        return failed(claim)
    expands = case.plan.nodes[claim.node].expands
    return completed(claim, items=case.lengths[claim.node] if expands else None, branch=case.branches.get(claim.node))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder: Path = tmp_path_factory.mktemp("cascade")
    yield from fresh_driver(f"sqlite:///{folder / 'xtyl.db'}")


@pytest.fixture(scope="module")
def postgres_driver(postgres_url: str) -> Iterator[Driver]:
    yield from fresh_driver(postgres_url)


def fresh_driver(url: str) -> Iterator[Driver]:
    database = Database(url)
    ensure_schema(database)
    yield Driver(database)
    database.close()


def run_in_some_order(driver: Driver, case: Case) -> str:
    """Claims pile up and are answered in random order."""
    shuffle = random.Random(case.order)
    id = driver.submit(case.plan, case.rows)
    held: list[Claim] = []
    while True:
        held += driver.claim(id, shuffle.randint(1, 3))
        if not held:
            return id
        shuffle.shuffle(held)
        take = shuffle.randint(1, len(held))
        driver.record(id, *[answer(case, claim) for claim in held[:take]])
        del held[:take]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_any_order_ends_as_the_rules_say(driver: Driver, case: Case) -> None:
    """Every job that should exist does, and ends as it should; the run is over, and counts right."""
    check_end(driver, case)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_any_order_ends_so_on_postgresql(postgres_driver: Driver, case: Case) -> None:
    """The same rules hold where many may write at once."""
    check_end(postgres_driver, case)


def check_end(driver: Driver, case: Case) -> None:
    id = run_in_some_order(driver, case)
    wanted = {job: "skipped" if state == FATAL else state for job, state in expect(case).items()}
    assert {job: str(found.state) for job, found in driver.jobs(id).items()} == wanted
    execution = driver.queries.execution(id)
    assert execution.state == ("failed" if "failed" in wanted.values() else "completed")
    assert execution.done == execution.total == len(wanted)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_a_retry_with_nothing_failing_ends_as_if_nothing_ever_had(driver: Driver, case: Case) -> None:
    """After a retry that succeeds, every job stands as in a run without failures."""
    id = run_in_some_order(driver, case)
    if driver.state(id) == "failed":
        driver.controls.retry(id)
    case.fails = {name: set() for name in case.fails}
    driver.drain(id, {name: lambda claim: answer(case, claim) for name in case.plan.nodes})
    assert driver.states(id) == {f"{node}@{item}": state for (node, item), state in expect(case).items()}
    assert driver.state(id) == "completed"
