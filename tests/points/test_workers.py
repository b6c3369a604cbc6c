"""A worker dies or loses its database at each failpoint that a job passes: the run completes, completed jobs are not done again,
and each extra start is an attempt with its reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from fleet import Fleet, fleet
from points_client import ROWS
from repository import SUPPORT
from servers import kill, valkey_server, wait_until
from xtyl_engine.failpoints import Point
from xtyl_engine.settings import Settings, load_settings, prepare_home

QUICK = {"XTYL_SLOTS": "3", "XTYL_LEASE_SECONDS": "1", "XTYL_BEAT_SECONDS": "0.2", "XTYL_SWEEP_SECONDS": "0.1"}
NAMES = [f"{step} {n}" for step in ("ideas", "count") for n in range(ROWS)] + [
    f"large {n}{letter}" for n in range(ROWS) for letter in "ab"
]
CONTROLS = {Point.CONTROL_WRITTEN, Point.CONTROL_STEPPED, Point.CONTROL_COMMITTED}
SWEEPS = {Point.SWEEP_FOUND, Point.SWEEP_COMMITTED}
SHUTDOWNS = {Point.SHUTDOWN_BEGUN, Point.SHUTDOWN_RELEASED}
SUBMISSIONS = {Point.SUBMIT_STEPPED, Point.SUBMIT_COMMITTED}
KILLS = [f"{point}=kill" for point in Point if point not in CONTROLS | SUBMISSIONS]
CUTS = [f"{point}=cut@{count}" for point in (Point.COMMIT_BEFORE, Point.COMMIT_AFTER) for count in (1, 2, 4, 7)]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with valkey_server() as url:
        yield url


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One back end and one run on it."""

    settings: Settings
    effects: Path
    database_url: str

    def submit(self, **variables: str) -> None:
        """A kernel that submits, and may die while it does."""
        command = [sys.executable, str(SUPPORT / "points_client.py"), str(self.effects)]
        environ = self.settings.child_environ(os.environ) | {"XTYL_ACCEPT_FUNCTIONS": "1"} | variables
        subprocess.run(command, env=environ, stderr=subprocess.DEVNULL, check=False, timeout=60)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows from SQL, read without the engine's code."""
        engine = create_engine(self.database_url)
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(text(statement))]
        engine.dispose()
        return found

    def lines(self) -> list[str]:
        return self.effects.read_text().splitlines() if self.effects.exists() else []

    def is_over(self) -> bool:
        return self.rows("SELECT state FROM workflow_executions") in ([("completed",)], [("failed",)])

    def is_crashed(self, crash: str) -> bool:
        return (self.settings.home / f"crashed-{crash.partition('=')[0].replace('/', '-')}").exists()


@pytest.fixture
def case(database_url: str, broker: str, tmp_path: Path) -> Case:
    environ = {
        "XTYL_HOME": str(tmp_path / "home"), "XTYL_DATABASE_URL": database_url, "XTYL_REDIS_URL": broker, **QUICK
    }  # fmt: skip
    settings = load_settings(environ)
    prepare_home(settings)
    return Case(settings=settings, effects=tmp_path / "effects", database_url=database_url)


def assert_sound(case: Case) -> None:
    """Check that every job is complete, once each, and that no start is without its attempt."""
    assert case.rows("SELECT state, done, total FROM workflow_executions") == [("completed", len(NAMES), len(NAMES))]
    assert case.rows("SELECT DISTINCT state FROM agent_jobs") == [("completed",)]
    assert set(case.lines()) == set(NAMES)
    starts = Counter(case.lines())
    attempts = case.rows(
        "SELECT node, item, attempt, (SELECT count(*) FROM job_attempts WHERE job_id = id) FROM agent_jobs"
    )
    allowed = {job_name(str(node), str(item)): attempt for node, item, attempt, _ in attempts}
    assert all(number == rows for _, _, number, rows in attempts)
    assert {name: count for name, count in starts.items() if count > allowed[name]} == {}
    completions = case.rows("SELECT count(*) FROM execution_events WHERE kind = 'job_completed' GROUP BY node, item")
    assert completions == [(1,)] * len(NAMES)
    sequences = [row[0] for row in case.rows("SELECT sequence FROM execution_events ORDER BY sequence")]
    assert sequences == list(range(1, len(sequences) + 1))
    reasons = case.rows("SELECT outcome FROM job_attempts WHERE outcome IS NULL OR outcome = ''")
    assert reasons == []


def job_name(node: str, item: str) -> str:
    row, _, place = item.partition(".")
    return f"{node} {row}{'ab'[int(place)] if place else ''}"


def drive(case: Case, workers: Fleet, crash: str) -> None:
    """Submit a run, bring it to the failpoint, and wait for its end."""
    point = Point(crash.partition("=")[0])
    if point in SWEEPS | SHUTDOWNS:
        # A job that the ending worker gives back, or that its death loses, must be running at that moment.
        held = Path(f"{case.effects}.held")
        held.touch()
        case.submit()
        wait_until(case.lines)
        if point in SWEEPS:
            kill(workers.pid)
        else:
            workers.terminate()
        wait_until(lambda: case.is_crashed(crash))
        held.unlink()
    else:
        case.submit()
    wait_until(case.is_over)


@pytest.mark.parametrize("crash", KILLS + CUTS)
def test_a_worker_may_die_anywhere(case: Case, crash: str) -> None:
    """A worker that dies at a failpoint is followed by another, which goes on where it was."""
    settings = replace(case.settings, crash=crash, shutdown_seconds=0.1)
    with fleet(settings) as workers:
        drive(case, workers, crash)
        assert case.is_crashed(crash)
    assert_sound(case)


@pytest.mark.parametrize("action", ["kill", "cut"])
def test_a_kernel_may_die_once_it_has_submitted(case: Case, action: str) -> None:
    """A kernel that dies after its submission, before it notifies, leaves a run that the sweep finds."""
    with fleet(case.settings):
        case.submit(XTYL_CRASH=f"submit/committed={action}")
        wait_until(case.is_over)
    assert_sound(case)
