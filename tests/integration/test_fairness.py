"""Many runs on the same slots: none waits until another is done. The tests judge the order of starts, never seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

import xtyl_nb as xt
from backend import QUICK, Effects
from fleet import fleet
from servers import valkey_server, wait_until
from xtyl_engine.errors import TransientError
from xtyl_engine.settings import Settings, load_settings, prepare_home

SLOTS, SLICE_SECONDS, JOB_SECONDS = 4, 0.5, 0.02
FIRST_STARTS = text("SELECT execution_id, min(started), max(finished) FROM agent_jobs GROUP BY execution_id")


@pytest.fixture
def pool() -> str:
    """What runs the slots: threads, unless a test says otherwise."""
    return "threads"


@pytest.fixture
def busy(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str) -> Iterator[Settings]:
    """One worker with a few slots, each of which stays with one run for a moment."""
    with valkey_server() as broker:
        given = {"XTYL_HOME": str(tmp_path / "shared"), "XTYL_DATABASE_URL": database_url, "XTYL_REDIS_URL": broker}
        own = {"XTYL_SLOTS": str(SLOTS), "XTYL_SLICE_SECONDS": str(SLICE_SECONDS)}
        settings = load_settings({**QUICK, **given, **own})
        prepare_home(settings)
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XTYL_ACCEPT_FUNCTIONS", "1")
        with fleet(settings, pool):
            yield settings


def slowly(number: int) -> int:
    time.sleep(JOB_SECONDS)
    return number


def working(count: int) -> xt.Run:
    """A run of so many jobs that take a moment each."""
    return xt.Workflow("load").call("work", slowly, number="{{ n }}").run([{"n": place} for place in range(count)])


def asked(settings: Settings, statement: object, **values: object) -> list[tuple[Any, ...]]:
    engine = create_engine(settings.database_url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(statement, values)]  # type: ignore[call-overload]
    engine.dispose()
    return found


def test_a_short_run_does_not_wait_behind_a_long_one(busy: Settings) -> None:
    """Every slot is at work on a thousand jobs; the short run's first job starts as soon as a slot has used up its time there."""
    long = working(1_000)
    wait_until(lambda: long.overview().done > 2 * SLOTS)
    short = working(3)
    assert short.wait(60).state == "completed"
    before = asked(
        busy,
        text(
            "SELECT count(*) FROM agent_jobs WHERE execution_id = :long AND started BETWEEN"
            " (SELECT created FROM workflow_executions WHERE id = :short)"
            " AND (SELECT min(started) FROM agent_jobs WHERE execution_id = :short)"
        ),
        long=long.id,
        short=short.id,
    )[0][0]
    long.stop()
    # Two slices of all slots: the current slice, and one more that was asked for before.
    assert before <= 2 * SLOTS * (SLICE_SECONDS / JOB_SECONDS + 1)


def test_a_hundred_runs_go_on_side_by_side(busy: Settings) -> None:
    """First come, first served: none is overtaken by many that came after it, though there are only four slots."""
    runs = [working(3) for _ in range(100)]
    for run in runs:
        run.wait(120)
    spans = {id: (first, last) for id, first, last in asked(busy, FIRST_STARTS)}
    assert len(spans) == len(runs)
    assert all(run.state == "completed" for run in runs)
    order = [spans[run.id][0] for run in runs]
    late = [place for place, start in enumerate(order) if sum(other < start for other in order) > place + 2 * SLOTS]
    assert late == []


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_due_retry_does_not_wait_behind_a_long_run(busy: Settings, tmp_path: Path) -> None:
    """Every slot is at work on a run that lasts; a retry that has become due meanwhile is done before that run is over."""
    long = working(4_000)
    wait_until(lambda: long.overview().done > 2 * SLOTS)
    effects = Effects(tmp_path / "effects")

    def on_second_try(number: int) -> int:
        if effects.note(number) == 1:
            raise TransientError("busy")
        return number

    short = xt.Workflow("again").call("work", on_second_try, number="{{ n }}", retry=3).run([{"n": 0}])
    assert short.wait(120).state == "completed"
    assert long.state == "running"
    long.stop()
    assert effects.lines() == ["0", "0"]
