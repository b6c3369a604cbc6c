"""The kept counts and times of nodes, whatever happens to their jobs. That they equal a look at each job is also asked by the
driver of every test, whenever it reads jobs.
"""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from engine_driver import Answer, Driver, completed, failed, retrying, waiting
from plans import chain, plan_of
from xtyl_engine.database.connection import Database
from xtyl_engine.database.node_counts import BEATS
from xtyl_engine.scheduler.node_changes import beat

HOUR = 3_600.0


def seconds(driver: Driver, id: str, node: str = "n0") -> float | None:
    """The time at work that a card shows now."""
    overview = driver.overview(id)
    assert overview.now is not None
    return overview.nodes[node].seconds_at_work(overview.now)


def slow_worker(database: Database) -> Driver:
    """One whose jobs may run for a minute without a beat."""
    return Driver(database, lease_seconds=60, beat_seconds=20)


def about(expected: float) -> object:
    """This many seconds, and those that the test itself takes."""
    return pytest.approx(expected + 4, abs=5)


def test_time_at_work_is_the_union_of_the_jobs_times(database: Database) -> None:
    """Two jobs side by side count once, and the hour between jobs counts not at all."""
    driver = slow_worker(database)
    id = driver.submit(chain(1), 3)
    assert seconds(driver, id) is None
    together = driver.claim(id, 2)
    driver.pass_time(40)
    driver.record(id, completed(together[0]))
    driver.pass_time(10)
    driver.record(id, completed(together[1]))
    driver.pass_time(HOUR)
    assert seconds(driver, id) == about(50)
    (last,) = driver.claim(id)
    driver.pass_time(30)
    assert seconds(driver, id) == about(80)
    driver.record(id, completed(last))
    driver.pass_time(HOUR)
    assert seconds(driver, id) == about(80)
    assert driver.state(id) == "completed"


def test_a_paused_card_stands_still_once_its_last_job_is_over(database: Database) -> None:
    """Until then it is at work, pause or not."""
    driver = slow_worker(database)
    id = driver.submit(chain(1), 2)
    (claim,) = driver.claim(id)
    driver.pass_time(10)
    driver.controls.pause(id)
    driver.pass_time(20)
    assert seconds(driver, id) == about(30)
    driver.record(id, completed(claim))
    driver.pass_time(HOUR)
    assert seconds(driver, id) == about(30)
    assert driver.overview(id).nodes["n0"].busy_since is None


def test_a_card_that_waits_stands_still(database: Database) -> None:
    """For a person, and for the next try of a job."""
    driver = slow_worker(database)
    id = driver.submit(plan_of({"look": {"type": "review"}, "tried": {}}, []))
    claims = {claim.node: claim for claim in driver.claim(id, 2)}
    driver.pass_time(20)
    driver.record(id, waiting(claims["look"]))
    driver.record(id, retrying(claims["tried"], delay_seconds=2 * HOUR))
    driver.pass_time(HOUR)
    assert [seconds(driver, id, node) for node in ("look", "tried")] == [about(20), about(20)]


@pytest.mark.parametrize("beat_seconds", [3.0, 20.0])
def test_no_clock_and_no_silence_puts_hours_into_a_card(database: Database, beat_seconds: float) -> None:
    """A clock that was set forward, or a night with the machine off, counts as a few beats of that worker at most, one set back
    as nothing."""
    driver = Driver(database, lease_seconds=60, beat_seconds=beat_seconds)
    most = BEATS * beat_seconds
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.pass_time(8 * HOUR)
    assert seconds(driver, id) == about(most)
    driver.record(id, retrying(claim))
    assert seconds(driver, id) == about(most)
    (claim,) = driver.claim(id)
    driver.pass_time(-8 * HOUR)
    assert seconds(driver, id) == about(most)
    driver.record(id, completed(claim))
    node = driver.overview(id).nodes["n0"]
    assert node.busy_seconds == about(most)


def test_a_card_stands_still_where_no_worker_beats(database: Database) -> None:
    """Whatever the moment for which it is asked, before a beat was missed and after; and what it showed is what is kept."""
    driver = Driver(database)
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.pass_time(2)
    with database.write() as transaction:
        beat(transaction, [(id, claim.node)], 1.0)
    before = driver.overview(id)
    assert before.now is not None
    at_last = before.nodes["n0"].seconds_at_work(before.now + HOUR)
    driver.pass_time(HOUR)
    assert seconds(driver, id) == pytest.approx(at_last, abs=1e-3) == pytest.approx(2 + BEATS * 1.0, abs=1.5)
    assert driver.overview(id).nodes["n0"].busy_since is None
    driver.record(id, retrying(claim))
    assert seconds(driver, id) == pytest.approx(at_last, abs=1e-3)


def test_the_latest_results_are_those_that_came_last(database: Database) -> None:
    """Newest first, and the first error stays until a retry."""
    driver = Driver(database)
    id = driver.submit(chain(1), 8)
    claims = driver.claim(id, 8)
    driver.record(id, *(completed(claim) for claim in claims[:5]))
    driver.record(id, completed(claims[6]), completed(claims[5]))
    assert driver.overview(id).nodes["n0"].text == "5"
    driver.record(id, failed(claims[7]))
    error = driver.overview(id).nodes["n0"].error
    assert error is not None
    assert error.endswith("it broke")
    driver.controls.retry(id)
    assert driver.overview(id).nodes["n0"].error is None


def test_branches_are_counted_as_they_are_taken(database: Database) -> None:
    """Once for each row."""
    driver = Driver(database)
    plan = plan_of({"way": {"type": "conditional", "when": "x"}, "a": {}}, [("way", "a", "then")])
    id = driver.submit(plan, 3)
    claims = driver.claim(id, 3)
    for claim, branch in zip(claims, ["then", "otherwise", "then"], strict=True):
        driver.record(id, completed(claim, branch=branch))
    assert driver.overview(id).nodes["way"].branches == {"then": 2, "otherwise": 1}
    assert driver.states(id)["a@1"] == "skipped"


def test_an_overview_costs_the_same_however_many_jobs_there_are(database: Database) -> None:
    """It reads the rows of the nodes, the latest results and the reviews that it shows, and no other job."""
    few, many = (effort(database, prepared(database, rows)) for rows in (100, 3_000))
    assert many < 1.5 * few


def test_a_run_waits_for_a_retry_only_if_no_job_is_due(database: Database) -> None:
    """Of two ready jobs, one due at once, it says that a worker is missing."""
    driver = Driver(database)
    id = driver.submit(chain(1), 2)
    (claim,) = driver.claim(id)
    driver.record(id, retrying(claim, delay_seconds=HOUR))
    assert "a worker" in str(driver.overview(id).waiting_for)
    (other,) = driver.claim(id)
    driver.record(id, retrying(other, delay_seconds=HOUR))
    assert driver.overview(id).waiting_for == "a retry"


def prepared(database: Database, rows: int) -> str:
    """A run with reviews that wait, jobs that failed and branches that were taken."""
    driver = Driver(database)
    id = driver.submit(
        plan_of(
            {"way": {"type": "conditional", "when": "x"}, "a": {}, "look": {"type": "review"}, "bad": {}},
            [("way", "a", "then")],
        ),
        rows,
    )
    answers: dict[str, Answer] = {"way": lambda claim: completed(claim, branch="then"), "look": waiting, "bad": failed}
    driver.drain(id, answers, batch=500)
    return id


def effort(database: Database, id: str) -> int:
    """What one overview costs: hundreds of steps of SQLite's machine, or jobs that PostgreSQL reads."""
    driver = Driver(database)
    if not database.is_sqlite:
        with database.engine.begin() as connection:
            connection.execute(text("ANALYZE"))
        before = jobs_read(database)
        driver.overview(id)
        return jobs_read(database) - before
    taken = [0]

    def count() -> int:
        taken[0] += 1
        return 0

    # One connection is open then, which the overview reads from.
    database.close()
    with database.engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.set_progress_handler(count, 100)
    driver.overview(id)
    return taken[0]


def jobs_read(database: Database) -> int:
    """How many rows of jobs PostgreSQL has read so far."""
    with database.engine.connect() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        connection.commit()
        found = connection.execute(
            text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'agent_jobs'::regclass")
        )
        return int(found.scalar_one())


def test_a_long_job_counts_whole_while_its_process_beats(database: Database) -> None:
    """However long nothing else happens to the run."""
    driver = Driver(database)
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    with database.write() as transaction:
        beat(transaction, [(id, claim.node)], 20.0)
    for _ in range(5):
        driver.pass_time(50)
        with database.write() as transaction:
            beat(transaction, [(id, claim.node)], 20.0)
    assert seconds(driver, id) == about(250)
    driver.record(id, completed(claim))
    assert seconds(driver, id) == about(250)
