"""What a worker finds of a run's kernel: its surroundings in SQL, its variables at the supervisor."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from plans import chain
from xtyl_engine.database.connection import Database
from xtyl_engine.database.tables import executions
from xtyl_engine.errors import FunctionRejected
from xtyl_engine.functions.packed_function import load_key
from xtyl_engine.functions.surroundings import Surroundings
from xtyl_engine.functions.variables import get, put
from xtyl_engine.scheduler.control import Controls
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.scheduler.submit import Row, Submission, new_execution_id, submit
from xtyl_engine.settings import Settings, load_settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.kernels import Kernels

HERE = Surroundings(python="/venv/bin/python", folder="/folder", path=("/src",))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an embedded back end's worker."""
    return load_settings({"XTYL_HOME": str(tmp_path), "XTYL_REDIS_URL": f"unix://{tmp_path}/redis.sock"})


def submitted(database: Database, settings: Settings, surroundings: Surroundings | None = HERE) -> str:
    id = new_execution_id("run")
    rows = [Row(label=0, values={})]
    signed = None if surroundings is None else surroundings.signed(load_key(settings.key_file), id)
    return submit(database, Submission(id=id, plan=chain(1), rows=rows, surroundings=signed)).id


def test_a_run_finds_what_its_kernel_lent(
    database: Database, settings: Settings, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its surroundings as stored, its variables as lent beside the worker's own settings, and nothing else of the worker's."""
    monkeypatch.setenv("OF_THE_WORKER", "w")
    monkeypatch.setenv("XTYL_SLOTS", "7")
    run, kernels = submitted(database, settings), Kernels(database, settings)
    put(place, run, {"KEY": "a"})
    assert kernels.surroundings(run) == HERE
    ours = {name: value for name, value in os.environ.items() if name.startswith("XTYL_")}
    assert kernels.variables(run) == {"KEY": "a", **ours}


def test_a_kernel_that_takes_a_run_over_is_heard(database: Database, settings: Settings, place: Path) -> None:
    """What it lends counts at once, though the worker does not ask for each job."""
    run, kernels = submitted(database, settings), Kernels(database, settings)
    put(place, run, {"KEY": "a"})
    assert kernels.variables(run)["KEY"] == "a"
    put(place, run, {"KEY": "b"})
    assert kernels.variables(run)["KEY"] == "b"
    assert kernels.variables(run) is kernels.variables(run)


def test_where_nothing_is_lent_the_worker_s_own_serve(
    database: Database, settings: Settings, place: Path, tmp_path: Path
) -> None:
    """A run of a fleet or over HTTP, one whose supervisor was killed, and any run where the broker has no socket."""
    run, other = submitted(database, settings), submitted(database, settings, None)
    put(place, other, {"KEY": "of another program"})
    kernels = Kernels(database, settings)
    assert (kernels.surroundings(other), kernels.variables(other)) == (None, os.environ)
    assert kernels.variables(run) == os.environ
    put(place, run, {"KEY": "a"})
    fleet = Kernels(database, replace(settings, redis_url="redis://host:6379/0"))
    assert fleet.variables(run) == os.environ


def test_variables_of_ended_runs_are_forgotten(database: Database, settings: Settings, place: Path) -> None:
    """So are those of a run that was never written, after a longer while; a run that is paused keeps its own. What has just come
    stays: the run may be about to be written, or resumed."""
    runs = [submitted(database, settings) for _ in range(3)]
    for run in [*runs, "never written"]:
        put(place, run, {"KEY": run})
    controls = Controls(database, PlanCache(), ArtifactStore(settings.artifacts_folder))
    controls.stop(runs[0])
    controls.pause(runs[1])
    kernels = Kernels(database, settings)
    kernels.forget_ended()
    assert [get(place, run) is None for run in [*runs, "never written"]] == [False] * 4
    kernels.ended_seconds = 0.0
    kernels.forget_ended()
    assert [get(place, run) is None for run in [*runs, "never written"]] == [True, False, False, False]
    kernels.unwritten_seconds = 0.0
    kernels.forget_ended()
    assert [get(place, run) is None for run in [*runs, "never written"]] == [True, False, False, True]


def test_without_a_supervisor_there_is_nothing_to_forget(database: Database, settings: Settings) -> None:
    """A worker whose supervisor is gone goes on with its own variables."""
    run, kernels = submitted(database, settings), Kernels(database, settings)
    kernels.forget_ended()
    assert kernels.variables(run) == os.environ


def test_what_was_not_signed_is_not_believed(database: Database, settings: Settings, place: Path) -> None:
    """Surroundings that another program wrote into the database are refused, each time that they are asked for; what the kernel
    lent did not come from there, and serves the run's providers."""
    run, kernels = submitted(database, settings), Kernels(database, settings)
    put(place, run, {"KEY": "a"})
    with database.engine.begin() as connection:
        connection.execute(update(executions).values(surroundings='{"python": "/evil"}'))
    for _ in range(2):
        with pytest.raises(FunctionRejected, match="not stored for this run"):
            kernels.surroundings(run)
    assert kernels.variables(run)["KEY"] == "a"
