"""What running attempts print is written while they run, by the process that runs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from engine_driver import Driver, completed
from plans import chain, fan
from servers import wait_until
from xtyl_engine.database.connection import Database
from xtyl_engine.queries.pages import Listing
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.values.prints import Printed, Prints
from xtyl_engine.worker.live_prints import LivePrints


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


@pytest.fixture
def live(driver: Driver) -> Iterator[LivePrints]:
    yield LivePrints(driver.database)
    wait_until(lambda: all(thread.name != "xtyl-prints" for thread in threading.enumerate()))


def kept(driver: Driver, id: str) -> dict[str, str]:
    """The text of each job that printed, by item."""
    page = Listing(driver.database).logs(id, node=None, item=None, after=None, limit=100)
    return {each.item: each.text for each in page.items}


def prints(said: bytes) -> Prints:
    made = Prints()
    made.feed(said)
    return made


def test_what_is_printed_is_written_while_the_job_runs(driver: Driver, live: LivePrints) -> None:
    """It is in the database soon, and what follows too; once nothing that prints is open the thread ends."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    said = prints(b"one\n")
    live.take(claim, said)
    wait_until(lambda: kept(driver, id) == {"0": "one"})
    said.feed(b"two\n")
    live.take(claim, said)
    wait_until(lambda: kept(driver, id) == {"0": "one\ntwo"})
    assert live.ended(completed(claim)).printed == Printed(text="one\ntwo")


def test_an_outcome_takes_all_that_was_printed_with_it(driver: Driver, live: LivePrints) -> None:
    """It has what was not written yet, and nothing older is written after it."""
    id = driver.submit(fan(1), rows=2)
    first, second = driver.claim(id, 2)
    live.take(first, prints(b"first"))
    live.take(second, prints(b"second"))
    driver.record(id, live.ended(completed(first)))
    live.save()
    assert kept(driver, id) == {first.item: "first", second.item: "second"}
    assert live.ended(completed(second)).printed == Printed(text="second")


def test_a_silent_attempt_is_left_alone(driver: Driver, live: LivePrints) -> None:
    """Its outcome is the same, and no thread was started."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    done = completed(claim)
    assert live.ended(done) is done
    assert all(thread.name != "xtyl-prints" for thread in threading.enumerate())


class Counting(Database):
    """A database that counts its writes."""

    writes = 0

    def transact(self, work: Any, *, seconds: float | None = None) -> Any:
        self.writes += 1
        return super().transact(work, seconds=seconds)


def test_what_was_written_is_not_written_again(driver: Driver) -> None:
    """A job that has printed once and goes on silently costs one write."""
    database = Counting(driver.database.url)
    live = LivePrints(database)
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    live.take(claim, prints(b"once"))
    for _ in range(3):
        live.save()
    assert database.writes == 1
    live.ended(completed(claim))
    database.close()


def test_a_database_that_is_away_costs_no_job_anything(driver: Driver) -> None:
    """The prints are kept in memory, and go with the outcome."""
    database = Database("postgresql+psycopg://me@127.0.0.1:9/none")
    live = LivePrints(database)
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    live.take(claim, prints(b"kept"))
    live.save_last()
    assert live.ended(completed(claim)).printed == Printed(text="kept")
    database.close()


def test_two_attempts_at_a_job_are_apart(driver: Driver, live: LivePrints) -> None:
    """A slot that is still at an old attempt adds nothing to that of another slot."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    again: Claim = replace(claim, number=2)
    live.take(claim, prints(b"old"))
    live.take(again, prints(b"new"))
    assert live.ended(completed(again)).printed == Printed(text="new")
    assert live.ended(completed(claim)).printed == Printed(text="old")
