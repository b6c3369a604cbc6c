"""A process that pauses, stops, retries or decides may die at each failpoint, or lose the commit's answer: the control takes
effect once or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from control_client import control
from engine_driver import Driver, failed, waiting
from plans import plan_of
from repository import SUPPORT
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import ControlRefused, DecisionRefused
from xtyl_engine.failpoints import arm
from xtyl_engine.settings import load_settings
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import Sweeper

EVENT = {
    "pause": "paused", "resume": "resumed", "stop": "stopped", "retry": "reopened",
    "approve": "job_decided", "reject": "job_decided",
}  # fmt: skip


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


@pytest.fixture(autouse=True)
def disarmed(tmp_path: Path) -> Iterator[None]:
    """Failpoints that a test armed in its own process are disarmed after it."""
    yield
    arm(None, tmp_path)


def standing(driver: Driver, verb: str) -> str:
    """An execution that allows the control: a step, a review of it, a step after."""
    nodes = {"step": {}, "pick": {"type": "review", "of": "step"}, "after": {}}
    id = driver.submit(plan_of(nodes, [("step", "pick"), ("pick", "after")]))
    if verb in ("approve", "reject", "retry"):
        driver.drain(id, {"pick": failed if verb == "retry" else waiting})
    if verb == "resume":
        driver.controls.pause(id)
    return id


@pytest.mark.parametrize("verb", EVENT)
@pytest.mark.parametrize("point", ["control/written=cut", "commit/before=cut", "commit/after=cut"])
def test_a_control_whose_connection_is_cut_takes_place_once(
    driver: Driver, tmp_path: Path, verb: str, point: str
) -> None:
    """A control whose connection is cut before or after the commit succeeds, and its event is there once."""
    id = standing(driver, verb)
    arm(point, tmp_path)
    control(driver.controls, verb, id)
    assert driver.kinds(id).count(EVENT[verb]) == 1
    assert (tmp_path / f"crashed-{point.split('=')[0].replace('/', '-')}").exists()


MANY = 1_500


@pytest.mark.parametrize("verb", ["retry", "resume", "stop"])
@pytest.mark.parametrize("point", ["control/committed", "control/stepped"])
def test_a_control_of_many_jobs_whose_process_dies_is_completed(
    driver: Driver, tmp_path: Path, verb: str, point: str
) -> None:
    """More jobs than one transaction changes: a worker's sweep goes on where the process died."""
    id = driver.submit(plan_of({"step": {}}, []), MANY)
    if verb == "retry":
        driver.drain(id, {"step": failed}, batch=500)
    if verb == "resume":
        driver.controls.stop(id)
    command = [sys.executable, str(SUPPORT / "control_client.py"), driver.database.url, id, verb, str(tmp_path)]
    environ = os.environ | {"XTYL_CRASH": f"{point}=kill", "PYTHONPATH": str(SUPPORT)}
    assert subprocess.run(command, env=environ, check=False, timeout=60).returncode == -signal.SIGKILL
    executor = Executor(load_settings(), driver.database, driver.plans, None, driver.recorder.may_start)  # type: ignore[arg-type]
    slots = Slots(driver.recorder, executor, lambda id: None, 1, 1.0)
    sweeper = Sweeper(driver.database, slots, "sweeper", driver.published.extend, driver.plans.load, 10, 3, 60)
    sweeper.sweep()
    sweeper.sweep()
    assert set(driver.states(id).values()) == {"stopped" if verb == "stop" else "ready"}
    assert driver.kinds(id).count("stopped" if verb == "stop" else "reopened") == 1


@pytest.mark.parametrize("verb", EVENT)
@pytest.mark.parametrize("point", ["control/written", "control/committed"])
def test_a_control_whose_process_dies_takes_place_or_not(driver: Driver, tmp_path: Path, verb: str, point: str) -> None:
    """A process that dies before the commit changes nothing, and the control can be repeated; after the commit it has taken
    effect, and a repetition says so."""
    id = standing(driver, verb)
    died = subprocess.run(
        [
            sys.executable,
            str(SUPPORT / "control_client.py"),
            driver.database.url,
            id,
            verb,
            str(tmp_path),
        ],
        env=os.environ | {"XTYL_CRASH": f"{point}=kill", "PYTHONPATH": str(SUPPORT)},
        check=False,
        timeout=60,
    )
    assert died.returncode == -signal.SIGKILL
    assert driver.kinds(id).count(EVENT[verb]) == int(point == "control/committed")
    is_refused = point == "control/committed" and verb in ("retry", "approve", "reject")
    with pytest.raises((ControlRefused, DecisionRefused)) if is_refused else nullcontext():
        control(driver.controls, verb, id)
    assert driver.kinds(id).count(EVENT[verb]) == 1
