"""What an overview says that a run waits for."""

from __future__ import annotations

from pathlib import Path

from engine_driver import Driver
from plans import chain
from servers import wait_until
from xtyl_engine.database.connection import Database
from xtyl_engine.queries.overview import Overviews, none_missing
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy
from xtyl_engine.values.artifacts import ArtifactStore


def test_a_worker_that_is_seen_is_not_missing_for_a_lease(database: Database, tmp_path: Path) -> None:
    """Where the worker itself is looked for, a lease that ran out by the clock says nothing; after a long silence it does."""
    driver = Driver(database, lease_seconds=0.1)
    id = driver.submit(chain(1))
    assert driver.claim(id)
    facts = driver.queries, ArtifactStore(tmp_path), ClaimPolicy(), none_missing
    distant, seeing, soon = Overviews(*facts), Overviews(*facts, 60.0, True), Overviews(*facts, 0.2, True)
    wait_until(lambda: "ran out" in (distant.overview(id).waiting_for or ""))
    assert seeing.overview(id).waiting_for is None
    silent = "a worker: the leases of its running jobs were not renewed for 0.2 s; `xtyl doctor` looks for the cause"
    wait_until(lambda: soon.overview(id).waiting_for == silent)
