"""Starts the supervisor of an embedded back end as a process of its own, and says what became of it. When to start one is for
`client`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from xtyl_engine.embedded.log_files import open_log
from xtyl_engine.embedded.redis_server import socket_path
from xtyl_engine.embedded.state_file import LEFT_ALONE, UNLESS_STOPPED, Presence, SupervisorState
from xtyl_engine.errors import BackendStartError
from xtyl_engine.settings import Settings

DOCTOR = "Run `xtyl doctor`; it looks for the cause."
# The shell ends at once, so the supervisor is not a child of the notebook: it leaves no zombie there, and it survives when a
# kernel is ended with all its children. It keeps the shell's output open, which shows when it ends.
LAUNCH = 'log=$1; shift; "$@" 3>&1 >>"$log" 2>&1 </dev/null & echo $!'


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a back end is started that is not there: not after one that was stopped, if it is only looked for; and `without` which
    variables of this process, for they are secrets that it lends to its runs."""

    by_look: bool = False
    without: Collection[str] = ()


class StartedSupervisor:
    """A supervisor that was just started; it may find that another one came first."""

    def __init__(self, settings: Settings, start: Start):
        # Checked here, so that a problem with the folder is reported in the user's own process.
        socket_path(settings.home)
        path = settings.log_folder / "supervisor.log"
        os.close(open_log(path))
        # -P: no file in the notebook's folder may shadow a module that the supervisor imports.
        command = [sys.executable, "-P", "-m", "xtyl_engine.embedded.supervisor", *[UNLESS_STOPPED] * start.by_look]
        with subprocess.Popen(
            ["/bin/sh", "-c", LAUNCH, "sh", str(path), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=settings.home,
            env=settings.child_environ(without=start.without),
            # Jupyter sends an interrupt to the kernel's whole process group.
            start_new_session=True,
        ) as shell:
            assert shell.stdout is not None
            said = shell.stdout.readline()
            if not said:
                raise BackendStartError("the shell that starts the back end could start no process", hint=DOCTOR)
            self._pid = int(said)
            self._output = os.dup(shell.stdout.fileno())
            os.set_blocking(self._output, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._output)

    def has_ended(self) -> bool:
        """Whether the process is gone: it never writes, so the only thing to read is its end."""
        try:
            return os.read(self._output, 1) == b""
        except BlockingIOError:
            return False

    def raise_if_ended(self, presence: Presence) -> None:
        """Raise BackendStartError if this process failed or was stopped; it may also have ended because another came first."""
        if presence.pid == self._pid and presence.state in LEFT_ALONE:
            raise ended_error(presence)


def ended_error(presence: Presence) -> BackendStartError:
    """Why a back end that was stopped, or that gave up, is not there."""
    if presence.state is SupervisorState.STOPPED:
        return BackendStartError(
            "the embedded back end was stopped",
            hint="Start it with `xtyl up` or the next run: it continues, and nothing is lost.",
        )
    tail = f"\nIts log ends with:\n{presence.log}" if presence.log else ""
    return BackendStartError(f"the embedded back end failed: {presence.error}{tail}", hint=DOCTOR)
