"""The wall clock of a run's processes, moved while they live: what a suspended machine finds when it wakes, and a clock that is
set. Processes see it that are started with its variables; those of the test itself do not.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")
NANOSECONDS = 1_000_000_000


class MovedClock:
    """A clock for processes with `environ`: the machine's own, and `move` seconds beside it."""

    def __init__(self, folder: Path):
        library = folder / "moved_clock.so"
        self.offset = folder / "clock_offset"
        self.seconds = 0.0
        self.move(0)
        build = [_compiler(), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE)]
        subprocess.run(build, check=True)
        self.environ = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(self.offset)}

    def move(self, seconds: float) -> None:
        """Set the clock so many seconds beside the machine's own, in every process at once."""
        self.seconds = seconds
        # Written in place, not to a new file: the processes have this one mapped.
        handle = os.open(self.offset, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.pwrite(handle, struct.pack("q", int(seconds * NANOSECONDS)), 0)
        finally:
            os.close(handle)


def _compiler() -> str:
    found = shutil.which("cc") if sys.platform == "linux" else None
    if found is None and os.environ.get("CI") == "true" and sys.platform == "linux":
        pytest.fail("a C compiler is missing, and this is CI")
    if found is None:
        pytest.skip("a C compiler is missing, or this is no Linux")
    return found
