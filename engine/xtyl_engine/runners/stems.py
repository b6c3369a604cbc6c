"""The worker's side of the launchers that stay between runs: the base of each interpreter, which is executed, and one for each
kernel, which has imported what its runs needed. Which run is started from which is for `pool`.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

from xtyl_engine.errors import PermanentError, TransientError
from xtyl_engine.runners.launchers import Launcher, LauncherGone, Preparation, heard
from xtyl_engine.runners.patience import Patience
from xtyl_engine.runners.protocol import PROTOCOL, Message, RunnerLine, wire_pair

# What belongs to no run must not be found in the folder in which the worker was started. A kernel may have found this package on
# its import path alone.
_CODE = "import sys; sys.path += sys.argv[1:]; from xtyl_engine.runners.launcher import main; main()"
INSTALL = "Install xtyl-nb there (`pip install xtyl-nb`, the release that the worker has), then `run.retry()`."
_TAKEN = ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGCHLD", "SIGUSR1", "SIGUSR2")
START_SECONDS = 60.0


class Stem:
    """A launcher that forks launchers of runs. It ends, with all that came of it, when it is closed or its worker ends."""

    def __init__(self, python: str, wire: RunnerLine, pid: int, *, greeted: bool):
        self._wire, self._python, self._greeted = wire, python, greeted
        self._speaking = threading.Lock()
        self.close = weakref.finalize(self, _end, wire, pid)
        self.used = time.monotonic()

    @classmethod
    def executed(cls, python: str, environ: Mapping[str, str], path: Sequence[str] = ()) -> Self:
        """The base launcher of an interpreter, with the import path of the first run that needs it behind its own."""
        ours, theirs = wire_pair()
        try:
            pid = os.posix_spawn(
                python,
                [python, "-P", "-c", _CODE, *path],
                environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
                setsigmask=(),
                setsigdef=[getattr(signal, name) for name in _TAKEN],
            )
        except OSError as error:
            ours.close()
            raise _not_started(python, str(error.strerror)) from error
        finally:
            theirs.close()
        return cls(python, ours, pid, greeted=False)

    @property
    def is_closed(self) -> bool:
        return not self.close.alive

    def branch(self, preparation: Preparation, patience: Patience) -> Stem:
        """Fork one for the kernel of a run, with its variables and import path. Raises as `launch` does."""
        begin = {"stays": True, "path": preparation.path, "variables": _plain(preparation.variables)}
        wire, pid = self._forked(begin, patience)
        return Stem(self._python, wire, pid, greeted=True)

    def launch(self, preparation: Preparation, patience: Patience) -> Launcher:
        """Fork a launcher for a run. Raises TransientError where it has ended."""
        scratch = tempfile.mkdtemp(prefix="xtyl-") if preparation.folder is None else None
        begin = {
            "folder": preparation.folder or scratch,
            "path": preparation.path,
            "umask": preparation.umask,
            "variables": _plain(preparation.variables),
            "artifacts": preparation.artifacts,
            "patience": preparation.patience,
        }
        wire, pid = self._forked(begin, patience)
        return Launcher(wire, scratch, pid)

    def learn(self, modules: Sequence[str]) -> None:
        """Import installed modules for the runs that follow, without being waited for."""
        with self._speaking, suppress(OSError):
            self._wire.send({"import": list(modules)})

    def _forked(self, begin: Message, patience: Patience) -> tuple[RunnerLine, int]:
        ours, theirs = wire_pair()
        self.used = time.monotonic()
        try:
            with self._speaking:
                if not self._greeted:
                    self._greet(patience)
                self._wire.send(begin, handles=(theirs.fileno(),))
                return ours, int(heard(self._wire, patience, START_SECONDS)["pid"])
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


def _plain(variables: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if variables is None else dict(variables)


def _not_started(python: str, why: str) -> TransientError:
    return TransientError(
        f"the process for functions did not start with {python}: {why}",
        hint="Look into the worker's log for its last words.",
    )


def _end(wire: RunnerLine, pid: int) -> None:
    wire.close()
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
