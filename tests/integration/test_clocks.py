"""The clock moves while jobs run, as it does when a machine wakes; a worker is frozen; the database is busy for long: no living
process loses a job. A killed one loses its jobs at once, whatever the clock says.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

import xtyl_nb as xt
from backend import Effects
from fleet import fleet
from moved_clock import MovedClock
from servers import kill, valkey_server, wait_until
from xtyl_engine.database.connection import Database
from xtyl_engine.settings import Settings, load_settings, prepare_home

HOURS = 3600.0
JOBS = 3
# The lease and the beat of every back end that sets none; the sweep is sooner, so that it comes before the beat.
SLEEPY = {"XTYL_SLOTS": "6", "XTYL_SWEEP_SECONDS": "0.2"}
# So long that a test that waits for its end fails.
ENDLESS_SECONDS = 1000.0
LEASES = text("SELECT id, lease FROM agent_jobs WHERE state = 'running'")


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """The clock of every process that this test starts from now on."""
    made = MovedClock(tmp_path)
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def settings(clock: MovedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A back end without a worker. SQLite has no clock but that of each process."""
    with valkey_server() as broker:
        given = {"XTYL_HOME": str(tmp_path / "sleepy"), "XTYL_REDIS_URL": broker}
        settings = load_settings({**SLEEPY, **given, "XTYL_ACCEPT_FUNCTIONS": "1"})
        prepare_home(settings)
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        yield settings


def held_jobs(effects: Effects, gate: Path) -> xt.Run:
    """A run whose jobs have all begun, and end when the gate is there."""

    def work(name: str) -> str:
        if effects.note(name) == 1:
            while not gate.exists():
                time.sleep(0.02)
        return name

    run = xt.Workflow("held").call("work", work, name="{{ name }}").run([{"name": f"job {n}"} for n in range(JOBS)])
    wait_until(lambda: len(effects.lines()) == JOBS)
    return run


def leases(settings: Settings) -> dict[int, float]:
    """The lease of each running job."""
    engine = create_engine(settings.database_url)
    with engine.connect() as connection:
        found = {row[0]: row[1] for row in connection.execute(LEASES)}
    engine.dispose()
    return found


def errors(settings: Settings) -> list[str]:
    """What the lost attempts say."""
    engine = create_engine(settings.database_url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT error FROM job_attempts WHERE outcome = 'lost'"))
        said = [str(row[0]) for row in found]
    engine.dispose()
    return said


def sweeps(settings: Settings) -> list[float]:
    """When each process of a home has last swept, as far as it has said."""
    return [json.loads(path.read_bytes())["swept"] for path in (settings.home / "run").glob("*.json")]


def overdue(settings: Settings, seconds: float) -> bool:
    """Whether the leases of all running jobs ran out so many seconds ago."""
    return all(lease < time.time() - seconds for lease in leases(settings).values())


@pytest.fixture
def hasty(settings: Settings) -> Settings:
    """Leases that are soon over."""
    return replace(settings, lease_seconds=1.5, beat_seconds=0.3)


def end(run: xt.Run, gate: Path) -> xt.Run:
    gate.touch()
    return run.wait(90)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
@pytest.mark.parametrize("seconds", [8 * HOURS, 30.0, -8 * HOURS], ids=["a night's sleep", "a step", "a step back"])
def test_a_clock_that_moves_costs_no_job(
    settings: Settings, clock: MovedClock, effects: Effects, tmp_path: Path, pool: str, seconds: float
) -> None:
    """Jobs that ran before go on, and are paid once; their leases are renewed by the new clock."""
    gate = tmp_path / "gate"
    with fleet(settings, pool):
        run = held_jobs(effects, gate)
        before = leases(settings)
        clock.move(seconds)
        renewed = abs(seconds) / 2
        wait_until(lambda: all(abs(lease - before[id]) > renewed for id, lease in leases(settings).items()))
        end(run, gate)
    assert run.state == "completed"
    assert Counter(effects.lines()) == {f"job {n}": 1 for n in range(JOBS)}
    assert run.jobs()["attempts"].tolist() == [1] * JOBS


def test_a_clock_that_moves_costs_no_job_of_another_home(
    settings: Settings, clock: MovedClock, effects: Effects, tmp_path: Path
) -> None:
    """Workers of two homes cannot ask each other: who sees the clock jump gives all the time of a lease to renew theirs."""
    gate, elsewhere = tmp_path / "gate", replace(settings, home=tmp_path / "elsewhere")
    prepare_home(elsewhere)
    with fleet(settings):
        run = held_jobs(effects, gate)
        with fleet(elsewhere):
            wait_until(lambda: sweeps(elsewhere))
            before, began = leases(settings), time.time()
            wait_until(lambda: min(sweeps(elsewhere)) > began)
            clock.move(8 * HOURS)
            wait_until(lambda: all(lease - before[id] > HOURS for id, lease in leases(settings).items()))
            end(run, gate)
    assert Counter(effects.lines()) == {f"job {n}": 1 for n in range(JOBS)}


def test_a_dead_worker_is_noticed_though_the_clock_went_back(
    settings: Settings, clock: MovedClock, effects: Effects, tmp_path: Path
) -> None:
    """Its leases lie hours ahead; its jobs start again all the same, and the attempts say why."""
    gate = tmp_path / "gate"
    with fleet(settings) as worker:
        run = held_jobs(effects, gate)
        clock.move(-8 * HOURS)
        kill(worker.pid)
        end(run, gate)
    assert Counter(effects.lines()) == {f"job {n}": 2 for n in range(JOBS)}
    assert errors(settings) == ["its worker process ended"] * JOBS


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_dead_worker_is_noticed_long_before_its_lease_ends(
    settings: Settings, effects: Effects, tmp_path: Path, pool: str
) -> None:
    """Its jobs start again with the next sweep of any process, here of the worker that takes its place."""
    gate = tmp_path / "gate"
    with fleet(replace(settings, lease_seconds=ENDLESS_SECONDS), pool) as worker:
        run = held_jobs(effects, gate)
        os.killpg(worker.pid, signal.SIGKILL)
        end(run, gate)
    assert Counter(effects.lines()) == {f"job {n}": 2 for n in range(JOBS)}
    assert errors(settings) == ["its worker process ended"] * JOBS


def test_a_frozen_worker_keeps_its_jobs(hasty: Settings, effects: Effects, tmp_path: Path) -> None:
    """Its leases ran out long ago, and another worker sweeps; for a minute it has lost nothing."""
    gate = tmp_path / "gate"
    with fleet(hasty) as frozen:
        run = held_jobs(effects, gate)
        with fleet(hasty):
            wait_until(lambda: len(sweeps(hasty)) == 2)
            os.killpg(frozen.pid, signal.SIGSTOP)
            wait_until(lambda: overdue(hasty, 3.0))
            os.killpg(frozen.pid, signal.SIGCONT)
            end(run, gate)
    assert Counter(effects.lines()) == {f"job {n}": 1 for n in range(JOBS)}


def test_a_worker_frozen_for_long_loses_its_jobs(hasty: Settings, effects: Effects, tmp_path: Path) -> None:
    """Another worker takes them after the silence that is set, though the first one keeps the turn to write, and the attempts
    say that it lived."""
    gate, silent = tmp_path / "gate", replace(hasty, silent_seconds=2.0)
    with fleet(silent) as frozen:
        run = held_jobs(effects, gate)
        with fleet(silent), open(f"{silent.home / 'xtyl.db'}-turn", "rb") as turn:
            # Not within a transaction, which would keep SQLite's own lock as well.
            fcntl.flock(turn, fcntl.LOCK_EX)
            os.killpg(frozen.pid, signal.SIGSTOP)
            end(run, gate)
    assert Counter(effects.lines()) == {f"job {n}": 2 for n in range(JOBS)}
    assert errors(hasty) == ["its worker process lived, and its lease was not renewed for 2 s"] * JOBS


def test_a_long_transaction_costs_no_job(hasty: Settings, effects: Effects, tmp_path: Path) -> None:
    """One that holds SQLite for longer than a lease holds up every beat; when it is over, nothing is lost."""
    gate, database = tmp_path / "gate", Database(hasty.database_url)
    with ExitStack() as workers:
        for _ in range(3):
            workers.enter_context(fleet(replace(hasty, slots=2)))
        run = held_jobs(effects, gate)
        with database.write():
            wait_until(lambda: overdue(hasty, 2.0))
        wait_until(lambda: not overdue(hasty, 0.0))
        end(run, gate)
    database.close()
    assert Counter(effects.lines()) == {f"job {n}": 1 for n in range(JOBS)}
