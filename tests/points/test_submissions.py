"""A process that submits a large execution may die at each failpoint: the execution is whole or absent, and what was written of
an absent one is removed later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from engine_driver import Driver
from plans import chain
from repository import SUPPORT
from submission_client import ROWS
from xtyl_engine.database.connection import Database
from xtyl_engine.database.retention.executions import Retention, prune

PARTS = ("workflow_executions", "execution_rows", "agent_jobs", "execution_events")


def counts(database: Database) -> tuple[int, ...]:
    """How many of each part there are."""
    with database.engine.connect() as connection:
        return tuple(int(connection.execute(text(f"SELECT count(*) FROM {part}")).scalar() or 0) for part in PARTS)


@pytest.mark.parametrize(
    "point", ["submit/stepped", "commit/before", "commit/after", "commit/before=kill@2", "submit/committed"]
)
def test_a_submission_whose_process_dies_is_whole_or_absent(database: Database, tmp_path: Path, point: str) -> None:
    """Nothing of an absent one is seen, retention removes what is left of it, and other executions stay as they are."""
    driver = Driver(database)
    other = driver.submit(chain(2), 2)
    died = subprocess.run(
        [sys.executable, str(SUPPORT / "submission_client.py"), database.url, "large-1", str(tmp_path)],
        env=os.environ | {"XTYL_CRASH": point if "=" in point else f"{point}=kill", "PYTHONPATH": str(SUPPORT)},
        check=False,
        timeout=120,
    )
    whole, absent = (2, ROWS + 2, 2 * ROWS + 4, 2), (1, 2, 4, 1)
    # PostgreSQL writes it in one transaction, and passes no step.
    is_reached = database.is_sqlite or point not in ("submit/stepped", "commit/before=kill@2")
    assert died.returncode == (-signal.SIGKILL if is_reached else 0)
    is_whole = point == "submit/committed" or not is_reached or (point == "commit/after" and not database.is_sqlite)
    assert {run.id for run in driver.queries.executions()} == {other, *(["large-1"] if is_whole else [])}
    list(prune(database, Retention(seconds=1e9)))
    assert counts(database) == (whole if is_whole else absent)
