"""The fences against an effect that starts too late, a lease that lives too long, and a claim that is lost at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from engine_driver import Driver, completed, retrying
from moved_clock import MovedClock
from plans import chain, fan
from repository import SUPPORT
from servers import wait_until
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.machine import since_boot
from xtyl_engine.scheduler.outcomes import LICENCE_SECONDS, Claim, Outcome, Released
from xtyl_engine.settings import load_settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker import losses
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import Sweeper


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


class Holding(Executor):
    """Looks around while it executes, and may answer with an outcome of its own."""

    look: Any

    def execute(self, claim: Claim) -> Outcome:
        return self.look(claim) or completed(claim)


def slots_of(driver: Driver, look: Any) -> Slots:
    settings = load_settings()
    store = ArtifactStore(settings.artifacts_folder)
    executor = Holding(settings, driver.database, driver.plans, store, driver.recorder.may_start)
    executor.look = look
    return Slots(driver.recorder, executor, lambda id: None, 4, 60.0)


def sweeper_of(driver: Driver, slots: Slots, lease_seconds: float = 10.0, owner: str = "worker-1") -> Sweeper:
    return Sweeper(driver.database, slots, owner, lambda events: None, driver.plans.load, lease_seconds, 3.0, 1.0)


def old(claim: Claim) -> Claim:
    """The same claim, its licence run out."""
    return replace(claim, asked=since_boot() - 2 * LICENCE_SECONDS)


def test_a_fresh_claim_may_start(driver: Driver) -> None:
    """Its licence is younger than the moment it is good for."""
    (claim,) = driver.claim(driver.submit(chain(2)))
    assert driver.recorder.may_start(claim)


@pytest.mark.parametrize("control", ["pause", "stop"])
def test_no_effect_starts_once_a_control_has_returned(driver: Driver, control: str) -> None:
    """The claim was made just before; when the control returns its licence has run out, and is not renewed."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    getattr(driver.controls, control)(id)
    assert not driver.recorder.may_start(claim)


@pytest.mark.parametrize("control", ["pause", "stop"])
def test_a_control_that_changes_nothing_waits_as_well(driver: Driver, control: str) -> None:
    """Another control was a moment earlier; a job claimed before that does not start after this one's return either."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    other = threading.Thread(target=getattr(driver.controls, control), args=[id])
    other.start()
    wait_until(lambda: driver.state(id) in ("paused", "stopped"))
    getattr(driver.controls, control)(id)
    assert not driver.recorder.may_start(claim)
    other.join(20)


def test_a_sweep_looks_at_no_more_than_it_can_use(driver: Driver) -> None:
    """However many jobs are ready, it counts as many of each run as there are free slots, and asks for those; a run that is
    paused, and one with nothing ready, ask for none."""
    asked: list[str] = []
    slots = slots_of(driver, None)
    slots.notify = asked.append
    many, paused, busy = (driver.submit(chain(1), rows) for rows in (50, 5, 1))
    driver.controls.pause(paused)
    driver.claim(busy)
    with driver.database.read() as transaction:
        assert sorted(transaction.rows(sql.UNCLAIMED, {"limit": 4})) == sorted([(many, 4), (busy, 0)])
    sweeper_of(driver, slots).sweep()
    assert asked == [many] * 4


def test_an_old_claim_is_renewed_while_the_run_goes_on(driver: Driver) -> None:
    """A job that took long to prepare starts late, and its start is recorded then."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    before: Any = driver.jobs(id)["n0", "0"].started
    assert driver.recorder.may_start(old(claim))
    started: Any = driver.jobs(id)["n0", "0"].started
    assert started > before


def test_sleep_ends_a_licence(tmp_path: Path) -> None:
    """The machine sleeps right after a claim; on waking, a pause has returned before the claim's effect could start."""
    clock = MovedClock(tmp_path)
    code = f"""
from engine_driver import Driver; from plans import chain
from xtyl_engine.database.connection import Database; from xtyl_engine.database.schema import ensure_schema
database = Database("sqlite:///{tmp_path}/slept.db")
ensure_schema(database)
driver = Driver(database)
id = driver.submit(chain(1))
(claim,) = driver.claim(id)
open("{clock.offset}", "r+b").write(({8 * 3600} * 10**9).to_bytes(8, "{sys.byteorder}"))
driver.controls.pause(id)
print(driver.recorder.may_start(claim))
"""
    environ = (
        os.environ | clock.environ | {"PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])}
    )
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_old_claim_of_a_lost_job_may_not_start(driver: Driver) -> None:
    """A worker that slept for longer than its lease does not pay for what another does already."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    driver.expire_leases()
    sweeper_of(driver, slots_of(driver, None)).put_back_lost()
    assert not driver.recorder.may_start(old(claim))
    (again,) = driver.claim(id)
    assert not driver.recorder.may_start(old(claim))
    assert driver.recorder.may_start(old(again))


def test_a_released_job_spends_no_try(driver: Driver) -> None:
    """It is ready again at once, its attempt says so, and nothing counts against it."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    driver.record(id, Released(claim=claim, because="released"))
    (again,) = driver.claim(id)
    assert (again.number, again.tries) == (2, 1)
    with driver.database.engine.connect() as connection:
        found = connection.execute(text("SELECT because, outcome FROM job_attempts ORDER BY number"))
        assert [tuple(row) for row in found] == [("first", "released"), ("released", None)]
    assert "job_released" in driver.kinds(id)


def test_a_release_of_what_is_not_ours_changes_nothing(driver: Driver) -> None:
    """The job was lost and is another's now."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.expire_leases()
    sweeper_of(driver, slots_of(driver, None)).put_back_lost()
    driver.claim(id)
    driver.record(id, Released(claim=claim, because="released"))
    assert driver.states(id) == {"n0@0": "running"}


def test_leases_are_renewed_for_what_is_held_and_nothing_else(driver: Driver) -> None:
    """A claim whose answer never arrived has no holder: its lease runs out although its worker lives."""
    id = driver.submit(fan(3))
    driver.record(id, completed(*driver.claim(id)))
    (lost,) = driver.claim(id)
    leases: dict[int, bool] = {}

    def beat(claim: Claim) -> None:
        driver.expire_leases()
        sweeper_of(driver, slots).beat()
        with driver.database.engine.connect() as connection:
            found = connection.execute(text("SELECT id, lease > 1 FROM agent_jobs WHERE state = 'running'"))
            leases.update({row[0]: bool(row[1]) for row in found})

    slots = slots_of(driver, beat)
    slots.advance(id)
    assert leases.pop(lost.job_id) is False
    assert set(leases.values()) == {True}
    assert slots.held() == ()


def test_the_end_of_an_old_attempt_leaves_the_new_one_held(driver: Driver) -> None:
    """A job was taken from a slot and begun again in the same process; when its first attempt ends, the lease of the second one
    is still renewed."""
    id = driver.submit(chain(1))
    begun, ends = ({number: threading.Event() for number in (1, 2)} for _ in range(2))

    def work(claim: Claim) -> Outcome:
        begun[claim.number].set()
        ends[claim.number].wait(60)
        return retrying(claim) if claim.number == 1 else completed(claim)

    slots = slots_of(driver, work)
    first, second = (threading.Thread(target=slots.advance, args=[id], daemon=True) for _ in range(2))
    first.start()
    assert begun[1].wait(60)
    driver.expire_leases()
    sweeper_of(driver, slots_of(driver, None), owner="another").put_back_lost()
    second.start()
    assert begun[2].wait(60)
    ends[1].set()
    first.join(60)
    assert [claim.number for claim in slots.held()] == [2]
    driver.expire_leases()
    sweeper_of(driver, slots).beat()
    sweeper_of(driver, slots, owner="another").put_back_lost()
    assert driver.states(id) == {"n0@0": "running"}
    ends[2].set()
    second.join(60)
    assert driver.state(id) == "completed"


def test_claims_that_are_held_can_be_given_back(driver: Driver) -> None:
    """At the end of a worker its jobs are ready for others at once."""
    id = driver.submit(chain(1))
    states: list[dict[str, str]] = []

    def end(claim: Claim) -> None:
        if claim.number == 1:
            slots.closing = True
            assert slots.release() == 1
            states.append(driver.states(id))

    slots = slots_of(driver, end)
    slots.advance(id)
    assert states == [{"n0@0": "ready"}]


def test_after_an_outage_others_get_the_time_of_a_lease(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker can renew a lease while the database is away: at its return nothing is lost yet."""
    id = driver.submit(chain(1))
    driver.claim(id)
    driver.expire_leases()
    sweeper = sweeper_of(driver, slots_of(driver, None), lease_seconds=1.0)
    back = time.monotonic() + 1.0
    for seconds, state in ((0.0, "running"), (0.5, "running"), (1.0, "ready")):
        monkeypatch.setattr(losses, "time", SimpleNamespace(monotonic=lambda now=back + seconds: now))
        sweeper.put_back_lost()
        assert driver.states(id) == {"n0@0": state}
