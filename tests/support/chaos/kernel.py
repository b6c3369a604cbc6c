"""The kernel, a user's process: it submits the run and watches it, and may be killed and started again."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from servers import wait_until
from xtyl_engine.settings import Settings

SCRIPT = Path(__file__).with_name("notebook.py")


class Kernel:
    """One process after another, all of them with the same run, `id`."""

    def __init__(self, settings: Settings, log: Path):
        self._log = log
        self._settings = settings
        self._process = self._start()
        self.id = self._said()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self._process.kill()
        self._process.communicate()

    def restart(self) -> None:
        """Start another in its place, which finds the run by its id."""
        self._process = self._start(self.id)

    def close(self) -> list[list[tuple[Any, ...]]]:
        """Wait until it sees the end; returns the events that it saw, look by look."""
        wait_until(lambda: self._process.poll() is not None)
        assert self._process.returncode == 0, f"the kernel ended with {self._process.returncode}"
        entries = [json.loads(line) for line in self._log.read_text().splitlines()]
        looks = groupby(entries, key=lambda entry: entry is None)
        return [[tuple(entry) for entry in look] for is_mark, look in looks if not is_mark]

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _start(self, *run: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), str(self._log), *run],
            env=self._settings.child_environ(),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@contextlib.contextmanager
def kernel(settings: Settings, log: Path) -> Iterator[Kernel]:
    """A kernel that has submitted a run; gone when the block ends."""
    made = Kernel(settings, log)
    try:
        yield made
    finally:
        made.kill()
