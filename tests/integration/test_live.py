"""A run in motion: pause, resume, stop, retry, wait, await, watch and interrupt, against the real worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import xtyl_nb as xt
from servers import line_of, wait_until
from xtyl_engine.events import Event


class Gate:
    """A job that notes its start, and ends when the test lets it."""

    def __init__(self, folder: Path):
        self.folder = str(folder)

    def __call__(self, name=0):
        with open(os.path.join(self.folder, f"started-{name}"), "a") as file:
            file.write(".")
        deadline = time.monotonic() + 60
        while not os.path.exists(os.path.join(self.folder, "open")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return name

    def open(self):
        Path(self.folder, "open").touch()

    def started(self):
        return sorted(name for name in os.listdir(self.folder) if name.startswith("started"))


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path)
    yield gate
    gate.open()


def gated(gate):
    return xt.Workflow("gated").call("held", gate).call("after", lambda value: value, value="{{ held }}")


def test_pause_lets_what_runs_finish_and_starts_nothing(gate, effects):
    """After `pause` returns nothing new starts; running jobs are kept; `resume` goes on from there."""
    flow = xt.Workflow("pause").call("held", gate).call("after", effects.note, line="after", after=["held"])
    run = flow.run()
    wait_until(gate.started)
    assert run.pause().state == "paused"
    gate.open()
    wait_until(lambda: run.jobs()["status"].eq("completed").sum() == 1)
    assert "resume" in str(run.waiting_for)
    assert run.pause().state == "paused"
    with pytest.raises(xt.WaitTimeout, match="paused"):
        run.wait(0.3)
    assert effects.lines() == []
    assert run.resume().wait(60).state == "completed"
    assert effects.lines() == ["after"]
    assert gate.started() == ["started-0"]


def test_stop_ends_the_run_and_resume_continues_it(gate, effects):
    """A stopped run is over at once, its unfinished jobs are stopped; resumed, it completes and redoes nothing."""
    flow = (
        xt.Workflow("stop")
        .call("first", effects.note, line="first")
        .call("held", gate, after=["first"])
        .call("last", effects.note, line="last", after=["held"])
    )
    run = flow.run()
    wait_until(gate.started)
    assert run.stop().state == "stopped"
    assert run.stop().state == "stopped"
    assert run.wait(1) is run
    assert list(run.frame()["status"]) == ["stopped"]
    gate.open()
    run.resume().wait(60)
    assert run.state == "completed"
    assert effects.lines() == ["first", "last"]
    assert list(run.frame()["status"]) == ["completed"]


def test_controls_that_make_no_sense_are_refused_by_name(gate):
    """Each refusal names the state that it found; resuming a running run changes nothing."""
    run = gated(gate).run()
    wait_until(gate.started)
    assert run.resume().state == "running"
    with pytest.raises(xt.ControlRefused, match="nothing in this one has failed"):
        run.retry()
    gate.open()
    run.wait(60)
    for control in (run.pause, run.resume, run.stop, run.retry):
        with pytest.raises(xt.ControlRefused) as caught:
            control()
        assert caught.value.hint or "completed" in str(caught.value)
    with pytest.raises(xt.RunNotFound, match="no-such-run"):
        xt.attach("no-such-run")
    with pytest.raises(xt.FrameError, match="Did you mean 'held'"):
        run.outputs("helt")


def test_wait_says_what_it_waited_for(gate):
    """A wait that is too long raises WaitTimeout, a TimeoutError, and the run goes on."""
    run = gated(gate).run()
    wait_until(gate.started)
    with pytest.raises(xt.WaitTimeout, match=r"is running after 0.2 s: 0 of 2 jobs are over"):
        run.wait(0.2)
    review = xt.Workflow("person").generate_copy("line", prompt="x").review("pick", of="line").run()
    wait_until(lambda: "a person" in (review.waiting_for or ""))
    with pytest.raises(TimeoutError, match="waiting for a person: 1 decision at pick"):
        review.wait(0.1)
    review.approve("pick", choose=[0], timeout=10).wait(60)
    with pytest.raises(TimeoutError):
        run.wait(0)
    gate.open()
    assert run.wait(60).state == "completed"


def test_a_run_can_be_awaited_beside_others(gate):
    """`await run` gives the run and leaves the loop free."""

    async def both():
        runs = [gated(gate).run(), xt.Workflow("quick").attach("kit", title="x").run()]
        done = await asyncio.wait_for(runs[1], 60)
        assert done.state == "completed"
        gate.open()
        return await asyncio.gather(*runs)

    assert [run.state for run in asyncio.run(both())] == ["completed", "completed"]


def test_watch_gives_every_event_as_it_happens(gate):
    """Events come numbered from one without a gap while the run goes on, and end with it."""
    run = gated(gate).run()
    seen: list[Event] = []

    def follow():
        seen.extend(xt.attach(run.id).watch())

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        wait_until(lambda: [event for event in seen if event.kind == "job_started"])
        assert not following.done()
        gate.open()
        following.result(60)
    assert [event.sequence for event in seen] == list(range(1, len(run.events()) + 1))
    assert seen[-1].kind == "completed"


def test_an_interrupt_while_waiting_leaves_the_run_going(gate, tmp_path):
    """Ctrl-C ends the wait, says how to find the run again, and the run completes."""
    run = gated(gate).run()
    wait_until(gate.started)
    # A shell that runs tests in the background makes them, and their children, ignore the signal.
    ready = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    # What is imported late is there before: Python loses an interrupt that falls into an import's own clean-up.
    once = "try:\n    run.wait(0.05)\nexcept xt.WaitTimeout:\n    pass\n"
    # Said from within the wait, which has looked once, so that the interrupt does not come before it.
    told = (
        "import sys\nfrom xtyl_engine.queries.executions import Queries\nlook = Queries.sequence.__code__\n"
        "def tell(frame, what, _):\n    if what == 'return' and frame.f_code is look:\n        print('waiting', flush=True)\n"
        "sys.setprofile(tell)\n"
    )
    code = f"{ready}import xtyl_nb as xt\nrun = xt.attach({run.id!r})\n{once}{told}run.wait()"
    client = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert line_of(client) == "waiting\n"
    client.send_signal(signal.SIGINT)
    _, words = client.communicate(timeout=60)
    assert client.returncode != 0
    assert "KeyboardInterrupt" in words
    assert f"{run.id} goes on" in words
    assert "redis" not in words
    assert run.state == "running"
    gate.open()
    assert run.wait(60).state == "completed"


def test_fifty_runs_at_once_all_complete():
    """Runs submitted from many threads share the worker fairly, and none is lost."""
    flow = xt.Workflow("many").call("made", lambda n: n, n="{{ n }}").attach("kit", title="{{ made }}")
    frame = pd.DataFrame({"n": [1, 2]})
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: flow.run(frame), range(50)))
    for run in runs:
        assert run.wait(60).state == "completed"
        assert list(run.frame()["kit"]) == [1, 2]
