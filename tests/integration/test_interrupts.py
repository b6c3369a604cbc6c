"""An interrupt during `flow.run()`: either nothing was submitted, or the user is told the name of the run in the same breath."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import xtyl_nb as xt
from served import serve
from servers import embedded_home, wait_until
from xtyl_engine.failpoints import Point
from xtyl_engine.settings import Settings
from xtyl_nb.backends.connect import backend

SCRIPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import xtyl_nb as xt
xt.Workflow("once").generate_copy("line", prompt="x").run()
print("went on")
"""
# An interrupt that is followed by a hundred more, as by a key that is held down.
INSISTENT = """
import os, signal, threading, time
def insist():
    for _ in range(100):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.0005)
def interrupt(*_):
    global more
    if not more.is_alive() and not more.ident:
        more.start()
    raise KeyboardInterrupt
more = threading.Thread(target=insist, daemon=True)
signal.signal(signal.SIGINT, interrupt)
import xtyl_nb as xt
try:
    xt.Workflow("once").generate_copy("line", prompt="x").run()
except KeyboardInterrupt:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit("KeyboardInterrupt")
print("went on")
"""
MADE = {
    Point.COMMIT_BEFORE: 0,
    Point.COMMIT_AFTER: 1,
    Point.SUBMIT_COMMITTED: 1,
    Point.HINT_BEFORE: 1,
    Point.HINT_SENT: 1,
}


def script(environ: dict[str, str], code: str = SCRIPT, **more: str) -> subprocess.Popen[str]:
    """A cell that runs a workflow, as a process that an interrupt reaches."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environ, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def assert_told(process: subprocess.Popen[str]) -> list[str]:
    """Check that the process was interrupted, and named the run that there is, if there is one; the runs."""
    said, words = process.communicate(timeout=60)
    assert process.returncode != 0, said
    assert "KeyboardInterrupt" in words
    runs = list(xt.runs().index)
    assert re.findall(r"^(once-\S+) was submitted and goes on", words, re.MULTILINE) == runs
    for id in runs:
        assert f"`xt.attach('{id}').stop()` ends it" in words
        assert xt.attach(id).wait(60).state == "completed"
    return runs


@pytest.mark.parametrize("code", [SCRIPT, INSISTENT], ids=["once", "many times"])
@pytest.mark.parametrize("point", MADE)
def test_an_interrupt_leaves_no_run_unnamed(
    point: Point, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the commit there is no run; after it the run is named and goes on, however often it is interrupted."""
    with embedded_home(tmp_path) as home:
        for name, value in home.to_environ().items():
            monkeypatch.setenv(name, value)
        xt.connect()
        backend()
        with script(home.to_environ(), code, XTYL_CRASH=f"{point}=interrupt") as process:
            assert len(assert_told(process)) == MADE[point]
        xt.connect()


def test_an_interrupt_waits_for_the_name_that_the_api_gives(shared: Settings, tmp_path: Path) -> None:
    """A request that is on its way is carried out: its answer is waited for, and the run named."""
    slow = shared.child_environ() | {"XTYL_CRASH": f"{Point.SUBMIT_COMMITTED}=sleep"}
    with serve(shared, environ=slow) as served:
        xt.connect(served.url, token=served.token)
        known = len(xt.runs())
        environ = {"XTYL_URL": served.url, "XTYL_TOKEN": served.token, "XTYL_HOME": str(tmp_path / "notebook")}
        with script(environ) as process:
            wait_until(lambda: len(xt.runs()) > known)
            os.kill(process.pid, signal.SIGINT)
            _, words = process.communicate(timeout=60)
        id = xt.runs().index[0]
        assert "KeyboardInterrupt" in words
        assert f"{id} was submitted and goes on" in words
        xt.connect()


def test_a_second_interrupt_does_not_wait_for_the_name(tmp_path: Path) -> None:
    """At the first one it says at once that the API is asked, and that there may be a run; the second one ends the asking."""
    crash = {"XTYL_CRASH": f"{Point.SUBMIT_COMMITTED}=sleep"}
    with embedded_home(tmp_path) as home, serve(home, environ=home.child_environ() | crash) as served:
        xt.connect(served.url, token=served.token)
        known = len(xt.runs())
        environ = {"XTYL_URL": served.url, "XTYL_TOKEN": served.token, "XTYL_HOME": str(tmp_path / "notebook")}
        with script(environ) as process:
            wait_until(lambda: len(xt.runs()) > known)
            os.kill(process.pid, signal.SIGINT)
            assert process.stderr is not None
            said = [process.stderr.readline(), process.stderr.readline()]
            os.kill(process.pid, signal.SIGINT)
            _, words = process.communicate(timeout=60)
        assert "The back end is asked whether it took the run. It may have taken it" in said[1]
        assert "To run the cell again makes one more run" in said[1]
        assert "KeyboardInterrupt" in words
        xt.connect()
