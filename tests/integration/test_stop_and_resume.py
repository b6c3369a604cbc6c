"""What is being executed while a run is stopped and resumed goes on in its worker: each job has one effect, and one attempt."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest

import xtyl_nb as xt
from own_back_end import own_back_end
from servers import wait_until

ROWS = 3


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A back end with a slot for each row."""
    with own_back_end(tmp_path_factory.mktemp("home"), XTYL_SLOTS=str(ROWS)) as settings:
        yield settings


@pytest.mark.parametrize("comes", ["before the resume", "after the resume", "long after the resume"])
def test_a_job_in_flight_has_one_effect(home, effects, tmp_path, comes):
    """Whether its result comes before the resume or after it, even after several sweeps and longer than a lease."""
    gate = tmp_path / "gate"

    def work(n, gate):
        effects.note(n)
        while not Path(gate).exists():
            time.sleep(0.01)
        return n

    flow = xt.Workflow("held").call("work", work, n="{{ n }}", gate=str(gate))
    run = flow.run(pd.DataFrame({"n": range(ROWS)}))
    wait_until(lambda: len(effects.lines()) == ROWS)
    run.stop()
    if comes == "before the resume":
        gate.touch()
        wait_until(lambda: list(run.events()["kind"]).count("job_late") == ROWS)
    run.resume()
    if comes == "long after the resume":
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 2 * home.lease_seconds)
    gate.touch()
    run.wait(60)
    assert run.state == "completed"
    assert len(effects.lines()) == ROWS
    assert set(run.jobs()["attempts"]) == ({2} if comes == "before the resume" else {1})
