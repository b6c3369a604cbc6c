"""What tests of whole back ends share: short timeouts, and a durable record of what jobs did."""

from __future__ import annotations

import os
from pathlib import Path

from servers import wait_until
from xtyl_engine.embedded.state_file import SupervisorState, read_presence
from xtyl_engine.settings import Settings

QUICK = {"XTYL_SLOTS": "6", "XTYL_LEASE_SECONDS": "1.5", "XTYL_BEAT_SECONDS": "0.3", "XTYL_SWEEP_SECONDS": "0.2"}


class Effects:
    """A record of what jobs did, one durable line per start. Its methods run in workers, so it holds nothing but a path."""

    def __init__(self, path: Path):
        self.path = str(path)

    def note(self, line: object) -> int:
        """Add a line; returns how many equal lines there are now."""
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, f"{line}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        return self.lines().count(str(line))

    def lines(self) -> list[str]:
        """Every line so far."""
        try:
            with open(self.path) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []


def wait_ready(settings: Settings) -> None:
    """Return when the embedded back end's worker takes notifications."""

    def is_ready() -> bool:
        found = read_presence(settings.home)
        return found is not None and found.state is SupervisorState.READY

    wait_until(is_ready)
