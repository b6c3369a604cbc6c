"""Calls made by real launchers and runners, without a worker: what comes back, what is waited for, what is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from servers import PATIENT_SECONDS, is_gone, wait_until
from xtyl_engine.errors import FunctionRejected, NodeTimeout, PartialFailureError, PermanentError, TransientError
from xtyl_engine.functions.packed_function import PackedFunction
from xtyl_engine.functions.packing import wrap
from xtyl_engine.runners.launchers import Preparation
from xtyl_engine.runners.orders import Order, RunnerDied
from xtyl_engine.runners.patience import CallStopped, Patience
from xtyl_engine.runners.places import IDLE_BYTES
from xtyl_engine.runners.pool import IDLE_SECONDS, Runners


@pytest.fixture(params=[True, False], ids=["loaded ahead", "loaded by runners"])
def runners(request: pytest.FixtureRequest) -> Iterator[Runners]:
    """The second way is that of macOS."""
    made = Runners(4, loads_ahead=request.param)
    yield made
    made.close()


class Caller:
    """Has functions called as a worker does; keeps what they print."""

    def __init__(self, runners: Runners, folder: Path):
        self.printed = b""
        self.told: list[Any] = []
        self.runners = runners
        self._folder = folder

    def order(self, function: Callable[..., Any] | str, run: str = "run", **given: Any) -> Order:
        packed: list[PackedFunction] = [] if isinstance(function, str) else [wrap(function)]
        key = function if isinstance(function, str) else packed[0].digest
        arguments = given.pop("arguments", {})
        preparation = Preparation(
            python=sys.executable,
            path=given.pop("path", None),
            umask=given.pop("umask", None),
            artifacts=str(self._folder),
            packed=tuple(packed),
            references=(key,) if isinstance(function, str) else (),
            refused=given.pop("refused", {}),
        )
        return Order(
            run=run,
            key=key,
            request={"function": key, "arguments": arguments},
            prepare=lambda: preparation,
            patience=given.pop("patience", Patience(given.pop("seconds", None), lambda: False)),
            may_start=given.pop("may_start", lambda: None),
            sink=self._print,
            progress=self.told.append,
            waited=self.told.append,
        )

    def call(self, function: Callable[..., Any] | str, run: str = "run", **given: Any) -> tuple[bytes, int | None]:
        return self.runners.call(self.order(function, run, **given))

    def _print(self, data: bytes) -> None:
        self.printed += data


@pytest.fixture
def caller(runners: Runners, tmp_path: Path) -> Caller:
    return Caller(runners, tmp_path / "artifacts")


def test_a_call_gives_its_output_as_json(caller: Caller) -> None:
    """A value, or items with their number; what it printed came before."""

    def speak(word: str) -> str:
        sys.stdout.write(f"said {word}\n")
        return word.upper()

    assert caller.call(speak, arguments={"word": "é"}) == ('{"value":"É"}'.encode(), None)
    assert caller.printed == "said é\n".encode()
    assert caller.call(lambda: [1, 2], "another") == (b'{"items":[1,2]}', 2)


POOLED = """
import multiprocessing


def squared(n):
    return n * n


def pooled():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(squared, [3])
"""
ERRORS = {
    "own": (lambda: 1 / 0, PermanentError, "raised ZeroDivisionError"),
    "transient": (lambda: _raise(ConnectionError("gone")), TransientError, "ConnectionError: gone"),
    "partial": (lambda: _raise(PartialFailureError("look")), PartialFailureError, "look"),
    "exit": (lambda: sys.exit(3), PermanentError, "SystemExit: 3"),
    "died": (lambda: os._exit(3), RunnerDied, "exit code 3"),
}


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_keeps_its_class_and_words(caller: Caller, kind: str) -> None:
    """What it means for the job, and what happened; the next call is made as ever."""
    function, error, words = ERRORS[kind]
    with pytest.raises(error, match=words):
        caller.call(function)
    assert caller.call(lambda: 1, "another")[0] == b'{"value":1}'


def test_an_exception_is_not_loaded_again(caller: Caller, tmp_path: Path) -> None:
    """What it would do where it is unpickled is not done: its words alone come back."""

    def fails(place: str) -> None:
        class Acting(Exception):
            def __reduce__(self) -> tuple[Any, ...]:
                return open, (place, "w")

        raise Acting("own words")

    with pytest.raises(PermanentError, match="Acting: own words"):
        caller.call(fails, arguments={"place": str(tmp_path / "bomb")})
    assert not (tmp_path / "bomb").exists()


def test_when_to_come_back_is_told(caller: Caller) -> None:
    """The seconds of a transient error come along."""
    with pytest.raises(TransientError) as caught:
        caller.call(lambda: _raise(TransientError("busy", retry_after=7)))
    assert caught.value.retry_after == 7


def test_child_processes_find_functions_of_a_cell(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of processes is given a helper of the cell; the next call is made as ever."""
    cell = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", cell)
    exec(POOLED, vars(cell))
    assert caller.call(cell.pooled)[0] == caller.call(cell.pooled)[0] == b'{"value":9}'


def test_a_file_is_as_open_as_one_of_the_kernel(caller: Caller, tmp_path: Path) -> None:
    """A function makes it with the umask of its run, also after a call that changed it."""
    folder = str(tmp_path)

    def write(name: str) -> int:
        Path(folder, name).touch()
        os.umask(0)
        return Path(folder, name).stat().st_mode & 0o777

    for name in ("first", "second"):
        assert caller.call(write, umask=0o027, arguments={"name": name})[0] == b'{"value":416}'


def test_a_time_limit_ends_the_process(caller: Caller, tmp_path: Path) -> None:
    """It counts from the call itself; what the function had printed is there."""
    path = str(tmp_path / "pid")

    def hang() -> None:
        Path(path).write_text(str(os.getpid()))
        sys.stdout.write("begun\n")
        time.sleep(3600)

    with pytest.raises(NodeTimeout, match="no result after 1 s"):
        caller.call(hang, seconds=1.0)
    assert is_gone(int(Path(path).read_text()))
    assert caller.printed == b"begun\n"


def test_what_may_not_start_is_not_called(caller: Caller, tmp_path: Path) -> None:
    """The error of the last look is raised, and the runner serves the next call."""
    path = str(tmp_path / "called")
    with pytest.raises(PermanentError, match="no longer"):
        caller.call(lambda: Path(path).touch(), may_start=lambda: _raise(PermanentError("no longer")))
    assert caller.call(lambda: Path(path).exists(), "another")[0] == b'{"value":false}'


def test_a_refused_function_is_not_loaded(caller: Caller) -> None:
    """Its error is raised when it is called."""
    with pytest.raises(FunctionRejected, match="not signed"):
        caller.call("os:getpid", refused={"os:getpid": FunctionRejected("not signed")})


def test_calls_one_after_the_other_share_a_runner(caller: Caller) -> None:
    """It is the same process, for one run; another run has another."""
    first, again = caller.call("os:getpid"), caller.call("os:getpid")
    other = caller.call("os:getpid", "another")
    assert first == again != other


def test_a_runner_that_was_killed_while_idle_is_replaced(caller: Caller) -> None:
    """The next call does not fail for it."""
    pid = int(caller.call("os:getpid")[0].partition(b":")[2].rstrip(b"}"))
    os.kill(pid, 9)
    wait_until(lambda: is_gone(pid) or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert caller.call("os:getpid")[0] != f'{{"value":{pid}}}'.encode()


def test_calls_of_many_threads_are_made_at_once(caller: Caller) -> None:
    """Each has a runner of its own while they last."""
    found: set[bytes] = set()
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(PATIENT_SECONDS)
        address = door.getsockname()

        def meet() -> int:
            with socket.create_connection(address) as met:
                met.recv(1)
            return os.getpid()

        for number in (1, 4):
            calls = [lambda: found.add(caller.call(meet, seconds=PATIENT_SECONDS)[0])] * number
            threads = [threading.Thread(target=call) for call in calls]
            for thread in threads:
                thread.start()
            # None is let go before all are there.
            for met in [door.accept()[0] for _ in threads]:
                met.close()
            for thread in threads:
                thread.join()
    assert len(found) == 4


def test_the_functions_of_idle_runs_do_not_fill_a_worker(caller: Caller) -> None:
    """Runs that bring large functions and call nothing any more have theirs ended for those that follow, long before its time."""
    launchers = []
    for number in range(9):
        load = os.urandom(IDLE_BYTES // 8 + 1)
        launchers.append(int(caller.call(lambda load=load: os.getppid() + 0 * len(load), f"run {number}")[0][9:-1]))
    wait_until(lambda: is_gone(launchers[0]), IDLE_SECONDS / 2)
    assert not is_gone(launchers[-1])


def test_a_module_that_does_not_return_holds_up_its_call_alone(caller: Caller, tmp_path: Path) -> None:
    """A call whose run is stopped while the module is loaded ends, and so does the process that loads it."""
    path = str(tmp_path / "pid")

    class Hanging:
        def __reduce__(self) -> tuple[Any, ...]:
            return exec, (f"import os, time; open({path!r}, 'w').write(str(os.getpid())); time.sleep(3600)",)

    hanging = Hanging()
    with pytest.raises((CallStopped, NodeTimeout)):
        caller.call(lambda: hanging, patience=Patience(1.0, lambda: os.path.exists(path)))
    wait_until(lambda: is_gone(int(Path(path).read_text())))


def test_a_module_that_only_the_function_imports_is_edited(
    runners: Runners, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever process loads the function keeps the module that the kernel had, though none has imported it yet; one that loads
    it after the edit refuses it by the module's name. Each runner makes the module anew."""
    module = tmp_path / "prices_within.py"
    text = "import os\nPID = os.getpid()\nPRICE = 1\n"
    module.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))

    def price(asked: bool) -> list[Any]:
        if not asked:
            return [os.getpid()]
        import prices_within  # type: ignore[import-not-found]

        return [prices_within.PRICE, os.getpid() == prices_within.PID]

    path = tuple(sys.path)
    first, second, third = [caller.order(price, arguments={"asked": asked}, path=path) for asked in (False, True, True)]
    (pid,) = json.loads(runners.call(first)[0])["items"]
    module.write_text(text.replace("1", "333"))
    assert json.loads(runners.call(second)[0])["items"] == [1, True]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid))
    if runners.loads_ahead:
        assert json.loads(runners.call(third)[0])["items"] == [1, True]
    else:
        with pytest.raises(PermanentError, match=r"the module prices_within, which price\(\) imports"):
            runners.call(third)


def test_many_functions_whose_modules_hold_a_connection_are_called(runners: Runners, tmp_path: Path) -> None:
    """However many of a run's functions have to be left to its runners."""
    names = [f"holds_one_{number}" for number in range(22)]
    for name in names:
        (tmp_path / f"{name}.py").write_text("import socket\nours = socket.socketpair()\ndef ask(): return 1\n")
    references = tuple(f"{name}:ask" for name in names)
    caller = Caller(runners, tmp_path / "artifacts")
    order = caller.order(references[-1])
    held = replace(order.prepare(), references=references, path=(*sys.path, str(tmp_path)))
    assert runners.call(replace(order, prepare=lambda: held))[0] == b'{"value":1}'


def test_nothing_is_left_when_the_pool_is_closed(runners: Runners, caller: Caller) -> None:
    """Launchers and runners end, also one at a call."""
    pid = int(caller.call("os:getppid")[0].partition(b":")[2].rstrip(b"}"))
    runners.close()
    wait_until(lambda: is_gone(pid))


def test_a_function_finds_nothing_of_the_worker(caller: Caller) -> None:
    """Its standard input is empty, and it has only files of its own."""

    def seen() -> list[Any]:
        names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd") if int(name) > 2]
        opened = [os.readlink(name) for name in names if os.path.lexists(name)]
        return [sys.stdin.read(), [each for each in opened if not each.startswith(("socket:", "pipe:", os.devnull))]]

    assert caller.call(seen)[0] == b'{"items":["",[]]}'


def test_runs_with_the_same_functions_share_a_launcher(caller: Caller) -> None:
    """Each has runners of its own, which find nothing of what another has changed; a run with another function has another
    launcher."""

    def seen() -> list[Any]:
        import json

        met = getattr(json, "met", None)
        json.met = "someone"  # type: ignore[attr-defined]
        return [os.getppid(), os.getpid(), met]

    (launcher, one, met), (same, two, met_again) = [
        json.loads(caller.call(seen, run)[0])["items"] for run in ("one", "two")
    ]
    assert (met, met_again) == (None, None)
    assert one != two
    assert (launcher == same) is caller.runners.loads_ahead
    assert json.loads(caller.call("os:getppid", "three")[0])["value"] not in (launcher, same)


def test_what_a_run_leaves_behind_goes_before_long(caller: Caller) -> None:
    """A run that begins after a function has started a process has another launcher, so that the first one can end."""

    def start() -> int:
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        return os.getppid()

    launchers = [json.loads(caller.call(start, run)[0])["value"] for run in ("one", "two")]
    assert len(set(launchers)) == 2


def test_a_module_that_was_edited_between_two_runs_is_the_new_one(caller: Caller, tmp_path: Path) -> None:
    """A function of a module that is not installed is loaded for each run anew."""
    module, path = tmp_path / "prices_between.py", (*sys.path, str(tmp_path))
    found = []
    for price in (1, 22):
        module.write_text(f"def price(): return {price}\n")
        found.append(json.loads(caller.call("prices_between:price", f"run {price}", path=path)[0])["value"])
    assert found == [1, 22]
