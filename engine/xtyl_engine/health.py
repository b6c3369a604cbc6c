"""Whether a worker of this host and pool is alive: each of its processes leaves a sign in the home as often as it renews leases,
and whoever asks reads those, the database with its schema, and the broker. Asks no worker anything and loads no Celery:
containers ask often.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from xtyl_engine.atomic_write import write_atomically
from xtyl_engine.checks import Check, examined, place
from xtyl_engine.settings import PREFORK, Settings

FORGOTTEN_SECONDS = 86_400.0


class Heartbeat:
    """The sign of one process: its pool, when it last renewed its leases, and when it last swept to the end."""

    def __init__(self, home: Path, pool: str):
        self._folder = run_folder(home)
        self._pool = pool
        self._path = self._folder / f"{socket.gethostname()}-{os.getpid()}.json"
        self._swept = time.time()
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _tidy(self._folder)
        self.note("beat")

    def note(self, what: str) -> None:
        """A `sweep` is over, or a `beat`. A sign that cannot be left is missed soon enough."""
        now = time.time()
        if what == "sweep":
            self._swept = now
            return
        with suppress(OSError):
            sign = {"pid": os.getpid(), "pool": self._pool, "beat": now, "swept": self._swept}
            write_atomically(self._path, json.dumps(sign).encode())

    def close(self) -> None:
        with suppress(OSError):
            self._path.unlink()


def run_folder(home: Path) -> Path:
    return home / "run"


def examine(settings: Settings) -> tuple[Check, ...]:
    """What a worker of this host needs, and whether it is at work."""
    from xtyl_engine.broker.redis_client import examine_broker
    from xtyl_engine.database.schema import examine_schema

    return (
        _worker(settings),
        examined("database", lambda: examine_schema(settings.database_url)),
        examined("broker", lambda: examine_broker(settings.event_url)),
    )


def describe(settings: Settings) -> str:
    """What a worker with these settings does, in a line. Raises SettingsError."""
    from xtyl_engine.scheduler.routing import read_route

    count = f"{settings.slots} {'processes' if settings.pool == PREFORK else 'threads'}"
    database, broker = place(settings.database_url), place(settings.event_url)
    return f"xtyl worker: {count} for {read_route(settings)}; database {database}, broker {broker}"


def _worker(settings: Settings) -> Check:
    now = time.time()
    living = [sign for sign in _signs(run_folder(settings.home)) if _lives(sign["pid"])]
    signs = [sign for sign in living if sign["pool"] in (settings.pool, None)]
    if not signs:
        command = f"xtyl worker --pool {settings.pool}"
        others = f"; those that do have another pool than {settings.pool}" if living else ""
        return _bad(f"no worker of this home runs on this host{others}", f"Start one with `{command}`.")
    latest = max(signs, key=lambda sign: sign["beat"])
    if now - latest["beat"] > settings.lease_seconds:
        return _bad(f"its last sign is {now - latest['beat']:.0f} s old", "It hangs or was stopped: start it again.")
    latest = max(signs, key=lambda sign: sign["swept"])
    if now - latest["swept"] > settings.lease_seconds + settings.beat_seconds + settings.sweep_seconds:
        return _bad(f"it has not swept for {now - latest['swept']:.0f} s", "Its log says why.")
    several = f"{len(signs)} processes" if len(signs) > 1 else f"process {latest['pid']}"
    return Check(name="worker", ok=True, detail=f"{several}, last sign {max(0.0, now - latest['beat']):.1f} s ago")


def _bad(detail: str, hint: str) -> Check:
    return Check(name="worker", ok=False, detail=detail, hint=hint)


def _signs(folder: Path) -> list[dict[str, Any]]:
    """The signs of this host: a home may be shared, and pids are not. Those of the release before do not tell their pool."""
    found = []
    for path in folder.glob(f"{socket.gethostname()}-*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            read = json.loads(path.read_bytes())
            times = {"beat": float(read["beat"]), "swept": float(read["swept"])}
            found.append({"pid": int(read["pid"]), "pool": read.get("pool"), **times})
    return found


def _lives(pid: float) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _tidy(folder: Path) -> None:
    """Take away what processes left that were killed: here, and long ago elsewhere."""
    for path in folder.iterdir():
        host, _, pid = path.name.partition(".")[0].rpartition("-")
        is_gone = host == socket.gethostname() and pid.isdecimal() and not _lives(int(pid))
        if is_gone or time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS:
            path.unlink(missing_ok=True)
