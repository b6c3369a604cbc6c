"""The worker's side of launchers and runners: starts, speaks with and ends them. Which run gets which is for `pool`."""

from __future__ import annotations

import os
import select
import shutil
import signal
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from xtyl_engine.errors import PermanentError, TransientError, WorkflowException
from xtyl_engine.runners.patience import Patience
from xtyl_engine.runners.processes import kill_all_of
from xtyl_engine.runners.protocol import PROTOCOL, Message, RunnerLine, wire_pair
from xtyl_engine.values.functions import PackedFunction

# What belongs to no run must not be found in the folder in which the worker was started. A kernel may have found this package on
# its import path alone.
_CODE = "import sys; sys.path += sys.argv[1:]; from xtyl_engine.runners.launcher import main; main()"
INSTALL = "Install xtyl-nb there (`pip install xtyl-nb`, the release that the worker has), then `run.retry()`."
_TAKEN = ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGCHLD", "SIGUSR1", "SIGUSR2")
# A module that takes longer is loaded by each runner for itself.
LOAD_SECONDS = 60.0
START_SECONDS = 60.0
READ_BYTES = 65_536
Sink = Callable[[bytes], None]


class LauncherGone(Exception):
    """A launcher has ended, or does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What the launcher of a run begins with: where its functions run, and the functions, verified. `folder` is None for an empty
    one of its own, `path` and `variables` None for the worker's. Functions that are
    `refused` raise that error when they are called."""

    python: str
    folder: str | None = None
    path: tuple[str, ...] | None = None
    variables: Mapping[str, str] | None = None
    artifacts: str
    patience: float = 0.0
    packed: tuple[PackedFunction, ...] = ()
    references: tuple[str, ...] = ()
    refused: Mapping[str, WorkflowException] = field(default_factory=dict)


class Runner:
    """One runner, as its worker holds it. `knows` are the functions that were loaded when it was forked."""

    def __init__(self, pid: int, wire: RunnerLine, knows: frozenset[str]):
        self.pid = pid
        self.wire = wire
        self.knows = knows
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
    """The launcher of one run, as its worker holds it. Its runners are idle here, or at a call."""

    wire: RunnerLine
    scratch: str | None
    _pid: int
    knows: frozenset[str] = frozenset()
    idle: deque[Runner] = field(default_factory=deque)
    is_gone: bool = False
    _is_loading: bool = False
    # Held while a runner is forked: what waits for it may find another idle by then.
    forking: threading.Lock = field(default_factory=threading.Lock)
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
                    self.knows = frozenset(message["loaded"])
                    self._is_loading = False
                    return
                at = message["loading"]
        except LauncherGone:
            avoid.add(at)
            raise

    def fork(self) -> Runner:
        """Fork a runner. Raises LauncherGone."""
        ours, theirs = wire_pair()
        try:
            pid = int(self._asked({"fork": True}, (theirs.fileno(),))["pid"])
        except LauncherGone:
            ours.close()
            raise
        finally:
            theirs.close()
        return Runner(pid, ours, self.knows)

    def end(self, runner: Runner) -> int | None:
        """End a runner with all that came of it; how it ended, as `os.waitpid` says, or None where that is not known."""
        kill_all_of(runner.pid)
        return self._reap(runner)

    def dismiss(self, runner: Runner) -> None:
        """End a runner that is idle."""
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
        while self.idle:
            self.idle.pop().close()
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)


class Base:
    """The base launcher of one interpreter, with the import path of the first run that needs it behind its own. It ends, with all
    that came of it, when it is closed or its worker ends."""

    def __init__(self, python: str, environ: Mapping[str, str], path: Sequence[str] = ()):
        self._wire, theirs = wire_pair()
        try:
            self._pid = os.posix_spawn(
                python,
                [python, "-P", "-c", _CODE, *path],
                environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
                setsigmask=(),
                setsigdef=[getattr(signal, name) for name in _TAKEN],
            )
        except OSError as error:
            self._wire.close()
            raise _not_started(python, str(error.strerror)) from error
        finally:
            theirs.close()
        self._speaking = threading.Lock()
        self.close = weakref.finalize(self, _end, self._wire, self._pid)
        self._python = python
        self._greeted = False

    @property
    def is_closed(self) -> bool:
        return not self.close.alive

    def launch(self, preparation: Preparation, patience: Patience) -> Launcher:
        """Fork a launcher for a run. Raises TransientError where there is no base any more."""
        ours, theirs = wire_pair()
        scratch = tempfile.mkdtemp(prefix="xtyl-") if preparation.folder is None else None
        begin = {
            "folder": preparation.folder or scratch,
            "path": preparation.path,
            "variables": None if preparation.variables is None else dict(preparation.variables),
            "artifacts": preparation.artifacts,
            "patience": preparation.patience,
        }
        try:
            with self._speaking:
                if not self._greeted:
                    self._greet(patience)
                self._wire.send(begin, handles=(theirs.fileno(),))
                pid = int(heard(self._wire, patience, START_SECONDS)["pid"])
        except (LauncherGone, OSError) as error:
            self.close()
            ours.close()
            if not self._greeted:
                # Its first words come after its imports.
                raise PermanentError(
                    f"{self._python} cannot run functions: it ends before it can, as it does where this package is not installed",
                    hint=INSTALL + " The worker's log has its last words.",
                ) from error
            raise _not_started(self._python, "it has ended") from error
        finally:
            theirs.close()
        return Launcher(ours, scratch, pid)

    def _greet(self, patience: Patience) -> None:
        hello = heard(self._wire, patience, START_SECONDS)
        if hello.get("protocol") != PROTOCOL:
            self.close()
            raise PermanentError(
                f"{self._python} has another release of this package than the worker: it speaks protocol "
                f"{hello.get('protocol')} and not {PROTOCOL}",
                hint=INSTALL,
            )
        self._greeted = True


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


def _not_started(python: str, why: str) -> TransientError:
    return TransientError(
        f"the process for functions did not start with {python}: {why}",
        hint="Look into the worker's log for its last words.",
    )


def _end(wire: RunnerLine, pid: int) -> None:
    wire.close()
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
