"""A worker that is started again whenever it dies, as a supervisor or a container platform does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

from xtyl_engine.settings import Settings
from xtyl_engine.worker.command import worker_command


class Fleet:
    """One worker after the other; `deaths` counts how many ended by themselves."""

    def __init__(self, settings: Settings, pool: str = "threads"):
        self.deaths = 0
        self._settings = replace(settings, accept_functions=True, pool=pool)
        self._ended = threading.Event()
        self._worker = self._start()
        self._thread = threading.Thread(target=self._tend)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._worker.pid

    def terminate(self) -> None:
        """Tell the worker to end, as a platform does; another takes its place."""
        self._worker.terminate()

    def log(self) -> str:
        """The log of the workers so far."""
        return (self._settings.log_folder / "worker.log").read_text(encoding="utf-8")

    def close(self) -> None:
        """End the worker for good."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._worker.pid, signal.SIGKILL)
        self._worker.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        with open(self._settings.log_folder / "worker.log", "ab") as log:
            return subprocess.Popen(
                worker_command(self._settings),
                env=self._settings.child_environ(),
                stdout=log,
                stderr=log,
                cwd=self._settings.home,
                start_new_session=True,
            )

    def _tend(self) -> None:
        while not self._ended.wait(0.05):
            if self._worker.poll() is not None:
                self.deaths += 1
                self._worker = self._start()


@contextlib.contextmanager
def fleet(settings: Settings, pool: str = "threads") -> Iterator[Fleet]:
    """Workers for these settings until the block ends; `pool` is Celery's, `threads` or `prefork`."""
    made = Fleet(settings, pool)
    try:
        yield made
    finally:
        made.close()


def collected(port: int) -> dict[str, float]:
    """Every sample by its name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
