"""A run whose back end is gone says so, and a kernel that only looks at it starts the back end again; but not one that was
stopped, or that gave up, and commands that only look never do.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import xtyl_nb as xt
from backend import QUICK, Effects, wait_ready
from served import serve
from servers import embedded_home, fake_server, is_gone, kill, line_of, presence, wait_until
from xtyl_engine.embedded.client import down, ensure
from xtyl_engine.embedded.redis_server import ping
from xtyl_engine.embedded.state_file import SupervisorState, write_presence
from xtyl_engine.embedded.status import status
from xtyl_engine.engine import Engine
from xtyl_engine.functions.variables import get
from xtyl_engine.settings import Settings, load_settings
from xtyl_engine.values.locks import exclusive, orphans_lock
from xtyl_nb.backends.direct import DirectBackend
from xtyl_nb.runs.run import Run

ROWS = 8
STOPPED = "a worker: the back end was stopped; `xtyl up` or the next run starts it"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A back end for this test alone, which may be harmed."""
    with embedded_home(tmp_path, **{**QUICK, "XTYL_SLOTS": "2"}) as settings:
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        xt.connect()
        yield settings
        xt.connect()


def step(effects: Effects) -> Callable[..., object]:
    def work(n: int) -> int:
        effects.note(n)
        time.sleep(0.2)
        return n

    return work


def begun(home: Settings, effects: Effects, rows: int = ROWS) -> Run:
    """A run that has done some of its jobs, and has others running."""
    run = xt.Workflow("begun").call("made", step(effects), n="{{ n }}").run(pd.DataFrame({"n": range(rows)}))
    wait_ready(home)
    wait_until(lambda: run.overview().done >= 2)
    return run


def kill_all(home: Settings) -> None:
    """Kill supervisor, server and worker, as a machine does that loses its power."""
    found = presence(home.home)
    for pid in (found.pid, found.server_pid, found.worker_pid):
        kill(pid)
    wait_until(lambda: status(home).pid is None and is_gone(found.worker_pid) and is_reaped(home))


def is_reaped(home: Settings) -> bool:
    """Whether the shell that ends the children of a killed supervisor is gone too."""
    with exclusive(orphans_lock(home.home)) as is_free:
        return is_free


LOOKS: dict[str, Callable[[Run], object]] = {
    "state": lambda run: run.state,
    "progress": lambda run: run.progress,
    "frame": lambda run: run.frame(),
    "jobs": lambda run: run.jobs(),
    "events": lambda run: run.events(),
    "inspect": lambda run: run.inspect("made"),
    "gallery": lambda run: run.gallery(),
    "runs": lambda run: xt.runs(),
    "watch": lambda run: list(run.watch()),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_at_a_run_starts_a_back_end_that_died(look: str, home: Settings, effects: Effects) -> None:
    """A kernel that only looks is enough for the run to go on to its end."""
    run = begun(home, effects)
    kill_all(home)

    def is_there() -> bool:
        LOOKS[look](run)
        return status(home).worker == "ready"

    wait_until(is_there)
    run.wait(60)
    assert list(run.frame()["made"]) == list(range(ROWS))


def test_a_look_lends_again_what_a_killed_supervisor_had(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program has started the back end anew: the first look of the run's kernel brings its variables back, and one that
    only attaches does not replace them."""
    monkeypatch.setenv("MY_KEY", "of the kernel")
    run = xt.Workflow("lent").generate_copy("line", prompt="x").review("pick", of="line").run()
    wait_until(lambda: len(run.reviews()) == 1)
    kill_all(home)
    with monkeypatch.context() as patch:
        patch.setenv("MY_KEY", "of another")
        ensure(home)
    place = Path(presence(home.home).socket).with_name("keys.sock")
    assert get(place, run.id) is None
    wait_until(lambda: run.reviews() is not None and get(place, run.id))
    monkeypatch.setenv("MY_KEY", "of one that looks")
    xt.connect()
    xt.attach(run.id)
    assert (get(place, run.id) or {})["MY_KEY"] == "of the kernel"


def test_a_run_without_a_back_end_says_so(home: Settings, effects: Effects) -> None:
    """From the first look on it says that its worker is missing, and what is done about it; a worker's coming ends that."""
    run = begun(home, effects)
    kill_all(home)
    only = Engine(home, starts=False)
    assert only.overviews.overview(run.id).waiting_for == (
        "a worker: the back end does not run; `xtyl up` or the next run starts it"
    )
    assert status(home).pid is None
    only.close()
    wait_until(lambda: run.waiting_for == "a worker: the back end is starting")
    wait_until(lambda: run.waiting_for is None)


@pytest.mark.parametrize("is_dead_before", [False, True], ids=["alive", "dead before"])
def test_no_look_starts_what_was_stopped(is_dead_before: bool, home: Settings, effects: Effects) -> None:
    """After `xtyl down` a look, by an old or a new handle, says that the back end was stopped, and a wait says what to do."""
    run = begun(home, effects)
    if is_dead_before:
        kill_all(home)
    assert down(home) is not is_dead_before
    wait_until(lambda: run.waiting_for == STOPPED)
    xt.connect()
    again = xt.attach(run.id)
    assert (again.state, again.waiting_for) == ("running", STOPPED)
    assert again.frame()["made"].notna().sum() < ROWS
    for wait in (again.wait, lambda: list(again.watch())):
        with pytest.raises(xt.BackendError, match="was stopped"):
            wait()
    assert again.pause().state == "paused"
    assert status(home).pid is None
    assert again.resume().wait(60).state == "completed"


def test_a_system_that_ends_is_no_wish_to_stop(home: Settings, effects: Effects) -> None:
    """A supervisor that got SIGTERM, as all processes do when a machine restarts, is started again by a look."""
    run = begun(home, effects)
    found = presence(home.home)
    os.kill(found.pid, signal.SIGTERM)
    wait_until(lambda: status(home).pid != found.pid)
    assert presence(home.home).state is not SupervisorState.STOPPED
    wait_until(lambda: run.state == "completed")


def test_a_back_end_that_gave_up_is_not_started_by_a_look(
    home: Settings, effects: Effects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says why it gave up, and looking does not try it over and over; the next run does."""
    run = begun(home, effects)
    kill_all(home)
    with monkeypatch.context() as patched:
        fake_server(tmp_path / "bin", "valkey-server", "9.0.0")
        patched.setenv("PATH", str(tmp_path / "bin"), prepend=":")
        wait_until(lambda: "the server ended 5 times" in (run.waiting_for or ""))
    failed = presence(home.home)
    assert "`xtyl up` or the next run starts it again" in (run.waiting_for or "")
    assert presence(home.home) == failed
    assert status(home).pid is None
    with pytest.raises(xt.BackendError, match="the server ended 5 times"):
        run.wait()
    ensure(home)
    wait_until(lambda: run.state == "completed")


def test_a_back_end_that_cannot_be_started_is_not_tried_by_each_look(
    home: Settings, effects: Effects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that ends before it writes anything is not started again by each look."""
    run = begun(home, effects)
    kill_all(home)
    (tmp_path / "path").mkdir()
    starts = tmp_path / "starts"
    (tmp_path / "path" / "sitecustomize.py").write_text(
        f"open({str(starts)!r}, 'a').write('.')\nraise SystemExit('no way')"
    )
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(tmp_path / "path"))
        wait_until(lambda: "cannot be started" in (run.waiting_for or ""))
        count = len(starts.read_text())
        for _ in range(20):
            assert "cannot be started" in (run.waiting_for or "")
        assert len(starts.read_text()) == count
    assert run.resume().wait(60).state == "completed"


def test_a_start_that_the_system_refuses_is_tried_again(
    home: Settings, effects: Effects, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the system lets no process start, the run says why, a wait raises a named error, and the log has one line; once the
    cause is gone, looking starts the back end."""
    run = begun(home, effects)
    kill_all(home)
    with monkeypatch.context() as patched:
        patched.setenv("MUCH", "x" * 200_000)
        wait_until(lambda: "cannot be started: the system refused" in (run.waiting_for or ""))
        for _ in range(20):
            assert "Argument list too long; a look tries again after 5 s" in (run.waiting_for or "")
        with pytest.raises(xt.BackendError, match="Argument list too long") as caught:
            run.wait()
    assert caught.value.code == "backend/start"
    assert sum("cannot be started" in each.getMessage() for each in caplog.records) == 1
    wait_until(lambda: run.state == "completed")


def test_a_folder_that_was_mended_is_tried_again(home: Settings, effects: Effects) -> None:
    """A refused folder of the socket keeps a look from starting the back end only as long as it is refused."""
    run = begun(home, effects)
    kill_all(home)
    folder = Path(presence(home.home).socket).parent
    folder.chmod(0o755)
    wait_until(lambda: "cannot be started" in (run.waiting_for or ""))
    folder.chmod(0o700)
    wait_until(lambda: run.state == "completed")


OTHERS: dict[str, tuple[dict[str, object], str]] = {
    "settings": ({"settings": {"XTYL_ACCEPT_FUNCTIONS": "0"}}, "XTYL_ACCEPT_FUNCTIONS=0 (here 1)"),
    "python": ({"python": "/other/bin/python"}, f"Python=/other/bin/python (here {sys.executable})"),
    "version": ({"version": "0.0.1"}, "xtyl=0.0.1 (here "),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_look_starts_only_what_it_would_start_as_it_was(other: str, home: Settings, effects: Effects) -> None:
    """A back end that ran with other settings, another Python or another release is left to an explicit start: a look says in
    what they differ, and so does a wait."""
    run = begun(home, effects)
    kill_all(home)
    changes, words = OTHERS[other]
    former = replace(presence(home.home), **changes)  # type: ignore[arg-type]
    write_presence(home.home, former)
    wait_until(lambda: f"a worker: the back end ended, and ran with {words}" in (run.waiting_for or ""))
    with pytest.raises(xt.BackendError, match="`xtyl up` or the next run starts it") as caught:
        run.wait()
    assert words in caught.value.message
    assert (status(home).pid, presence(home.home)) == (None, former)
    assert run.resume().wait(60).state == "completed"


def test_another_name_of_the_same_python_is_no_other(home: Settings, effects: Effects) -> None:
    """`python` and `python3` of one environment start the same back end."""
    run = begun(home, effects)
    kill_all(home)
    names = [each for each in Path(sys.executable).parent.glob("python*") if str(each) != sys.executable]
    same = [each for each in names if each.resolve() == Path(sys.executable).resolve()]
    write_presence(home.home, replace(presence(home.home), python=str(same[0])))
    wait_until(lambda: run.state == "completed")


def test_a_worker_that_never_comes_is_named(home: Settings, effects: Effects) -> None:
    """Where the supervisor lives and its worker does not, the run says how often it was started again."""
    run = begun(home, effects, 20)
    found = presence(home.home)
    assert found.server_pid is not None
    # A worker starts in less than the second in which one that was seen is not looked for. This one cannot come before it is
    # frozen, because its server answers nothing until then.
    os.kill(found.server_pid, signal.SIGSTOP)
    kill(found.worker_pid)
    wait_until(lambda: presence(home.home).worker_pid not in (None, found.worker_pid))
    late = presence(home.home).worker_pid
    assert late is not None
    os.kill(late, signal.SIGSTOP)
    os.kill(found.server_pid, signal.SIGCONT)
    wait_until(lambda: "the back end is starting; restarts so far: 1," in (run.waiting_for or ""))
    os.kill(late, signal.SIGCONT)
    run.wait(60)


def test_a_look_at_a_run_that_is_over_starts_nothing(home: Settings, effects: Effects) -> None:
    """Results are read without a back end, and so are lists of runs."""
    run = begun(home, effects).wait(60)
    kill_all(home)
    xt.connect()
    again = xt.attach(run.id)
    assert (again.state, again.progress, again.waiting_for) == ("completed", 100, None)
    assert list(again.frame()["made"]) == list(range(ROWS))
    assert len(list(again.watch())) == len(again.events())
    assert run.id in xt.runs().index
    assert status(home).pid is None


def xtyl(home: Settings, *words: str) -> subprocess.Popen[str]:
    code = f"from xtyl_nb.cli.main import main; main({list(words)!r})"
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, env=home.child_environ(), stdout=subprocess.PIPE, text=True)


def test_commands_that_only_look_start_nothing(home: Settings, effects: Effects) -> None:
    """`xtyl runs`, `status`, `show` and `doctor` leave a dead back end dead, and return; each of the first three says in words
    that no worker is there."""
    run = begun(home, effects)
    kill_all(home)
    for words, expected in (
        (("runs",), "waits for a worker"),
        (("runs", "--json"), '"waiting_for": "a worker: the back end does not run'),
        (("status",), "no worker is there"),
        (("doctor",), "ok   python"),
        (("show", run.id), "waits for a worker: the back end does not run; `xtyl up` or the next run starts it"),
    ):
        with xtyl(home, *words) as command:
            said, _ = command.communicate(timeout=60)
            assert expected in said
    with xtyl(home, "show", "--follow", run.id) as command:
        assert "running, waits for a worker: the back end does not run" in line_of(command)
        command.kill()
    assert status(home).pid is None


def test_the_api_looks_for_its_callers(home: Settings, effects: Effects) -> None:
    """A kernel on another machine looks at a run through the API, and that starts the API's embedded back end again."""
    with serve(home) as served:
        id = begun(home, effects).id
        kill_all(home)
        xt.connect(served.url, token=served.token)
        run = xt.attach(id)
        wait_until(lambda: run.state == "completed")
        xt.connect()


@pytest.fixture
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder as a session has it."""
    with tempfile.TemporaryDirectory(prefix="xr", ignore_cleanup_errors=True) as folder:
        base = Path(folder, "run")
        base.mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
        yield base


@pytest.mark.parametrize("comes_back", [False, True], ids=["gone", "empty again"])
def test_a_run_outlives_its_runtime_folder(
    comes_back: bool, runtime_folder: Path, home: Settings, effects: Effects
) -> None:
    """The folder goes with the last session: the server moves, the run goes on, jobs that run are not disturbed, and the kernel
    finds the new place."""
    run = begun(home, effects, 40)
    before = presence(home.home)
    assert Path(before.socket).is_relative_to(runtime_folder)
    shutil.rmtree(runtime_folder)
    if comes_back:
        runtime_folder.mkdir()
    assert run.wait(60).state == "completed"
    assert len(effects.lines()) == len(set(effects.lines())) == 40
    assert (run.jobs()["attempts"] == 1).all()
    wait_ready(home)
    after = presence(home.home)
    assert after.pid == before.pid
    assert Path(after.socket).is_relative_to(runtime_folder) is comes_back
    assert ping(Path(after.socket))
    assert begun(home, effects).wait(60).state == "completed"
    shutil.rmtree(Path(after.socket).parent, ignore_errors=True)


def long_step(effects: Effects) -> Callable[..., object]:
    def work(n: int) -> int:
        effects.note(n)
        time.sleep(4)
        return n

    return work


@pytest.fixture
def hurried(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Its workers give back what they do not finish within half a second of being told to end."""
    monkeypatch.setenv("XTYL_SHUTDOWN_SECONDS", "0.5")
    return load_settings()


def long_run(settings: Settings, effects: Effects) -> Run:
    """A run whose two jobs are both in the middle of their work."""
    xt.connect()
    run = xt.Workflow("long").call("made", long_step(effects), n="{{ n }}").run(pd.DataFrame({"n": range(2)}))
    wait_ready(settings)
    wait_until(lambda: len(effects.lines()) == 2)
    return run


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_move_of_the_server_repeats_no_long_job(
    pool: str, runtime_folder: Path, hurried: Settings, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that knew the former place keeps its jobs until they are done, however long that takes, and ends then."""
    monkeypatch.setenv("XTYL_POOL", pool)
    run = long_run(hurried, effects)
    before = presence(hurried.home)
    shutil.rmtree(runtime_folder)
    assert run.wait(60).state == "completed"
    assert sorted(effects.lines()) == ["0", "1"]
    assert (run.jobs()["attempts"] == 1).all()
    assert presence(hurried.home).worker_pid != before.worker_pid
    wait_until(lambda: is_gone(before.worker_pid))


def test_a_worker_that_was_replaced_ends_with_the_back_end(
    runtime_folder: Path, hurried: Settings, effects: Effects
) -> None:
    """`xtyl down` returns when it has ended too, and it gave back the jobs that it did not finish."""
    run = long_run(hurried, effects)
    before = presence(hurried.home)
    shutil.rmtree(runtime_folder)
    wait_until(lambda: presence(hurried.home).worker_pid not in (None, before.worker_pid))
    assert down(hurried)
    assert is_gone(before.worker_pid)
    assert run.overview().nodes["made"].counts == {"ready": 2}


def test_a_kernel_outlives_the_removal_of_its_home(home: Settings, effects: Effects) -> None:
    """Looks at a removed home say so and make nothing; the next run makes it anew and ends, and the former run is not known."""
    run = begun(home, effects, 2).wait(60)
    down(home)
    shutil.rmtree(home.home)
    for look in (lambda: run.state, xt.runs, run.retry):
        with pytest.raises(xt.BackendError, match="was removed while this process used it"):
            look()
    assert not home.home.exists()
    assert begun(home, effects, 2).wait(60).state == "completed"
    with pytest.raises(xt.RunNotFound):
        assert run.state


def test_a_kernel_sees_a_home_that_was_made_anew(home: Settings, effects: Effects) -> None:
    """Where another process made the home anew, this one reads that database: no run is written to the removed one."""
    run = begun(home, effects, 2).wait(60)
    down(home)
    shutil.rmtree(home.home)
    other = DirectBackend(home)
    assert xt.runs().empty
    with pytest.raises(xt.RunNotFound):
        assert run.state
    assert begun(home, effects, 2).wait(60).state == "completed"
    assert len(other.queries.executions()) == 1
    other.close()
