"""Which jobs are lost: by the process that holds them where it can be asked, by its lease where it cannot."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from engine_driver import Driver
from owner_process import OwnerProcess
from plans import chain
from xtyl_engine.database.connection import Database
from xtyl_engine.worker import losses
from xtyl_engine.worker.losses import Losses, Unchanged
from xtyl_engine.worker.owners import Owners
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import Sweeper

LEASE, BEAT, SILENT = 10.0, 3.0, 60.0


@pytest.fixture
def other(tmp_path: Path) -> Iterator[OwnerProcess]:
    """A process of this home that holds claims."""
    made = OwnerProcess(tmp_path)
    yield made
    made.kill()


def holding(database: Database, owner: str) -> tuple[Driver, str]:
    """A run whose only job this owner has claimed."""
    driver = Driver(database, owner=owner)
    id = driver.submit(chain(1))
    assert driver.claim(id)
    return driver, id


def losses_of(driver: Driver, home: Path) -> Losses:
    """A look from another process of a home."""
    owners = Owners(home)
    return Losses(driver.database, owners.name, tuple, LEASE, BEAT, SILENT, owners.pulse)


def found(look: Losses) -> list[str]:
    return [loss.why for loss in look.find()]


def deaths(look: Losses) -> list[bool]:
    """Whether the job answers for each of them."""
    return [loss.is_death for loss in look.find()]


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set the clock of the process that looks."""
    monkeypatch.setattr(losses, "time", SimpleNamespace(monotonic=lambda: seconds))


def test_a_killed_process_has_lost_its_jobs_at_once(database: Database, tmp_path: Path, other: OwnerProcess) -> None:
    """Its lease still runs, or lies hours ahead because the clock was set back: that is not asked. The attempt says why."""
    driver, id = holding(database, other.name)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE agent_jobs SET lease = lease + 28800"))
    look = losses_of(driver, tmp_path)
    assert found(look) == []
    other.kill()
    assert found(look) == ["its worker process ended"]
    assert deaths(look) == [True]
    slots = Slots(driver.recorder, None, lambda id: None, 0, 1.0)  # type: ignore[arg-type]
    owners = Owners(tmp_path)
    sweeper = Sweeper(
        database,
        slots,
        owners.name,
        driver.published.extend,
        driver.plans.load,
        LEASE,
        BEAT,
        1.0,
        pulse=owners.pulse,
    )
    sweeper.put_back_lost()
    assert driver.states(id) == {"n0@0": "ready"}
    ((_, _, _, _, outcome, error),) = driver.queries.attempts(driver.jobs(id)["n0", "0"].id)
    assert (outcome, error) == ("lost", "its worker process ended")


def test_a_free_lock_alone_loses_jobs_after_two_beats(
    database: Database, tmp_path: Path, other: OwnerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a process among other pids a free lock may be an accident, which its next beat mends: so the loss is not certain."""
    at(monkeypatch, 0.0)
    driver, _ = holding(database, other.name)
    other.do("read")
    (tmp_path / "owners" / f"{other.name.split(':')[2]}.lock").write_text("")
    look, why = losses_of(driver, tmp_path), []
    for second in range(int(2 * BEAT) + 1):
        at(monkeypatch, float(second))
        why.append(found(look))
    assert why[:-1] == [[]] * int(2 * BEAT)
    assert why[-1] == ["its worker process let go of its lock, and its lease was not renewed for 6 s"]
    assert [(loss.is_death, loss.is_certain) for loss in look.find()] == [(True, False)]


def test_a_living_process_keeps_jobs_whose_lease_ran_out(
    database: Database, tmp_path: Path, other: OwnerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock jumped, or it is frozen. Only a minute of silence that others watched loses them, and the attempt says so."""
    at(monkeypatch, 0.0)
    driver, _ = holding(database, other.name)
    driver.expire_leases()
    os.kill(other.pid, signal.SIGSTOP)
    look, why = losses_of(driver, tmp_path), []
    for second in range(int(SILENT) + 1):
        at(monkeypatch, float(second))
        why.append(found(look))
    assert why[:-1] == [[]] * int(SILENT)
    assert why[-1] == ["its worker process lived, and its lease was not renewed for 60 s"]
    assert deaths(look) == [False]


def test_a_beat_ends_the_silence(
    database: Database, tmp_path: Path, other: OwnerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was heard of once in the minute has lost nothing, even if its lease is over again."""
    at(monkeypatch, 0.0)
    driver, _ = holding(database, other.name)
    driver.expire_leases()
    look = losses_of(driver, tmp_path)
    for second in range(0, 2 * int(SILENT), 2):
        if second == 40:
            with database.engine.begin() as connection:
                connection.execute(text("UPDATE agent_jobs SET lease = 2"))
        at(monkeypatch, float(second))
        assert bool(found(look)) is (second >= 40 + SILENT)


def test_who_stood_still_begins_to_watch_anew(
    database: Database, tmp_path: Path, other: OwnerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both were frozen together for an hour: the one that wakes first does not take the other's silence for its own watch."""
    at(monkeypatch, 0.0)
    driver, _ = holding(database, other.name)
    driver.expire_leases()
    look = losses_of(driver, tmp_path)
    assert found(look) == []
    for seconds in (3600.0, 3602.0, 3604.0):
        at(monkeypatch, seconds)
        assert found(look) == []


def test_a_process_of_another_home_has_its_lease(database: Database, tmp_path: Path, other: OwnerProcess) -> None:
    """It cannot be asked: its job is lost when its lease runs out, not before, and the attempt says that."""
    driver, _ = holding(database, other.name)
    look = losses_of(driver, tmp_path / "elsewhere")
    assert found(look) == []
    driver.expire_leases()
    assert found(look) == ["its lease ran out"]
    assert deaths(look) == [True]


def test_a_lease_ahead_of_the_clock_is_lost_after_a_silence(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was set back after an unknown worker's last beat: its job does not wait until the clock comes there again."""
    at(monkeypatch, 0.0)
    driver, _ = holding(database, "far:1:cafe")
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE agent_jobs SET lease = lease + 28800"))
    look = losses_of(driver, tmp_path)
    for second in range(0, int(SILENT) + 2, 2):
        at(monkeypatch, float(second))
        why = found(look)
        assert why == (["its lease was not renewed for 60 s"] if second >= SILENT else [])


def test_values_are_watched_by_their_key() -> None:
    """A value that changes, vanishes or comes anew begins at zero."""
    watch = Unchanged()
    assert watch.watch({"a": 1.0, "b": 1.0}, 10.0) == {"a": 0.0, "b": 0.0}
    assert watch.watch({"a": 1.0, "b": 2.0}, 15.0) == {"a": 5.0, "b": 0.0}
    assert watch.watch({"b": 2.0}, 20.0) == {"b": 5.0}
    assert watch.watch({"a": 1.0, "b": 2.0}, 21.0) == {"a": 0.0, "b": 6.0}
    watch.forget()
    assert watch.watch({"b": 2.0}, 22.0) == {"b": 0.0}
