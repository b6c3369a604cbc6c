"""The worker's side of launchers and runners: starts, speaks with and ends them. Which run gets which is for `pool`."""

from __future__ import annotations

import os
import select
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

from xtyl_engine.errors import WorkflowException
from xtyl_engine.functions.packed_function import PackedFunction
from xtyl_engine.runners.patience import Patience
from xtyl_engine.runners.processes import kill_all_of
from xtyl_engine.runners.protocol import Message, RunnerLine, wire_pair

# A module that takes longer is loaded by each runner for itself.
LOAD_SECONDS = 60.0
READ_BYTES = 65_536
Sink = Callable[[bytes], None]


class LauncherGone(Exception):
    """A launcher has ended, or does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What the launcher of a run begins with: where its functions run, and the functions, verified. `folder` is None for an empty
    one of its own, `path`, `umask` and `variables` None for the worker's. Functions that are
    `refused` raise that error when they are called."""

    python: str
    folder: str | None = None
    path: tuple[str, ...] | None = None
    umask: int | None = None
    variables: Mapping[str, str] | None = None
    artifacts: str
    patience: float = 0.0
    packed: tuple[PackedFunction, ...] = ()
    references: tuple[str, ...] = ()
    refused: Mapping[str, WorkflowException] = field(default_factory=dict)

    def loaded(self) -> object:
        """What its launcher holds: where this is equal, runs may share one. Whether they may is known once it is loaded."""
        functions = frozenset((each.digest, each.name, each.python, sha256(each.blob).digest()) for each in self.packed)
        variables = None if self.variables is None else frozenset(self.variables.items())
        facts = self.python, self.folder, self.path, self.umask, variables, self.artifacts, self.patience
        return *facts, functions, frozenset(self.references)


class Runner:
    """One runner, as its worker holds it."""

    def __init__(self, pid: int, wire: RunnerLine, launcher: Launcher):
        self.pid = pid
        self.wire = wire
        self.launcher = launcher
        self.prints: int | None = None
        # What it had computed when it was last heard of, and since when it is idle.
        self.computed = self.idle_since = 0.0
        self.may_print_on = False
        self.poll = select.poll()
        self.poll.register(wire.fileno(), select.POLLIN)
        self._former: set[int] = set()

    def listen(self) -> int | None:
        """Begin a call. Returns the end of a new pipe to which its function prints; None where it is that of the call before,
        which has left no process behind."""
        if self.prints is not None:
            if not self.may_print_on:
                self.heard()
                return None
            self.poll.unregister(self.prints)
            self._former.add(self.prints)
        self.drop()
        self.prints, handle = os.pipe()
        os.set_blocking(self.prints, False)
        self.poll.register(self.prints, select.POLLIN)
        self.may_print_on = False
        return handle

    def heard(self) -> bytes:
        """What was printed and not read yet; empty where that is all."""
        data = b"" if self.prints is None else _read(self.prints)
        if data is None and self.prints is not None:
            # The function has closed its outputs.
            self.poll.unregister(self.prints)
            os.close(self.prints)
            self.prints = None
        return data or b""

    def drop(self) -> None:
        """Read and drop what a process prints that a former call has left behind: it would wait for a reader for ever. A pipe
        that none holds any more is closed."""
        for pipe in tuple(self._former):
            if _read(pipe) is None:
                self._former.remove(pipe)
                os.close(pipe)

    def close(self) -> None:
        self.wire.close()
        for pipe in (*self._former, *([] if self.prints is None else [self.prints])):
            os.close(pipe)
        self._former, self.prints = set(), None


def _read(pipe: int) -> bytes | None:
    """What is in a pipe; None if no process can write into it any more."""
    try:
        return os.read(pipe, READ_BYTES) or None
    except BlockingIOError:
        return b""


@dataclass(eq=False)
class Launcher:
    """A launcher that loads the functions of runs, as its worker holds it. `knows` are those that it has loaded."""

    wire: RunnerLine
    scratch: str | None
    _pid: int
    knows: frozenset[str] = frozenset()
    # The installed modules that its functions needed, and that those it was forked from had not loaded.
    modules: Sequence[str] = ()
    # Whether a run that begins later would load the same.
    is_lasting: bool = False
    is_gone: bool = False
    _is_loading: bool = False
    _speaking: threading.Lock = field(default_factory=threading.Lock)

    def load(self, preparation: Preparation, avoid: set[str], patience: Patience) -> None:
        """Load the run's functions, but not those to `avoid`. Where that ends the launcher, the one it was at joins them."""
        packed = [each for each in preparation.packed if each.digest not in avoid]
        wanted: list[Message] = [
            {"key": each.digest, "name": each.name, "python": each.python, "size": len(each.blob)} for each in packed
        ]
        wanted += [{"key": key, "size": 0} for key in preparation.references if key not in avoid]
        self._is_loading = True
        self.wire.send({"load": wanted}, b"".join(each.blob for each in packed))
        at = ""
        try:
            while True:
                message = heard(self.wire, patience, LOAD_SECONDS)
                if "loaded" in message:
                    self.knows, self.modules = frozenset(message["loaded"]), message["modules"]
                    self.is_lasting = message["lasts"]
                    self._is_loading = False
                    return
                at = message["loading"]
        except LauncherGone:
            avoid.add(at)
            raise

    def fork(self, folder: str | None) -> Runner:
        """Fork a runner, into a folder of its run's own if there is one. Raises LauncherGone."""
        ours, theirs = wire_pair()
        try:
            pid = int(self._asked({"fork": folder}, (theirs.fileno(),))["pid"])
        except LauncherGone:
            ours.close()
            raise
        finally:
            theirs.close()
        return Runner(pid, ours, self)

    def end(self, runner: Runner) -> int | None:
        """End a runner with all that came of it; how it ended, as `os.waitpid` says, or None where that is not known."""
        kill_all_of(runner.pid)
        return self._reap(runner)

    def dismiss(self, runner: Runner) -> None:
        """End a runner that is idle; one whose launcher is gone ends with that."""
        if not self.is_gone:
            with suppress(OSError):
                os.killpg(runner.pid, signal.SIGKILL)
        self._reap(runner)

    def _reap(self, runner: Runner) -> int | None:
        runner.close()
        with suppress(LauncherGone):
            return int(self._asked({"reap": runner.pid})["status"])
        return None

    def _asked(self, message: Message, handles: Iterable[int] = ()) -> Message:
        with self._speaking:
            if self.is_gone:
                raise LauncherGone
            try:
                self.wire.send(message, handles=tuple(handles))
                return self.wire.receive()[0]
            except (EOFError, OSError) as error:
                self.is_gone = True
                raise LauncherGone from error

    def close(self) -> None:
        """Hang up: the launcher ends all that came of it."""
        with self._speaking:
            self.is_gone = True
            self.wire.close()
        if self._is_loading:
            # A module that does not return keeps it from seeing that.
            with suppress(OSError):
                os.kill(self._pid, signal.SIGKILL)
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)


def heard(wire: RunnerLine, patience: Patience, seconds: float) -> Message:
    """The next message of a launcher. Raises LauncherGone when it has ended or says nothing for so long, and as Patience does."""
    left = seconds
    while (frame := wire.taken()) is None:
        wait = min(left, patience.left() + 0.01)
        if select.select([wire], [], [], wait)[0]:
            try:
                wire.fill()
            except EOFError as error:
                raise LauncherGone from error
        elif (left := left - wait) <= 0:
            raise LauncherGone
        patience.check()
    return frame[0]
