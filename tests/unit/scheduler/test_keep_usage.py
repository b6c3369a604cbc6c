"""What attempts used and cost is kept with them, and summed up for their jobs and nodes: exactly, and once."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from engine_driver import Driver, completed, dead, failed, retrying
from plans import chain
from xtyl_engine.database.connection import Database
from xtyl_engine.database.node_counts import PAID
from xtyl_engine.errors import ErrorClass
from xtyl_engine.providers.base import Usage
from xtyl_engine.providers.price_file import NANO
from xtyl_engine.scheduler.keep_usage import keep_usage
from xtyl_engine.scheduler.outcomes import Claim, Completed, Outcome, Released
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import Sweeper

SUMS = ("input_tokens", "cached_tokens", "output_tokens", "image_tokens", "spent", "unpriced", "saved", "price")
KEPT = ("request_id", "notes", *SUMS[:4], "cost", "cost_kind", "price")


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


def used(cost: float | None = 0.5, **told: Any) -> Usage:
    counts = {"input_tokens": 10, "cached_tokens": 4, "output_tokens": 3}
    return Usage(
        **{"provider": "p", "model": "m", "cost": cost, "price": None if cost is None else "a list", **counts, **told}
    )


def paid(claim: Claim, cost: float | None = 0.5, **told: Any) -> Completed:
    return replace(completed(claim), usage=used(cost, **told))


def look(driver: Driver, table: str, columns: tuple[str, ...], where: str = "1 = 1") -> list[tuple[Any, ...]]:
    asked = text(f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY 1")
    with driver.database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(asked)]


def attempts(driver: Driver, claim: Claim, *columns: str) -> list[tuple[Any, ...]]:
    return look(driver, "job_attempts", ("number", *columns), f"job_id = {claim.job_id}")


def sums(driver: Driver, claim: Claim) -> tuple[Any, ...]:
    """What a job's attempts used together."""
    return look(driver, "agent_jobs", SUMS, f"id = {claim.job_id}")[0]


def node(driver: Driver, id: str, name: str = "n0") -> tuple[Any, ...]:
    """What a node's jobs cost together; it is what a look at each job says."""
    driver.jobs(id)
    return look(driver, "execution_nodes", PAID, f"node = '{name}' AND execution_id = '{id}'")[0]


def test_an_attempt_keeps_what_its_request_used(driver: Driver) -> None:
    """Its name, its notes, each count, the cost in whole 1e-9 dollars and the price's source; the job and the node the sums."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, paid(claim, 0.1 + 0.2, request_id="r-1", notes=("Without a seed.", "Ä")))
    assert attempts(driver, claim, *KEPT) == [
        (1, "r-1", '["Without a seed.", "Ä"]', 10, 4, 3, None, 300_000_000, "known", "a list")
    ]
    assert sums(driver, claim) == (10, 4, 3, None, 300_000_000, 0, None, "a list")
    assert node(driver, id) == (300_000_000, 0, 0, 0)


def test_what_used_nothing_keeps_nothing(driver: Driver) -> None:
    """A function's job costs no statement, and its row says nothing."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    assert keep_usage(None, [completed(claim), failed(claim), retrying(claim)])  # type: ignore[arg-type]
    driver.record(id, completed(claim))
    assert attempts(driver, claim, *KEPT) == [(1, *[None] * len(KEPT))]
    assert sums(driver, claim) == (None,) * len(SUMS)
    assert node(driver, id) == (0, 0, 0, 0)


def test_what_was_paid_twice_counts_twice(driver: Driver) -> None:
    """An answer that could not be used, a failure, a run that is retried: each attempt was billed."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, replace(retrying(claim), usage=used(0.25)))
    (claim,) = driver.claim(id)
    driver.record(id, replace(failed(claim), usage=used(1.0)))
    driver.controls.retry(id)
    (claim,) = driver.claim(id)
    driver.record(id, paid(claim, 0.5))
    assert attempts(driver, claim, "cost") == [(1, 250_000_000), (2, NANO), (3, 500_000_000)]
    assert sums(driver, claim)[:6] == (30, 12, 9, None, 1_750_000_000, 0)
    assert node(driver, id) == (1_750_000_000, 0, 0, 0)


def test_an_unknown_cost_is_counted_and_is_not_nothing(driver: Driver) -> None:
    """Beside it, what is known is summed up."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, replace(retrying(claim), usage=used(None, input_tokens=None)))
    assert sums(driver, claim) == (None, 4, 3, None, None, 1, None, None)
    (claim,) = driver.claim(id)
    driver.record(id, paid(claim))
    assert attempts(driver, claim, "cost", "cost_kind") == [(1, None, "unknown"), (2, 500_000_000, "known")]
    assert sums(driver, claim) == (10, 8, 6, None, 500_000_000, 1, None, "a list")
    assert node(driver, id) == (500_000_000, 1, 0, 0)


def lose(driver: Driver) -> None:
    slots = Slots(driver.recorder, None, lambda id: None, 0, 1.0)  # type: ignore[arg-type]
    sweeper = Sweeper(
        driver.database, slots, "sweeper", driver.published.extend, driver.plans.load, 10, 3, 1, pulse=dead
    )
    sweeper.put_back_lost()


def test_a_late_result_counts_and_a_result_told_twice_counts_once(driver: Driver) -> None:
    """Two workers were paid; the answer of each commit was lost, so each told its result again."""
    id = driver.submit(chain(1))
    (first,) = driver.claim(id)
    lose(driver)
    (second,) = driver.claim(id)
    for outcome in (paid(second, 0.5), paid(second, 0.5), paid(first, 2.0), paid(first, 2.0)):
        driver.record(id, outcome)
    assert attempts(driver, first, "outcome", "cost") == [(1, "duplicate", 2 * NANO), (2, "completed", NANO // 2)]
    assert sums(driver, first)[4:6] == (2_500_000_000, 0)
    assert node(driver, id) == (2_500_000_000, 0, 0, 0)


def test_results_told_again_in_one_commit_count_once(driver: Driver) -> None:
    """A batch of which one is recorded already is recorded one by one."""
    id = driver.submit(chain(1), rows=3)
    claims = driver.claim(id, 3)
    driver.record(id, paid(claims[0]))
    driver.record(id, *map(paid, claims))
    assert [sums(driver, claim)[4] for claim in claims] == [500_000_000] * 3
    assert node(driver, id) == (1_500_000_000, 0, 0, 0)


def test_what_a_stopped_run_paid_for_counts(driver: Driver) -> None:
    """A result that is kept for the resume, and an error of a job that was told to stop."""
    id = driver.submit(chain(1), rows=2)
    kept, told = driver.claim(id, 2)
    driver.controls.stop(id)
    released = Released(claim=told, because="stopped", may_have_started=True, usage=used(0.25))
    driver.record(id, paid(kept))
    driver.record(id, released)
    assert [sums(driver, claim)[4] for claim in (kept, told)] == [500_000_000, 250_000_000]
    driver.controls.resume(id)
    driver.drain(id, {"n0": lambda claim: completed(claim) if claim.late_output else paid(claim)})
    assert node(driver, id) == (1_250_000_000, 0, 0, 0)


def test_a_result_from_the_cache_cost_nothing_and_says_what_it_saved(driver: Driver) -> None:
    """Its attempt was not billed: it is counted apart."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    nothing = used(0.0, input_tokens=0, cached_tokens=0, output_tokens=0)
    driver.record(id, replace(completed(claim), usage=nothing, cached=True, saved=70))
    assert attempts(driver, claim, "cost", "cost_kind") == [(1, 0, "none")]
    assert sums(driver, claim)[4:7] == (0, 0, 70)
    assert node(driver, id) == (0, 0, 1, 70)


def test_the_usage_of_a_result_that_cannot_be_recorded_counts(driver: Driver) -> None:
    """The result is lost, and what was paid for it is not."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, replace(paid(claim), branch="\ud800"))
    assert driver.states(id) == {"n0@0": "failed"}
    assert sums(driver, claim)[4] == 500_000_000


def test_a_thousand_random_answers_are_summed_up_exactly(driver: Driver) -> None:
    """Of attempts, jobs, nodes and the run: whole 1e-9 dollars, equal to a sum made apart, whatever became of the attempts."""
    draw = random.Random(19)
    apart: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    def answer(claim: Claim) -> Outcome:
        nano = draw.choice([0, 1, 7, draw.randrange(10**6), draw.randrange(10**12), None])
        kind, total = draw.random(), apart[claim.node]
        if kind < 0.1:
            saved = draw.randrange(10**9)
            total[2] += 1
            total[3] += saved
            return replace(paid(claim, 0.0), cached=True, saved=saved)
        total[0] += nano or 0
        total[1] += nano is None
        usage = used(None if nano is None else nano / NANO)
        if kind < 0.4:
            return replace(retrying(claim), usage=usage)
        if kind < 0.45:
            return replace(failed(claim, draw.choice([ErrorClass.PERMANENT])), usage=usage)
        return replace(completed(claim), usage=usage)

    id = driver.submit(chain(3), rows=250)
    started = driver.drain(id, dict.fromkeys(("n0", "n1", "n2"), answer), batch=16)
    assert len(started) > 1_000
    totals = {name: node(driver, id, name) for name in apart}
    assert totals == {name: tuple(total) for name, total in apart.items()}
    asked = (
        "SELECT SUM(cost), SUM(CASE WHEN cost_kind = 'unknown' THEN 1 ELSE 0 END), SUM(input_tokens) FROM job_attempts"
    )
    of_jobs = "SELECT SUM(spent), SUM(unpriced), SUM(input_tokens) FROM agent_jobs"
    with driver.database.engine.connect() as connection:
        found = [tuple(map(int, connection.execute(text(each)).one())) for each in (asked, of_jobs)]
    assert found[0] == found[1] == (*(sum(total[place] for total in apart.values()) for place in (0, 1)), found[0][2])


def test_notes_are_json(driver: Driver) -> None:
    """Any character comes back as it was."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    notes = ('"quoted"', "two\nlines", "🙂")
    driver.record(id, paid(claim, notes=notes))
    ((_, stored),) = attempts(driver, claim, "notes")
    assert tuple(json.loads(stored)) == notes
