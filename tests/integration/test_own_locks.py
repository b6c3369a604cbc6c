"""A step may read or remove any file of its home, the locks of the workers too: an index, a backup or a clean-up does."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

import xtyl_nb as xt
from backend import QUICK, Effects
from fleet import fleet
from servers import valkey_server, wait_until
from xtyl_engine.settings import load_settings, prepare_home

JOBS = 6


def swept(home: Path) -> dict[str, float]:
    """When each process of a home has last swept, as far as it has said."""
    return {path.name: json.loads(path.read_bytes())["swept"] for path in (home / "run").glob("*.json")}


@pytest.mark.parametrize("pool", ["threads", "prefork"])
@pytest.mark.parametrize("how", ["read", "remove"])
def test_a_step_that_touches_the_locks_costs_no_job(
    effects: Effects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str, how: str
) -> None:
    """Reading a lock's file gives the lock up; the processes live all the same, keep their jobs, and each is paid once."""
    gate, folder = tmp_path / "gate", tmp_path / "home"
    home = str(folder)

    def work(name: str) -> str:
        effects.note(name)
        for path in (Path(home) / "owners").iterdir():
            if how == "read":
                path.read_bytes()
            else:
                path.unlink(missing_ok=True)
        while not gate.exists():
            time.sleep(0.02)
        return name

    with ExitStack() as stack:
        broker = stack.enter_context(valkey_server())
        given = {"XTYL_HOME": home, "XTYL_REDIS_URL": broker, "XTYL_ACCEPT_FUNCTIONS": "1", "XTYL_POOL": pool}
        settings = replace(load_settings({**QUICK, **given}), slots=JOBS // 2)
        prepare_home(settings)
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        workers = [stack.enter_context(fleet(settings, pool)) for _ in range(2)]
        run = xt.Workflow("index").call("work", work, name="{{ n }}").run([{"n": f"job {n}"} for n in range(JOBS)])
        wait_until(lambda: len(effects.lines()) >= JOBS)
        begun = swept(folder)
        wait_until(lambda: all(at > begun.get(name, 0.0) + 1.0 for name, at in swept(folder).items()))
        gate.touch()
        run.wait(60)
        assert [worker.deaths for worker in workers] == [0, 0]
    assert run.state == "completed"
    assert Counter(effects.lines()) == {f"job {n}": 1 for n in range(JOBS)}
    assert run.jobs()["attempts"].tolist() == [1] * JOBS
