"""Runs are harmed by every kind of fault, at least once on each database, and judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.faults import FAULTS, MOST_DEATHS, deaths
from chaos.notebook import ALL_JOBS
from chaos.story import Case, play

CASES = [
    Case(
        seed=7 + place,
        database=database,
        pool="prefork" if place == count - 1 and database != "embedded" else "threads",
        faults=tuple(fault.__name__ for fault in FAULTS[database][place::count]),
    )
    for database, count in (("sqlite", 2), ("postgres", 3), ("embedded", 4))
    for place in range(count)
]


def test_no_case_takes_one_job_too_often() -> None:
    """No case takes a job three times, because that might put an innocent one into quarantine, which is not a loss."""
    assert max(deaths(case.faults) for case in CASES) <= MOST_DEATHS


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.database}-{case.pool}-{case.seed}")
def test_a_run_survives(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """No job is lost, none is paid twice without an attempt that says why, and the run ends."""
    file = f"sqlite:///{tmp_path / 'home' / 'chaos.db'}"
    url = request.getfixturevalue("own_postgres") if case.database == "postgres" else file
    report = play(case, tmp_path, url)
    assert report.broken == []
    assert report.jobs == ALL_JOBS
