"""The children of a supervisor: one that dies is started again, and none outlives its parent, not even a parent that is
killed. The commands that start them are given by the supervisor.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from xtyl_engine.values.locks import shared

log = logging.getLogger("xtyl.supervisor")
MOST_DEATHS = 5
DEATHS_WITHIN_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 5.0

# It reads pids from its input, which ends with the supervisor, even by SIGKILL; then it ends the children left behind: the server
# at once, a worker in as many seconds as it is given, because its jobs live. A process that is not reaped has ended too.
REAPER = """
seconds=$1
lives() { kill -0 "$1" && ! grep -q '^State:.Z' "/proc/$1/status"; }
while read -r name pids; do case $name in server) server=$pids ;; worker) workers=$pids ;; esac; done
[ "$server" ] && kill -KILL $server
kill -TERM $workers
for each in $workers; do
    while lives "$each" && [ "$seconds" -gt 0 ]; do sleep 1; seconds=$((seconds - 1)); done
    kill -KILL "-$each"
done
"""


def never(pid: int) -> bool:
    """No end is excused; the default."""
    return False


class GaveUp(Exception):
    """A process died too often to be started again."""

    def __init__(self, name: str, message: str):
        self.name = name
        super().__init__(message)


class OrphanReaper:
    """A shell that outlives this process, to end its children if it is killed, each worker within `soft_seconds`. It shares a
    lock until no child is left."""

    def __init__(self, soft_seconds: float, lock: Path) -> None:
        while (handle := shared(lock)) is None:
            time.sleep(0.005)
        command = ["/bin/sh", "-c", REAPER, "sh", str(math.ceil(soft_seconds))]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(handle,),
        )
        os.close(handle)

    def tell(self, name: str, pids: Iterable[int]) -> None:
        """Tell the shell which processes have this role now."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{name} {' '.join(map(str, pids))}\n".encode())
            self._process.stdin.flush()

    def close(self) -> None:
        """End the shell; call this when the children are gone."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


class Child:
    """A process that is started again when it dies, after ever longer pauses, until it has died too often. The end of
    one that `has_worked` is no failure of its own: its work may have ended it. It is started again at once, however often."""

    def __init__(
        self,
        name: str,
        start: Callable[[], subprocess.Popen[bytes]],
        keeper: OrphanReaper,
        has_worked: Callable[[int], bool] = never,
    ):
        self.name = name
        self.restarts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self._start = start
        self._keeper = keeper
        self._has_worked = has_worked
        self._deaths: deque[float] = deque(maxlen=MOST_DEATHS)
        self._start_at = 0.0
        self._retired: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def tend(self) -> bool:
        """Start the process, or restart it, when it is due; True if anything changed. Raises GaveUp."""
        now = time.monotonic()
        if any(process.poll() is not None for process in self._retired):
            self._retired = [process for process in self._retired if process.poll() is None]
            self._report()
        if self.process is not None:
            return self.process.poll() is not None and self._mourn(self.process, now)
        if now < self._start_at:
            return False
        self.process, self.started = self._start(), now
        self._report()
        log.info("the %s runs as process %d", self.name, self.process.pid)
        return True

    def retire(self, number: int) -> None:
        """Ask the process by this signal to end once its work is done, without waiting for it: the next `tend` starts another."""
        if self.process is not None:
            self.process.send_signal(number)
            self._retired.append(self.process)
            self.process = None

    def end(self, soft_seconds: float) -> None:
        """Send SIGTERM, wait that many seconds, then send SIGKILL to the process and its own children, and so to each that was
        retired."""
        deadline = time.monotonic() + soft_seconds
        if soft_seconds:
            for process in self._running():
                process.terminate()
        for process in self._running():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.process, self._retired = None, []
        self._report()

    def _running(self) -> list[subprocess.Popen[bytes]]:
        return [*self._retired, *([self.process] if self.process is not None else [])]

    def _report(self) -> None:
        self._keeper.tell(self.name, [process.pid for process in self._running()])

    def _mourn(self, process: subprocess.Popen[bytes], now: float) -> bool:
        self.process = None
        self._report()
        self.restarts += 1
        status = process.returncode
        if self._has_worked(process.pid):
            log.warning("the %s ended with status %d after it had worked, and is started again", self.name, status)
            self._start_at = now
            return True
        log.warning("the %s ended with status %d", self.name, status)
        self._deaths.append(now)
        recent = sum(death > now - DEATHS_WITHIN_SECONDS for death in self._deaths)
        if recent == MOST_DEATHS:
            raise GaveUp(
                self.name,
                f"the {self.name} ended {recent} times within {DEATHS_WITHIN_SECONDS:.0f} s, last with status {status}",
            )
        self._start_at = now + min(0.25 * 2 ** (recent - 1), LONGEST_PAUSE_SECONDS)
        return True
