"""The process that forks runners. The base launcher is executed by a worker, and forks one for each kernel, which takes its
surroundings and imports what its runs have needed; that one forks launchers of runs, which load functions and fork runners for
the runs that have the same ones. No launcher ever calls a function.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import NoReturn

from xtyl_engine.functions.loading import load, load_reference
from xtyl_engine.functions.local_modules import is_local, source_digest
from xtyl_engine.functions.packed_function import PYTHON
from xtyl_engine.functions.uses import all_imports
from xtyl_engine.runners.calling import Function
from xtyl_engine.runners.processes import adopt_orphans, end_with_parent, kill_all_of
from xtyl_engine.runners.protocol import PROTOCOL, Message, RunnerLine
from xtyl_engine.runners.runner import serve
from xtyl_engine.values.artifacts import ArtifactStore

FAILED = 70
# A picture is never shown in a window, and what draws into a notebook's page draws nothing here.
_BACKEND, _PICTURES, _PAGE = "MPLBACKEND", "Agg", "module://"


def main() -> NoReturn:
    """Be the base launcher: its connection is its standard input."""
    wire = RunnerLine(socket.socket(fileno=os.dup(0)), takes_handles=True)
    _stand_alone(wire)
    wire.send({"protocol": PROTOCOL, "python": PYTHON})
    # What every packed function names, and what no launcher need look through again.
    import_module("cloudpickle")
    gc.collect()
    gc.freeze()
    _serve_runs(wire)


def _serve_runs(wire: RunnerLine) -> NoReturn:
    """Fork launchers for runs, or for each kernel, and import what their functions turned out to need."""
    # Nothing asks how a launcher ended, so none is waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while (message := _next(wire)) is not None:
        if "import" in message:
            _import(message["import"])
            continue
        work = _stay if "stays" in message else _launch
        wire.send({"pid": _fork(partial(work, begin=message), wire, wire.handles.pop(0))})
    _end()


def _stay(wire: RunnerLine, begin: Message) -> None:
    """Be the launcher of one kernel."""
    _surround(begin)
    _serve_runs(wire)


def _import(names: list[str]) -> None:
    for name in names:
        with suppress(Exception, SystemExit):
            import_module(name)
    gc.collect()
    gc.freeze()


def _stand_alone(wire: RunnerLine) -> None:
    """Leave the worker's session, terminal, signals and open files."""
    with suppress(OSError):
        os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    own = wire.fileno()
    os.closerange(3, own)
    os.closerange(own + 1, own + 4096)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    adopt_orphans()


def _fork(work: Callable[[RunnerLine], None], own: RunnerLine, handle: int) -> int:
    """Fork a process that does this work at the other end of a connection, and never returns from it."""
    with warnings.catch_warnings():
        # A library may have started threads when it was loaded; they are not there after the fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        os.close(handle)
        return pid
    try:
        own.close()
        end_with_parent()
        work(RunnerLine(socket.socket(fileno=handle), takes_handles=True))
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(FAILED)


def _next(wire: RunnerLine) -> Message | None:
    """The next message without a body, None when the worker is gone."""
    with suppress(EOFError, OSError):
        return wire.receive()[0]
    return None


def _launch(wire: RunnerLine, begin: Message) -> None:
    """Be the launcher of one run."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    adopt_orphans()
    known = frozenset(sys.modules)
    _surround(begin)
    store = ArtifactStore(begin["artifacts"], patience_seconds=begin["patience"])
    functions: dict[str, Function] = {}
    runners: set[int] = set()
    with suppress(EOFError, OSError):
        while True:
            message, body = wire.receive()
            if "load" in message:
                lasts = _load(wire, functions, message["load"], body)
                new = [(name, each) for name, each in list(sys.modules.items()) if name not in known]
                # Only these mean the same to every run of a kernel.
                installed = [name for name, module in new if not is_local(module)]
                lasts = lasts and len(installed) == len(new)
                wire.send({"loaded": list(functions), "modules": installed, "lasts": lasts})
            elif "fork" in message:
                calls = partial(serve, functions=functions, store=store, folder=message["fork"])
                pid = _fork(calls, wire, wire.handles.pop())
                runners.add(pid)
                wire.send({"pid": pid})
            elif "reap" in message:
                runners.discard(message["reap"])
                wire.send({"status": os.waitpid(message["reap"], 0)[1]})
            _bury(runners)
    _end(runners)


def _surround(begin: Message) -> None:
    """Take the run's variables, import path, folder and umask."""
    variables = begin.get("variables")
    if variables is not None:
        os.environ.clear()
        os.environ.update(variables)
    if os.environ.get(_BACKEND, _PAGE).startswith(_PAGE):
        os.environ[_BACKEND] = _PICTURES
    if (path := begin.get("path")) is not None:
        sys.path[:] = path
    if (folder := begin.get("folder")) is not None:
        os.chdir(folder)
    if (umask := begin.get("umask")) is not None:
        os.umask(umask)
    # Functions of a notebook name this module as theirs; what the launcher itself is does not concern them.
    sys.modules["__main__"] = types.ModuleType("__main__")


def _load(wire: RunnerLine, functions: dict[str, Function], wanted: list[Message], body: bytes) -> bool:
    """Load functions, and say of each that it begins. Returns whether all are, and import no local module when they run.

    One that cannot be loaded is left to a runner, which says why; so is one whose modules hold what forked processes must not
    share, after the end of this launcher.
    """
    at, held, lasting = 0, _held(), 0
    for each in wanted:
        blob, at = body[at : at + each["size"]], at + each["size"]
        wire.send({"loading": each["key"]})
        with suppress(Exception, SystemExit):
            key = each["key"]
            functions[key] = load(blob, name=each["name"], python=each["python"]) if blob else load_reference(key)
            lasting += _import_ahead(functions[key])
        if _held() - held:
            # What nothing refers to any more is closed so.
            gc.collect()
            if _held() - held:
                _end()
    # What is loaded stays, so runners need not look through it, and share its memory.
    gc.collect()
    gc.freeze()
    return lasting == len(wanted)


def _held() -> set[object]:
    """The open files and the threads of Python: forked processes would share the former, and wait for the latter."""
    found: set[object] = set(threading.enumerate())
    for number in map(int, os.listdir("/dev/fd")):
        # One was open for the listing alone.
        with suppress(OSError):
            file = os.fstat(number)
            found.add((number, file.st_dev, file.st_ino))
    return found


def _end(runners: Iterable[int] = ()) -> NoReturn:
    """End with all that came of this process."""
    for pid in runners:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    # To look for more takes milliseconds, and mostly there is nothing.
    with suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        kill_all_of(os.getpid(), itself=False)
    os._exit(0)


def _import_ahead(function: Function) -> bool:
    """Import the installed modules that a function imports when it runs: here once, and not in each runner. Local ones are left
    to the call, which checks that they are the kernel's. Returns whether there are none of these."""
    names, installed = sorted(all_imports(function)), 0
    for name in names:
        with suppress(Exception, SystemExit):
            if source_digest(name) is None:
                installed += 1
                import_module(name)
    return installed == len(names)


def _bury(runners: set[int]) -> None:
    """Wait for orphans that have ended here. A runner keeps its number until the worker asks for its end."""
    # Where there is no such call, no orphans come here either.
    with suppress(ChildProcessError, AttributeError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid in runners:
                return
            os.waitpid(ended.si_pid, 0)
