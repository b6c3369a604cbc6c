"""How jobs stand and how long they waited, as it is read from SQL for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import update

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.census import Census
from xtyl_engine.database import Database
from xtyl_engine.errors import TransientError
from xtyl_engine.plans import PlanCache
from xtyl_engine.tables import attempts, executions, jobs
from xtyl_engine.waits import MOST, Waits


@pytest.fixture
def bench(tmp_path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def loud(text: str) -> str:
    return text.upper()


def flow():
    return xt.Workflow("w").generate_copy("line", prompt="About {{ n }}").call("shout", loud, text="{{ line.text }}")


def test_jobs_are_counted_by_state_and_type(bench):
    """Those of runs that are not over, in one grouping by what their nodes are; those of paused runs apart."""
    flow().run([{"n": n} for n in range(3)])
    flow().run(n=8).pause()
    other = flow().run(n=9)
    bench.work(other, 1)
    bench.done(flow(), n=10)
    census = Census(bench.backend.database, PlanCache().load)
    assert dict(census()) == {
        ("pending", "ready", "generate_copy"): 3,
        ("pending", "blocked", "call"): 3,
        ("paused", "ready", "generate_copy"): 1,
        ("paused", "blocked", "call"): 1,
        ("running", "completed", "generate_copy"): 1,
        ("running", "ready", "call"): 1,
    }


def test_the_count_is_kept_for_a_while(bench):
    """Who collects often does not ask the database as often."""
    run = flow().run(n=1)
    census = Census(bench.backend.database, PlanCache().load)
    first = census()
    bench.work(run)
    assert census() is first


def test_without_a_database_there_is_no_count(tmp_path):
    """A number that is not known is not told; whoever collects gets the others."""
    census = Census(Database(f"sqlite:///{tmp_path}/gone/xtyl.db"), PlanCache().load)
    assert census() == []


def test_how_long_jobs_were_ready_is_read_from_the_record(bench):
    """From the end of the last parent, or from submission for a job that has none."""
    database, plans = bench.backend.database, PlanCache()
    run = flow().run(n=1)
    waits, claims = Waits(database, plans.load), []
    outcomes = []
    while granted := bench.recorder.record(outcomes, run.id, 1).claims:
        claims += granted
        outcomes = [bench.executor.execute(claim) for claim in granted]
    with database.engine.begin() as connection:
        connection.execute(update(executions).values(created=100.0))
        for claim, started, finished in zip(claims, (103.0, 115.0), (110.0, 116.0), strict=True):
            connection.execute(update(attempts).where(attempts.c.job_id == claim.job_id).values(started=started))
            connection.execute(update(jobs).where(jobs.c.id == claim.job_id).values(finished=finished))
    for claim in claims:
        waits.note(claim, bench.executor.type_of(claim))
    assert waits.read() == [("generate_copy", 3.0), ("call", 5.0)]
    assert waits.read() == []


def test_a_retry_is_ready_when_its_pause_is_over(bench):
    """Neither the attempt before nor the pause after it counts as waiting; a retry by hand is left out."""
    database, claims = bench.backend.database, []

    def stumble() -> None:
        raise TransientError("again")

    run = xt.Workflow("w").call("a", stumble, retry={"attempts": 2, "base_seconds": 0.001}).run(n=1)
    outcomes = []
    while len(claims) < 2:
        granted = bench.recorder.record(outcomes, run.id, 1).claims
        claims += granted
        outcomes = [bench.executor.execute(claim) for claim in granted]
    bench.recorder.record(outcomes, run.id, 0)
    run.retry()
    third = bench.recorder.record([], run.id, 1).claims
    with database.engine.begin() as connection:
        connection.execute(update(executions).values(created=100.0))
        connection.execute(update(jobs).values(due=150.0))
        connection.execute(update(attempts).where(attempts.c.number == 1).values(started=101.0, finished=140.0))
        connection.execute(update(attempts).where(attempts.c.number == 2).values(started=152.0))
    waits = Waits(database, PlanCache().load)
    for claim in (*claims, *third):
        waits.note(claim, "call")
    assert waits.read() == [("call", 1.0), ("call", 2.0)]


def test_of_many_jobs_a_few_are_read(bench):
    """However fast jobs are, reading how long they waited costs little."""
    run = flow().run(n=1)
    claims = bench.recorder.record([], run.id, 1).claims
    waits = Waits(bench.backend.database, PlanCache().load)
    for _ in range(10 * MOST):
        waits.note(claims[0], "call")
    assert len(waits.read()) == MOST
