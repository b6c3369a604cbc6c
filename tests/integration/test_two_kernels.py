"""Two kernels on one project folder: they start at once, share one back end, and each sees its own results and the other's."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import xtyl_nb as xt
from servers import embedded_home
from xtyl_engine.settings import Settings

KERNEL = """
import json, sys
import pandas as pd
import xtyl_nb as xt
from xtyl_engine.embedded.status import status
from xtyl_engine.settings import load_settings

mine = sys.argv[1]
briefs = pd.DataFrame({"name": [f"{mine}{number}" for number in range(20)]})
flow = (
    xt.Workflow("shared").call("shout", lambda name: name.upper(), name="{{ name }}")
    .generate_copy("line", prompt="{{ shout }}").attach("kit", title="{{ shout }}!")
)
print("ready", flush=True)
sys.stdin.readline()
run = flow.run(briefs).wait(120)
frame = run.frame()
print(json.dumps({
    "id": run.id, "supervisor": status(load_settings()).pid, "kit": list(frame["kit"]), "status": sorted(set(frame["status"])),
    "attempts": sorted(set(int(each) for each in run.jobs()["attempts"])),
}), flush=True)
other = sys.stdin.readline().strip()
print(json.dumps([str(xt.attach(other).wait(120).state), list(xt.attach(other).frame()["kit"]), len(xt.runs())]), flush=True)
"""


def kernel(settings: Settings, code: str, argument: str) -> subprocess.Popen[str]:
    """A process that has imported everything it needs and waits for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, argument],
        env=settings.child_environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def told(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def expected(name: str) -> list[str]:
    return [f"{name}{number}!".upper() for number in range(20)]


def test_two_kernels_share_one_back_end(tmp_path: Path) -> None:
    """Two kernels that start at the same moment on a fresh home share one supervisor; both frames are whole, and no job starts
    twice."""
    with embedded_home(tmp_path, XTYL_SLOTS="6") as settings:
        kernels = {name: kernel(settings, KERNEL, name) for name in ("ann", "bo")}
        for each in kernels.values():
            told(each, "go")
        found = {name: heard(each) for name, each in kernels.items()}
        for name, other in (("ann", "bo"), ("bo", "ann")):
            told(kernels[name], found[other]["id"])
        seen = {name: heard(each) for name, each in kernels.items()}
        for each in kernels.values():
            each.communicate(timeout=30)
    assert found["ann"]["supervisor"] == found["bo"]["supervisor"]
    for name, other in (("ann", "bo"), ("bo", "ann")):
        assert found[name]["kit"] == expected(name)
        assert found[name]["status"] == ["completed"]
        assert found[name]["attempts"] == [1]
        assert seen[name] == ["completed", expected(other), 2]


RESUMING = """
import json, sys
import xtyl_nb as xt

run = xt.attach(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
run.resume()
frame = run.wait(120).frame()
print(json.dumps([str(run.state), list(frame["kit"]), list(run.events()["kind"]).count("reopened")]), flush=True)
"""


def slowly(name: str) -> str:
    """A step that takes long enough for the run to be stopped in the middle."""
    time.sleep(0.1)
    return name.upper()


def test_two_kernels_resume_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped run that both resume at once goes on once, and completes for both."""
    with embedded_home(tmp_path) as settings:
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        flow = xt.Workflow("stopped").call("shout", slowly, name="{{ name }}")
        names = [{"name": f"ann{number}"} for number in range(20)]
        run = flow.attach("kit", title="{{ shout }}!").run(names).stop()
        kernels = [kernel(settings, RESUMING, run.id) for _ in range(2)]
        for each in kernels:
            told(each, "go")
        found = [heard(each) for each in kernels]
        for each in kernels:
            each.communicate(timeout=30)
    assert found == [["completed", expected("ann"), 1]] * 2
