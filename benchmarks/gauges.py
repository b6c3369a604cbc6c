"""The resources that a back end uses while it works: memory and processor of its processes from /proc, the broker's memory, the
database's connections. A thread reads them ten times a second and keeps the peaks.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import Engine, text

LOOK_SECONDS = 0.1
TICK = os.sysconf("SC_CLK_TCK")
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


def megabytes(pid: int) -> float:
    """The memory that a process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def processor_seconds(pid: int, *, reaped: bool = False) -> float:
    """The processor time that a process has used; with `reaped`, including that of its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if reaped else 13])) / TICK


def children(pid: int) -> list[int]:
    """The children of a process."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


@dataclass(slots=True)
class Used:
    """The use between two moments: processor seconds by part, peaks of the rest."""

    seconds: float = 0.0
    workers: float = 0.0
    postgres: float = 0.0
    broker: float = 0.0
    connections: int = 0
    clients: int = 0
    broker_megabytes: float = 0.0
    worker_megabytes: list[float] = field(default_factory=list)


class Gauge:
    """Measures while a block runs."""

    def __init__(self, *, workers: list[int], postgres: int, broker: int, engine: Engine, client: redis.Redis):
        self._pids = {"workers": workers, "broker": [broker]}
        self._postgres = postgres
        self._engine = engine
        self._client = client
        self._ended = threading.Event()
        self.used = Used(worker_megabytes=[0.0] * len(workers))

    def __enter__(self) -> Gauge:
        self._began, self._before = time.monotonic(), self._processor()
        self._thread = threading.Thread(target=self._look_on)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.used.seconds = time.monotonic() - self._began
        for part, seconds in self._processor().items():
            setattr(self.used, part, seconds - self._before[part])
        self._ended.set()
        self._thread.join()

    def _processor(self) -> dict[str, float]:
        found = {part: sum(map(processor_seconds, pids)) for part, pids in self._pids.items()}
        servers = sum(_processor_or_none(pid) for pid in children(self._postgres))
        return found | {"postgres": processor_seconds(self._postgres, reaped=True) + servers}

    def _look_on(self) -> None:
        with self._engine.connect() as connection:
            while True:
                self.used.connections = max(self.used.connections, connection.execute(text(CONNECTIONS)).scalar() or 0)
                connection.rollback()
                now = self._client.info("memory")["used_memory"] / 1e6
                self.used.broker_megabytes = max(self.used.broker_megabytes, now)
                clients = self._client.info("clients")["connected_clients"]
                self.used.clients = max(self.used.clients, clients)
                held = map(megabytes, self._pids["workers"])
                self.used.worker_megabytes = list(map(max, self.used.worker_megabytes, held))
                if self._ended.wait(LOOK_SECONDS):
                    return


def _processor_or_none(pid: int) -> float:
    """A server of the database may end between two reads; its parent then counts for it."""
    try:
        return processor_seconds(pid)
    except OSError:
        return 0.0
