"""What attempts printed is written with whatever became of them, and by nothing that comes late from somewhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

import xtyl_nb as xt
from engine_driver import Driver, completed, failed, retrying, waiting
from plans import chain, fan
from xtyl_engine.database.connection import Database
from xtyl_engine.database.retention.executions import Retention, prune
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.errors import ErrorClass
from xtyl_engine.queries.pages import Listing
from xtyl_engine.scheduler.keep_prints import keep_live_prints
from xtyl_engine.scheduler.outcomes import Claim, Outcome, Released
from xtyl_engine.values.prints import Printed
from xtyl_engine.workflow.document import parse_document
from xtyl_engine.workflow.validate import validate

CALLS = validate(parse_document(xt.Workflow("calls").call("made", len, obj="x").to_json()))
SAID = Printed(text="half\nway", done=1, of=2)


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


def partial(claim: Claim) -> Outcome:
    return failed(claim, ErrorClass.PARTIAL)


def released(claim: Claim) -> Outcome:
    return Released(claim=claim, because="stopped", may_have_started=True)


def kept(driver: Driver, id: str) -> list[tuple[Any, ...]]:
    """Item, number, text and progress of each attempt that printed."""
    page = Listing(driver.database).logs(id, node=None, item=None, after=None, limit=100)
    return [(each.item, each.number, each.text, each.done, each.of) for each in page.items]


@pytest.mark.parametrize("answer", [completed, failed, retrying, waiting, partial, released])
def test_prints_are_kept_with_every_outcome(driver: Driver, answer: Callable[[Claim], Any]) -> None:
    """A result, a failure, another try, a wait, a pause or a release: what was printed before is there."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    driver.record(id, replace(answer(claim), printed=SAID))
    assert kept(driver, id) == [("0", 1, "half\nway", 1.0, 2.0)]


def test_each_attempt_has_its_own(driver: Driver) -> None:
    """The second try adds a text and leaves that of the first; rows that end together keep theirs apart."""
    id = driver.submit(fan(1), rows=2)
    first, second = driver.claim(id, 2)
    driver.record(
        id, replace(retrying(first), printed=Printed(text="a")), replace(completed(second), printed=Printed(text="b"))
    )
    (again,) = driver.claim(id)
    driver.record(id, replace(completed(again), printed=Printed(text="c")))
    assert sorted(kept(driver, id)) == [
        (first.item, 1, "a", None, None),
        (first.item, 2, "c", None, None),
        (second.item, 1, "b", None, None),
    ]


@pytest.mark.parametrize("answer", [completed, failed])
def test_prints_of_an_attempt_that_comes_late_are_kept(driver: Driver, answer: Callable[[Claim], Any]) -> None:
    """A stopped run keeps what the job printed that ended after the stop."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.record(id, replace(answer(claim), printed=SAID))
    assert kept(driver, id) == [("0", 1, "half\nway", 1.0, 2.0)]


def test_a_running_attempt_has_what_it_printed_so_far(driver: Driver) -> None:
    """It is read in the overview, and each write replaces the one before."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    for said in (Printed(text="one"), SAID):
        keep_live_prints(driver.database, {claim.attempt: said}, 5.0)
    assert kept(driver, id) == [("0", 1, "half\nway", 1.0, 2.0)]


def test_of_an_attempt_that_is_gone_nothing_is_written(driver: Driver) -> None:
    """Its run was deleted while it printed; the write says nothing and leaves nothing."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    keep_live_prints(driver.database, {(claim.job_id, 7): SAID, (claim.job_id + 1_000, 1): SAID}, 5.0)
    with driver.database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM attempt_logs")).scalar() == 0


def test_prints_go_with_their_run(driver: Driver) -> None:
    """Retention removes them, and those of another run stay."""
    old, young = driver.submit(chain(1)), driver.submit(chain(1))
    for id in (old, young):
        (claim,) = driver.claim(id)
        driver.record(id, replace(completed(claim), printed=SAID))
    with driver.database.engine.begin() as connection:
        connection.execute(text("UPDATE workflow_executions SET finished = 1 WHERE id = :id"), {"id": old})
    assert list(prune(driver.database, Retention(seconds=60.0))) == [(old, 1)]
    assert kept(driver, young) == [("0", 1, "half\nway", 1.0, 2.0)]
    with driver.database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM attempt_logs")).scalar() == 1


def test_an_overview_has_what_is_printed_now(driver: Driver) -> None:
    """Of each node the last line of the job that printed last, and the sum of how far they are; of ended jobs nothing."""
    id = driver.submit(CALLS, rows=3)
    first, second, third = driver.claim(id, 3)
    assert driver.overview(id).nodes["made"].printed is None
    keep_live_prints(driver.database, {second.attempt: Printed(text="x" * 1_000 + "\nsecond \n", done=3, of=10)}, 5.0)
    with driver.database.engine.begin() as connection:
        connection.execute(text("UPDATE attempt_logs SET written = written - 1"))
    keep_live_prints(driver.database, {first.attempt: Printed(text="one\nfirst", done=4, of=10)}, 5.0)
    node = driver.overview(id).nodes["made"]
    assert (node.printed, node.progress_done, node.progress_of) == ("first", 7.0, 20.0)
    driver.record(id, replace(completed(first), printed=Printed(text="first")))
    node = driver.overview(id).nodes["made"]
    assert (node.printed, node.progress_done, node.progress_of) == ("second", 3.0, 10.0)
    driver.record(id, completed(second), completed(third))
    node = driver.overview(id).nodes["made"]
    assert (node.printed, node.progress_done, node.progress_of) == (None, None, None)


class Listening(Database):
    """A database that notes the statements it is given."""

    def compiled(self, statement: Any) -> Any:
        made = super().compiled(statement)
        self.__dict__.setdefault("heard", []).append(made.text)
        return made


def test_a_silent_attempt_costs_no_statement(database_url: str) -> None:
    """Neither its claim nor its outcome touches the table."""
    database = Listening(database_url)
    ensure_schema(database)
    driver = Driver(database)
    id = driver.submit(chain(3))
    (claim,) = driver.claim(id)
    driver.record(id, completed(claim))
    heard = database.__dict__["heard"]
    assert any("job_attempts" in statement for statement in heard)
    assert [statement for statement in heard if "attempt_logs" in statement] == []
    database.close()
