"""A shared back end with many workers: PostgreSQL, a broker, ten workers of four slots, and as many workers of plain Celery.
Each part is measured where it runs, so the broker has a second user that may read its memory.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import redis
from gauges import Gauge
from sqlalchemy import Engine, create_engine, text

import xtyl_nb as xt
from fleet import Fleet
from servers import ping, postgres_server, wait_until
from xtyl_engine.embedded.redis_server import find_server, server_command
from xtyl_engine.scheduler.submit import Row
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_engine.workflow.plan import Plan
from xtyl_nb.backends.connect import backend

HERE = Path(__file__).parent
GAUGE = ("--user", "gauge", "reset", "on", ">gauge", "~*", "&*", "+@all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """The back end, and the ways to measure it."""

    workers: list[Fleet]
    engine: Engine
    client: redis.Redis
    postgres: int
    broker: int

    def rows(self, statement: str, **parameters: Any) -> list[Any]:
        """The rows of a query."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), parameters))

    def value(self, statement: str, **parameters: Any) -> Any:
        """The single value of a query."""
        return self.rows(statement, **parameters)[0][0]

    def gauge(self) -> Gauge:
        """The gauge that measures while a block runs."""
        pids = [worker.pid for worker in self.workers]
        return Gauge(workers=pids, postgres=self.postgres, broker=self.broker, engine=self.engine, client=self.client)


@contextlib.contextmanager
def crowd(folder: Path, workers: int, slots: int) -> Iterator[Crowd]:
    """Run the back end until the block ends; `xtyl_nb` uses it."""
    socket = folder / "redis.sock"
    with postgres_server(folder / "pg") as url, _broker(socket, folder / "redis.log") as broker:
        environ = {"XTYL_HOME": str(folder / "home"), "XTYL_SLOTS": str(slots)}
        # Workers import the measured functions from this folder.
        os.environ |= environ | {"PYTHONPATH": str(HERE)}
        settings = load_settings(environ | {"XTYL_DATABASE_URL": url, "XTYL_REDIS_URL": f"unix://{socket}"})
        prepare_home(settings)
        xt.connect(database=url, redis=f"unix://{socket}")
        engine = create_engine(url)
        fleets = _fleets(settings, workers)
        try:
            yield Crowd(
                workers=fleets,
                engine=engine,
                client=redis.Redis(unix_socket_path=str(socket), username="gauge", password="gauge"),
                postgres=int((folder / "pg" / "postmaster.pid").read_text().split()[0]),
                broker=broker,
            )
        finally:
            for each in fleets:
                each.close()
            xt.connect()
            engine.dispose()


def _fleets(settings: Settings, workers: int) -> list[Fleet]:
    made = [Fleet(settings) for _ in range(workers)]
    signs = settings.home / "run"
    wait_until(lambda: len(list(signs.glob("*.json"))) == workers, 120)
    return made


@contextlib.contextmanager
def _broker(socket: Path, log: Path) -> Iterator[int]:
    with open(log, "ab") as file:
        process = subprocess.Popen(
            [*server_command(find_server(), socket), *GAUGE],
            stdout=file,
            stderr=file,
            env={"LC_ALL": "C", "PATH": os.defpath},
            start_new_session=True,
        )
    try:
        wait_until(lambda: ping(socket))
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def canvas_workers(folder: Path, workers: int, slots: int) -> Iterator[Any]:
    """As many workers of plain Celery on the same broker, with as many threads; yields a function that runs graphs of stages on
    them and returns when all are over."""
    socket = folder / "redis.sock"
    os.environ |= {"CANVAS_BROKER": f"redis+socket://{socket}", "CANVAS_RESULTS": f"redis+socket://{socket}"}
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "canvas_celery", "worker", "--pool", "threads"]
    command += f"--concurrency {slots} --without-gossip --without-mingle --loglevel ERROR".split()
    with open(folder / "canvas.log", "w") as log:
        started = [
            subprocess.Popen(
                [*command, "--hostname", f"canvas{place}@%h"],
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(HERE)},
                start_new_session=True,
            )
            for place in range(workers)
        ]
    from canvas_celery import stages

    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=600)

    def run(widths: Sequence[int], count: int) -> None:
        names = [uuid.uuid4().hex for _ in range(count)]
        for name in names:
            stages(name, tuple(widths)).apply_async()
        for name in names:
            assert client.blpop([f"canvas:{name}"], timeout=600)

    try:
        run((1,), 1)
        yield run
    finally:
        for worker in started:
            worker.terminate()
        for worker in started:
            worker.wait(30)


def submit(plan: Plan, rows: int = 1) -> xt.Run:
    """One execution of a plan over that many rows."""
    used = backend()
    given = [Row(label=place, values={}) for place in range(rows)]
    id = used.submit(plan, given, shape={}, functions={})
    return xt.Run(id, used)
