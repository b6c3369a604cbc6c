"""A run that waits for a person, or is paused, outlives a back end that ended because it was not needed: it is waited for as
before, and what waits for it keeps a back end.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import xtyl_nb as xt
from backend import QUICK, Effects, wait_ready
from servers import embedded_home, line_of, presence, start_client, wait_until
from xtyl_engine.database.connection import Database
from xtyl_engine.embedded.attendance import Attendance
from xtyl_engine.embedded.client import check, down
from xtyl_engine.embedded.redis_server import has_worker
from xtyl_engine.embedded.state_file import SupervisorState
from xtyl_engine.embedded.status import status
from xtyl_engine.engine import Engine
from xtyl_engine.scheduler.control import Controls
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.settings import Settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_nb.runs.run import Run

BEGIN = """
import time
import xtyl_nb as xt
flow = xt.Workflow("w").generate_copy("h", prompt="hi", n=2).review("pick", of="h", choose=1)
run = flow.generate_copy("made", prompt="{{ pick.h.text }}", cache=False).run()
while run.waiting_for != "a person: 1 decision at pick":
    time.sleep(0.05)
print(run.id)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A back end for this test alone, which ends as soon as it has neither a client nor work."""
    with embedded_home(tmp_path, **{**QUICK, "XTYL_SLOTS": "2", "XTYL_IDLE_SECONDS": "0.3"}) as settings:
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        xt.connect()
        yield settings
        xt.connect()


@pytest.fixture
def left(home: Settings) -> str:
    """The run that another kernel began, which waits for a person; kernel and back end have ended."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN], env=home.child_environ(), stdout=subprocess.PIPE, text=True, check=True
    )
    wait_until(lambda: status(home).pid is None)
    return done.stdout.split()[-1]


async def awaited(run: Run) -> Run:
    return await run


WAITS: dict[str, Callable[[Run], object]] = {
    "wait": lambda run: run.wait(60),
    "await": lambda run: asyncio.run(awaited(run)),
    "watch": lambda run: list(run.watch()),
}


@pytest.mark.parametrize("is_paused", [False, True], ids=["review", "paused"])
@pytest.mark.parametrize("wait", WAITS)
def test_a_run_is_waited_for_after_an_idle_end(wait: str, is_paused: bool, home: Settings, left: str) -> None:
    """A kernel that attaches later waits as long as it takes; a back end is there meanwhile, and the wait ends with the run."""
    run = xt.attach(left)
    if is_paused:
        run.pause()
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(WAITS[wait], run)
        wait_until(lambda: waiting.done() or (status(home).running and status(home).clients))
        assert not waiting.done()
        if is_paused:
            run.resume()
        run.approve("pick", choose=[0])
        waiting.result()
    assert run.state == "completed"


def test_an_idle_end_is_no_wish_to_stop(home: Settings, left: str) -> None:
    """It is written down as what it is, and nothing says that the back end was stopped."""
    assert presence(home.home).state is SupervisorState.IDLE
    run = xt.attach(left)
    assert (run.state, run.waiting_for) == ("running", "a person: 1 decision at pick")
    wait_until(lambda: status(home).running and status(home).clients)


def test_other_settings_do_not_end_a_wait(home: Settings, left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ended without work left nothing that could go on otherwise than it began: a kernel with other settings waits too."""
    monkeypatch.setenv("XTYL_SLOTS", "3")
    run = xt.attach(left)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(run.wait, 60)
        wait_until(lambda: waiting.done() or status(home).running)
        run.approve("pick", choose=[0])
        waiting.result()
    assert run.state == "completed"


def test_a_decision_whose_process_died_goes_on_by_a_look(home: Settings, left: str) -> None:
    """A decision is written before a back end is started for it; where its process dies between, a look starts one."""
    database = Database(home.database_url)
    controls = Controls(database, PlanCache(), ArtifactStore(home.artifacts_folder))
    controls.approve(left, "pick", "0", choose=[0])
    database.close()
    wait_until(lambda: xt.attach(left).state == "completed")


STAYS: dict[str, Callable[[Settings], object]] = {
    "wait": check,
    "look": lambda settings: Attendance(settings, starts=True).look(),
}


@pytest.mark.parametrize("stay", STAYS)
def test_a_kernel_that_looks_or_waits_is_a_client(stay: str, home: Settings) -> None:
    """It found a back end that another kernel had started; when that one has ended, the back end is still needed."""
    with start_client(home) as other:
        assert line_of(other)
        wait_ready(home)
        STAYS[stay](home)
        other.communicate()
    assert status(home).clients


def test_a_command_that_only_looks_is_no_client(home: Settings) -> None:
    """It does not keep a back end that no kernel needs."""
    with start_client(home) as other:
        assert line_of(other)
        wait_ready(home)
        Attendance(home, starts=False).look()
        other.communicate()
    wait_until(lambda: status(home).pid is None)


def step(effects: Effects, gate: str) -> Callable[..., object]:
    def work(n: int) -> int:
        import os

        effects.note(n)
        while not os.path.exists(gate):
            time.sleep(0.05)
        return n

    return work


STOPPED = "the back end was stopped; `xtyl up` or the next run starts it"
ENDING = "the back end is being stopped, and begins nothing more; `xtyl up` or the next run starts it"


@pytest.mark.parametrize(("rows", "said"), [(2, {None}), (4, {f"a worker: {ENDING}", f"a worker: {STOPPED}"})])
def test_a_run_says_that_its_back_end_is_ending(
    rows: int, said: set[str | None], home: Settings, effects: Effects, tmp_path: Path
) -> None:
    """While `xtyl down` waits for running jobs, a run that has others says that these wait for a start, and one that has none
    waits for nothing: it completes."""
    gate = tmp_path / "gate"
    flow = xt.Workflow("slow").call("made", step(effects, str(gate)), n="{{ n }}", cache=False)
    run = flow.run(pd.DataFrame({"n": range(rows)}))
    wait_ready(home)
    wait_until(lambda: len(effects.lines()) == 2)
    with ThreadPoolExecutor() as threads:
        ending = threads.submit(down, home)
        wait_until(lambda: presence(home.home).state is SupervisorState.STOPPING)
        wait_until(lambda: not has_worker(Path(presence(home.home).socket)))
        # One that has seen no worker yet: what was seen counts for a second.
        fresh = Engine(home, starts=False)
        heard = {fresh.overviews.overview(run.id).waiting_for}
        gate.touch()
        while not ending.done():
            heard.add(fresh.overviews.overview(run.id).waiting_for)
        fresh.close()
        assert ending.result()
    assert heard <= said
    assert (run.state, run.waiting_for) == (("completed", None) if rows == 2 else ("running", f"a worker: {STOPPED}"))
