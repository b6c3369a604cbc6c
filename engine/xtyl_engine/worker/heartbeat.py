"""The heartbeat file that each worker process writes into its home as often as it renews its leases. `health` reads it; nothing
else depends on it. It tells moments by a monotonic clock, which all processes of one boot share: it stands still while the
machine sleeps, and no clock that is set moves it. Its wall clock is for the release before.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from xtyl_engine.machine import boot_id
from xtyl_engine.settings import make_folder
from xtyl_engine.values.atomic_write import write_atomically

FORGOTTEN_SECONDS = 86_400.0


class Heartbeat:
    """The heartbeat file of one process: its pool, when it last renewed its leases, and when it last completed a sweep."""

    def __init__(self, home: Path, pool: str):
        self._folder = run_folder(home)
        self._pool = pool
        self._path = self._folder / f"{socket.gethostname()}-{os.getpid()}.json"
        self._boot = boot_id()
        self._swept = _now()
        with suppress(OSError):
            make_folder(self._folder)
            _tidy(self._folder)
        self.note("beat")

    def note(self, what: str) -> None:
        """Note the end of a `sweep` or a `beat`. A file that cannot be written is ignored here; `health` soon finds it old."""
        now = _now()
        if what == "sweep":
            self._swept = now
            return
        (beat, beat_at), (swept, swept_at) = now, self._swept
        times = {"beat": beat, "swept": swept, "beat_at": beat_at, "swept_at": swept_at}
        sign = {"pid": os.getpid(), "pool": self._pool, "boot": self._boot, **times}
        with suppress(OSError):
            write_atomically(self._path, json.dumps(sign).encode())

    def close(self) -> None:
        with suppress(OSError):
            self._path.unlink()


def run_folder(home: Path) -> Path:
    return home / "run"


def _now() -> tuple[float, float]:
    """The moment by the wall clock, and by the monotonic one."""
    return time.time(), time.monotonic()


def _lives(pid: float) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _tidy(folder: Path) -> None:
    """Remove the files of killed processes: of this host at once, of others after a day."""
    for path in folder.iterdir():
        host, _, pid = path.name.partition(".")[0].rpartition("-")
        is_gone = host == socket.gethostname() and pid.isdecimal() and not _lives(int(pid))
        if is_gone or time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS:
            path.unlink(missing_ok=True)
