"""Functions in processes of their own: what one does to its process reaches no other row, run or worker, and ends with it."""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import xtyl_nb as xt
from own_back_end import own_back_end
from servers import is_gone, kill, presence, wait_until
from xtyl_engine.embedded.client import check

SLOTS = 4


@pytest.fixture
def home(tmp_path):
    """A back end for this test alone."""
    with own_back_end(tmp_path, XTYL_SLOTS=str(SLOTS)) as settings:
        yield settings


def rows(count):
    return pd.DataFrame({"n": range(count)})


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def made_of(pid):
    """The processes that came of this one."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = {pid}
    while more := {child for child, parent in parents if parent in found} - found:
        found |= more
    return found - {pid}


def test_each_row_has_its_own_pictures_of_pyplot():
    """The usual function draws into the current figure; each row's picture is its own."""

    def draw(n):
        import io

        import matplotlib.pyplot as plt
        from PIL import Image

        plt.figure(figsize=(1, 1), dpi=50)
        plt.gca().set_axis_off()
        time.sleep(0.02)
        plt.gcf().set_facecolor((n / 50, 0, 0))
        buffer = io.BytesIO()
        plt.savefig(buffer, format="png", facecolor=plt.gcf().get_facecolor())
        return {"red": Image.open(buffer).convert("RGB").tobytes()[0], "open": len(plt.get_fignums())}

    run = xt.Workflow("drawn").call("made", draw, n="{{ n }}").run(rows(48)).wait(120)
    assert list(run.frame()["error"].dropna()) == []
    found = run.outputs("made")
    assert [abs(red - 255 * n / 50) < 2 for n, red in enumerate(found["value.red"])] == [True] * 48
    assert set(found["value.open"]) == {1}


def found_here():
    return {
        "folder": os.getcwd(),
        "word": os.environ.get("SOME_WORD"),
        "timeout": socket.getdefaulttimeout(),
        "path": "/nowhere" in sys.path,
        "mask": os.umask(0o022),
        "alarm": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
    }


def spoil():
    os.chdir("/")
    os.environ["SOME_WORD"] = "left"
    socket.setdefaulttimeout(0.001)
    sys.path.append("/nowhere")
    os.umask(0o077)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout = None
    return True


def test_what_a_function_changes_in_its_process_is_put_back():
    """Folder, variables, import path, socket timeout, umask, handlers: neither the next step nor the next run finds them."""
    before = xt.Workflow("before").call("seen", found_here).run().wait(60).outputs("seen")
    flow = xt.Workflow("spoiled").call("spoil", spoil).call("seen", found_here, after=["spoil"])
    spoiled = flow.run(rows(SLOTS)).wait(60)
    after = xt.Workflow("after").call("seen", found_here).run().wait(60).outputs("seen")
    assert list(spoiled.frame()["error"].dropna()) == []
    expected = before.iloc[0].to_dict()
    assert expected["value.alarm"]
    for found in (*spoiled.outputs("seen").to_dict("records"), *after.to_dict("records")):
        assert found == expected | {name: found[name] for name in found if not str(name).startswith("value.")}


def test_what_functions_import_when_they_run_is_loaded_once() -> None:
    """An installed module is there already in each process that calls a function or its helper with an import of it."""

    def helper() -> bool:
        was_there = "colorsys" in sys.modules
        import colorsys

        return was_there and bool(colorsys)

    def work(n: int) -> bool:
        was_there = "wave" in sys.modules
        import wave

        return was_there and bool(wave) and helper()

    run = xt.Workflow("ahead").call("work", work, n="{{ n }}").run(pd.DataFrame({"n": range(8)}))
    assert run.wait(60).frame()["work"].tolist() == [True] * 8


def test_a_kernel_s_runs_share_what_they_import(home, effects, tmp_path, monkeypatch) -> None:
    """An installed module is imported once for the runs of a kernel, and once more when its variables have changed, on which what
    the module does may depend."""
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "slow_to_come.py").write_text(
        f"import os\nwith open({effects.path!r}, 'a') as file:\n    file.write('x\\n')\n"
    )
    monkeypatch.syspath_prepend(str(site))

    def work(n: int) -> bool:
        import slow_to_come  # type: ignore[import-not-found]

        return bool(slow_to_come)

    flow = xt.Workflow("shared").call("work", work, n="{{ n }}")
    assert flow.run(rows(4)).wait(60).state == "completed"
    # The run's own, and the one from which those that follow begin.
    wait_until(lambda: len(effects.lines()) == 2)
    assert flow.run(rows(4)).wait(60).state == "completed"
    assert len(effects.lines()) == 2
    monkeypatch.setenv("SLOW_TO_COME", "changed")
    assert flow.run(rows(4)).wait(60).state == "completed"
    wait_until(lambda: len(effects.lines()) == 4)


def test_each_runner_has_random_numbers_of_its_own():
    """Processes that were forked from one, which had loaded numpy, do not draw the same numbers."""

    def drawn(n):
        time.sleep(0.05)
        return [os.getpid(), int(np.random.randint(2**31))]

    found = xt.Workflow("random").call("made", drawn, n="{{ n }}").run(rows(24)).wait(60).outputs("made")
    numbers = [value for place, value in enumerate(found["value"]) if place % 2]
    assert len(set(numbers)) == 24


def test_functions_that_hang_hold_up_nothing_once_their_run_is_stopped(home, effects):
    """More of them than there are slots; after `stop()` a mended run completes, and none of their processes is left."""

    def hang(n):
        effects.note(n)
        time.sleep(3600)

    run = xt.Workflow("hanging").call("made", hang, n="{{ n }}").run(rows(5 * SLOTS))
    wait_until(lambda: len(effects.lines()) == SLOTS)
    run.stop()
    mended = xt.Workflow("mended").call("made", lambda n: n, n="{{ n }}").run(rows(5 * SLOTS)).wait(60)
    assert mended.state == "completed"
    assert run.state == "stopped"
    assert len(effects.lines()) == SLOTS
    check(home)


def test_a_time_limit_leaves_nothing_behind(home, effects):
    """However many rows hang: the worker has no more threads than before, and the processes are gone with what they started."""

    def hang(n):
        effects.note(subprocess.Popen(["sleep", "3600"], start_new_session=True).pid)
        time.sleep(3600)

    flow = xt.Workflow("limited").call("made", lambda: 1)
    flow.run().wait(60)
    worker = presence(home.home).worker_pid
    before = threads(worker)
    limited = xt.Workflow("limited").call("made", hang, n="{{ n }}", timeout=0.2, retry=1)
    run = limited.run(rows(8 * SLOTS)).wait(120)
    assert set(run.frame()["status"]) == {"failed"}
    assert "no result after 0.2 s" in run.frame()["error"][0]
    started = [int(pid) for pid in effects.lines()]
    assert len(started) == 8 * SLOTS
    wait_until(lambda: all(map(is_gone, started)))
    assert presence(home.home).worker_pid == worker
    assert threads(worker) <= before + SLOTS


def test_a_function_may_end_a_process_of_its_own(home):
    """`multiprocessing.Process(...).terminate()` ends that process, and neither the worker nor another job."""

    def end_another(n):
        other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
        other.start()
        other.terminate()
        other.join()
        return other.exitcode

    worker = presence(home.home).worker_pid
    run = xt.Workflow("ended").call("made", end_another, n="{{ n }}").run(rows(3 * SLOTS)).wait(60)
    assert list(run.outputs("made")["value"]) == [-signal.SIGTERM] * 3 * SLOTS
    assert set(run.jobs()["attempts"]) == {1}
    assert presence(home.home).worker_pid == worker


ENDINGS = {
    "crash": (lambda: ctypes.string_at(0), "ended by SIGSEGV"),
    "leave": (lambda: os._exit(3), "ended with exit code 3"),
    "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended by SIGKILL"),
    "terminate": (lambda: os.kill(os.getpid(), signal.SIGTERM), "ended by SIGTERM"),
    "abort": (os.abort, "ended by SIGABRT"),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_a_function_that_ends_its_process_harms_no_other_row(home, effects, how):
    """Its row fails, with how it ended, after as many tries as asked; every other row has one start, in the same worker."""
    end, words = ENDINGS[how]

    def step(n):
        effects.note(n)
        time.sleep(0.05)
        if n == 3:
            end()
        return n

    worker = presence(home.home).worker_pid
    retry = {"attempts": 2, "base_seconds": 0.05}
    run = xt.Workflow("ending").call("made", step, n="{{ n }}", retry=retry).run(rows(3 * SLOTS)).wait(60)
    jobs = run.jobs().set_index("row")
    assert dict(jobs["status"]) == {n: "failed" if n == 3 else "completed" for n in range(3 * SLOTS)}
    assert words in run.frame()["error"][3]
    assert jobs["error_class"][3] == "transient"
    assert sorted(map(int, effects.lines())) == sorted([*range(3 * SLOTS), 3])
    assert presence(home.home).worker_pid == worker


def test_a_worker_that_is_killed_takes_its_functions_along(home, effects):
    """Their processes end with it, and with them what they started."""

    def hang(n):
        effects.note(os.getpid())
        effects.note(subprocess.Popen(["sleep", "3600"], start_new_session=True).pid)
        time.sleep(3600 if len(effects.lines()) <= 2 else 0)
        return n

    run = xt.Workflow("orphans").call("made", hang, n="{{ n }}").run(rows(1))
    wait_until(lambda: len(effects.lines()) == 2)
    started = [int(pid) for pid in effects.lines()]
    worker = presence(home.home).worker_pid
    others = made_of(worker)
    assert set(started) <= others
    kill(worker)
    wait_until(lambda: all(map(is_gone, others)))
    run.wait(60)
    assert run.state == "completed"


BAD: Any = "deadly:anything"


def test_a_module_that_ends_the_process_when_it_is_loaded_harms_no_other_step(home, tmp_path, monkeypatch):
    """The step that needs it fails and says how its process ended; other steps of the run complete."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "deadly.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.syspath_prepend(package)

    def unlucky():
        return importlib.import_module("deadly")

    flow = xt.Workflow("loading").call("good", lambda: 1).call("bad", BAD, after=[], retry=1)
    run = flow.call("unlucky", unlucky, after=[], retry=1).run().wait(60)
    jobs = run.jobs().set_index("node")
    assert dict(jobs["status"]) == {"good": "completed", "bad": "failed", "unlucky": "failed"}
    assert "exit code 9" in jobs["error"]["bad"]
    assert "exit code 9" in jobs["error"]["unlucky"]


def test_functions_run_where_nothing_is_left_in_the_worker(home):
    """A function finds its own process in the main thread, without the worker's handlers and with an empty standard input."""

    def seen():
        import threading

        own = threading.current_thread() is threading.main_thread()
        return [
            own,
            signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            sys.stdin.read(),
            Path("/proc/self/exe").exists(),
        ]

    worker = presence(home.home).worker_pid
    run = xt.Workflow("seen").call("made", seen).call("pid", lambda: os.getpid(), after=[]).run().wait(60)
    assert list(run.outputs("made")["value"]) == [True, True, "", True]
    assert run.frame()["pid"][0] != worker
