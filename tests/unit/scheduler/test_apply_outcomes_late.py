"""Outcomes that come when their job is over, or runs in another epoch: what is paid is kept, what was said is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from engine_driver import Driver, completed, dead, failed, retrying, waiting
from plans import chain, fan, plan_of
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import ErrorClass
from xtyl_engine.providers.base import Usage
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.outcomes import Claim, Completed, Outcome, Released
from xtyl_engine.worker.owners import Pulse, unknown
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import MAX_LOST, Sweeper


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


def sweep(driver: Driver, pulse: Callable[[str], Pulse] = unknown) -> None:
    """One round of a sweeper that has no slots to fill."""
    slots = Slots(driver.recorder, None, lambda id: None, 0, 1.0)  # type: ignore[arg-type]
    sweeper = Sweeper(
        driver.database, slots, "sweeper", driver.published.extend, driver.plans.load, 10, 3, 1, pulse=pulse
    )
    sweeper.put_back_lost()


def lose(driver: Driver) -> None:
    """Let the processes of all running jobs die, and a sweep find them."""
    sweep(driver, dead)


def attempts(driver: Driver, claim: Claim) -> list[tuple[str, str | None]]:
    """Reason and outcome of each start of a claim's job."""
    return [(because, outcome) for _, because, _, _, outcome, _ in driver.queries.attempts(claim.job_id)]


def paid(claim: Claim) -> Completed:
    """A result of a paid service, with the key that equal jobs share."""
    return replace(completed(claim), usage=Usage(provider="openai", model="gpt", tokens=7, cost=0.5), cache_key="key")


def stored(driver: Driver, claim: Claim) -> tuple[Any, ...]:
    """What the row of a claim's job holds of a result: output, key and usage."""
    asked = text("SELECT output, cache_key, provider, tokens, cost FROM agent_jobs WHERE id = :id")
    with driver.database.engine.connect() as connection:
        return tuple(connection.execute(asked, {"id": claim.job_id}).one())


def errors(driver: Driver, claim: Claim) -> list[str | None]:
    return [error for *_, error in driver.queries.attempts(claim.job_id)]


def test_a_job_in_flight_goes_on_over_stop_and_resume(driver: Driver) -> None:
    """Its result comes after the resume: it is one attempt, and one effect."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.controls.resume(id)
    assert driver.states(id) == {"n0@0": "running", "n1@0": "blocked"}
    assert driver.claim(id) == ()
    driver.record(id, completed(claim))
    assert driver.drain(id) == [("n1", "0")]
    assert attempts(driver, claim) == [("first", "completed")]
    assert driver.state(id) == "completed"
    assert "job_late" not in driver.kinds(id)


def test_a_job_that_goes_on_counts_as_running(driver: Driver) -> None:
    """No more jobs start beside it than the run allows."""
    id = driver.submit(fan(3), max_parallel=1)
    driver.record(id, *map(completed, driver.claim(id)))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.controls.resume(id)
    assert driver.claim(id) == ()
    driver.record(id, completed(claim))
    assert len(driver.claim(id)) == 1


def test_the_worker_of_a_job_that_goes_on_may_be_lost_like_any_other(driver: Driver) -> None:
    """The sweep finds it: the job starts again, and the attempts say why."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.controls.resume(id)
    lose(driver)
    (again,) = driver.claim(id)
    driver.record(id, completed(again))
    assert attempts(driver, claim) == [("first", "lost"), ("lost", "completed")]


def test_a_suspect_that_goes_on_stays_one(driver: Driver) -> None:
    """Its worker died twice before the stop, and dies again after the resume."""
    id = driver.submit(chain(1))
    for _ in range(MAX_LOST - 1):
        driver.claim(id)
        lose(driver)
    driver.claim(id)
    driver.controls.stop(id)
    driver.controls.resume(id)
    lose(driver)
    assert driver.states(id) == {"n0@0": "quarantined"}


@pytest.mark.parametrize("is_second", [False, True])
def test_a_result_of_an_earlier_epoch_completes_its_job(driver: Driver, is_second: bool) -> None:
    """A completed parent never changes, so the result is right: before the new attempt starts and while it runs."""
    id = driver.submit(chain(2))
    (old,) = driver.claim(id)
    lose(driver)
    driver.controls.stop(id)
    driver.controls.resume(id)
    newer = driver.claim(id) if is_second else ()
    driver.record(id, completed(old))
    assert driver.states(id) == {"n0@0": "completed", "n1@0": "ready"}
    driver.record(id, *map(completed, newer))
    assert attempts(driver, old) == [("first", "completed"), ("reopened", "duplicate")][: 1 + is_second]
    assert driver.kinds(id).count("job_completed") == 1


ENDINGS: dict[str, Callable[[Claim], Outcome]] = {
    "released": lambda claim: Released(claim=claim, because="released"),
    "failed": failed,
    "retrying": retrying,
    "partial": lambda claim: failed(claim, ErrorClass.PARTIAL),
    "waiting": waiting,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_that_ends_after_a_stop_is_closed(driver: Driver, ending: str) -> None:
    """Its job stays stopped, the record says how it ended, and a resume starts it again: no process executes it any more."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.record(id, ENDINGS[ending](claim))
    assert driver.states(id) == {"n0@0": "stopped", "n1@0": "stopped"}
    assert (driver.state(id), driver.queries.execution(id).failed) == ("stopped", 0)
    assert driver.kinds(id)[-1] == "job_released"
    message = {"failed": "it broke", "partial": "it broke", "retrying": "try again"}.get(ending)
    assert errors(driver, claim) == [message]
    assert driver.queries.events(id)[-1].data == {"because": "over"} | ({"error": message} if message else {})
    driver.controls.resume(id)
    assert driver.drain(id) == [("n0", "0"), ("n1", "0")]
    assert attempts(driver, claim) == [("first", ending), ("reopened", "completed")]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_that_ends_twice_is_closed_once(driver: Driver, ending: str) -> None:
    """A commit whose answer was lost is repeated without harm."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.record(id, ENDINGS[ending](claim))
    before = driver.queries.events(id)
    driver.record(id, ENDINGS[ending](claim))
    assert driver.queries.events(id) == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_that_another_overtook_is_closed(driver: Driver, ending: str) -> None:
    """A slow worker's result completes the job while a newer attempt runs; that attempt does not stay open for ever."""
    id = driver.submit(chain(2))
    (slow,) = driver.claim(id)
    lose(driver)
    (newer,) = driver.claim(id)
    driver.record(id, completed(slow))
    driver.record(id, ENDINGS[ending](newer))
    assert driver.states(id) == {"n0@0": "completed", "n1@0": "ready"}
    assert attempts(driver, slow) == [("first", "completed"), ("lost", ending)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_that_was_lost_stays_lost(driver: Driver, ending: str) -> None:
    """What it says afterwards changes nothing; only a result still counts."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    lose(driver)
    driver.record(id, ENDINGS[ending](claim))
    assert attempts(driver, claim) == [("first", "lost")]
    assert driver.kinds(id)[-1] == "job_lost"


def test_a_job_keeps_its_lease_while_its_run_is_stopped(driver: Driver) -> None:
    """Its worker beats on: a sweep right after the resume, however late that is, takes nothing from it."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.expire_leases("stopped")
    beat = {"job_id": claim.job_id, "number": 1, "owner": claim.owner, "lease_seconds": 10.0}
    with driver.database.write() as transaction:
        assert transaction.run(transitions.BEAT, beat) == 1
    driver.controls.resume(id)
    sweep(driver)
    assert driver.states(id) == {"n0@0": "running"}


def fail_second(driver: Driver, claim: Claim) -> None:
    """Lose a claim, and let the next attempt fail."""
    lose(driver)
    driver.record(claim.execution_id, *map(failed, driver.claim(claim.execution_id)))


def lose_often(driver: Driver, claim: Claim) -> None:
    """Lose a claim and the next two attempts."""
    lose(driver)
    for _ in range(MAX_LOST - 1):
        driver.claim(claim.execution_id)
        lose(driver)


def stop(driver: Driver, claim: Claim) -> None:
    driver.controls.stop(claim.execution_id)


def set_back(driver: Driver, claim: Claim) -> None:
    """As a resume in steps may leave a job for a moment."""
    lose(driver)
    with driver.database.engine.begin() as connection:
        connection.execute(text("UPDATE agent_jobs SET state = 'blocked', pending = 1 WHERE node = 'n0'"))
        connection.execute(text("UPDATE execution_nodes SET blocked = ready, ready = 0 WHERE node = 'n0'"))


OVER: dict[str, Callable[[Driver, Claim], None]] = {
    "stopped": stop,
    "failed": fail_second,
    "quarantined": lose_often,
    "blocked": set_back,
}


@pytest.mark.parametrize("state", OVER)
def test_a_late_result_is_kept_with_its_key_and_usage(driver: Driver, state: str) -> None:
    """No other result was recorded, so it is kept, and starts nothing; the next late result is a duplicate."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    OVER[state](driver, claim)
    before = driver.states(id)
    assert before["n0@0"] == state
    driver.record(id, paid(claim))
    assert driver.states(id) == before
    assert driver.queries.events(id)[-1].data == {"kept": True}
    assert attempts(driver, claim)[0] == ("first", "late")
    assert stored(driver, claim) == (paid(claim).output, "key", "openai", 7, 0.5)
    driver.record(id, replace(paid(claim), output='{"value": "other"}', cache_key="other"))
    assert driver.queries.events(id)[-1].data == {"kept": False}
    assert stored(driver, claim) == (paid(claim).output, "key", "openai", 7, 0.5)


@pytest.mark.parametrize(("state", "control"), [("stopped", "resume"), ("failed", "retry"), ("quarantined", "retry")])
def test_a_kept_result_is_used_and_its_key_and_usage_stay(driver: Driver, state: str, control: str) -> None:
    """The next claim carries it, and completes its job without an effect."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    OVER[state](driver, claim)
    driver.record(id, paid(claim))
    getattr(driver.controls, control)(id)
    (again,) = driver.claim(id)
    assert again.late_output == paid(claim).output
    driver.record(id, replace(completed(again), output=again.late_output))
    assert driver.states(id) == {"n0@0": "completed", "n1@0": "ready"}
    assert stored(driver, claim) == (paid(claim).output, "key", "openai", 7, 0.5)


def test_a_late_result_of_a_review_that_waits_is_a_duplicate(driver: Driver) -> None:
    """Its options were recorded first, and a person may be looking at them."""
    id = driver.submit(plan_of({"look": {"type": "review"}, "end": {}}, [("look", "end")]))
    (old,) = driver.claim(id)
    lose(driver)
    (claim,) = driver.claim(id)
    driver.record(id, waiting(claim))
    driver.record(id, paid(old))
    assert driver.states(id) == {"look@0": "waiting", "end@0": "blocked"}
    assert attempts(driver, old) == [("first", "duplicate"), ("lost", "waiting")]
    assert stored(driver, old) == (waiting(claim).output, None, None, None, None)


@pytest.mark.parametrize("decision", ["waits", "approved", "rejected"])
def test_options_and_decisions_are_never_cached(driver: Driver, decision: str) -> None:
    """A late result was kept under its key; the review then showed options, and a person decided."""
    id = driver.submit(plan_of({"look": {"type": "review"}, "end": {}}, [("look", "end")]))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.record(id, paid(claim))
    asked = {"cache_key": "key", "execution_id": id}
    with driver.database.read() as transaction:
        assert transaction.row(sql.CACHED, asked) == (paid(claim).output, None, "openai", "gpt", 500_000_000)
    driver.controls.resume(id)
    driver.record(id, *map(waiting, driver.claim(id)))
    if decision == "approved":
        driver.controls.approve(id, "look", "0", choose=[0])
    elif decision == "rejected":
        driver.controls.reject(id, "look", "0", reason="no")
    with driver.database.read() as transaction:
        assert transaction.row(sql.CACHED, asked) is None


def test_a_partial_failure_in_a_paused_run_is_told_as_well(driver: Driver) -> None:
    """Two jobs need a person at once: the first pauses the run, and the record holds what both said."""
    id = driver.submit(fan(2))
    driver.record(id, *map(completed, driver.claim(id)))
    for claim in driver.claim(id, 2):
        driver.record(id, failed(claim, ErrorClass.PARTIAL))
    assert driver.state(id) == "paused"
    assert driver.states(id) == {"first@0": "completed", "m0@0": "ready", "m1@0": "ready", "last@0": "blocked"}
    first, second = driver.queries.events(id)[-2:]
    assert (str(first.kind), first.node, first.data) == ("paused", "m0", {"error": "it broke"})
    assert (str(second.kind), second.node, second.data) == (
        "job_released", "m1", {"because": "resumed", "error": "it broke"}
    )  # fmt: skip
