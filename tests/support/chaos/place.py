"""The place of a case: a real broker, a real database, workers that are restarted, the provider."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from chaos.kernel import Kernel
from chaos.proxy import Proxy, proxy_loop
from fleet import Fleet
from moved_clock import MovedClock
from poison import poison_offered
from servers import wait_until
from xtyl_engine.embedded.redis_server import find_server
from xtyl_engine.settings import Settings, load_settings, prepare_home

QUICK = {
    "XTYL_SLOTS": "4",
    "XTYL_LEASE_SECONDS": "1.5",
    "XTYL_BEAT_SECONDS": "0.3",
    "XTYL_SWEEP_SECONDS": "0.2",
    "XTYL_SILENT_SECONDS": "4",
}
CANARY = "sk-canary-5f2d9c"


class Broker:
    """A Valkey server that can be killed and started again."""

    def __init__(self, folder: Path):
        self._socket = folder / "broker.sock"
        self.url = f"unix://{self._socket}"
        self._process = self._start()

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._socket))

    def kill(self) -> None:
        """Kill it, as a crash would, with everything in it, and start another."""
        self.close()
        self._process = self._start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [
            str(find_server()),
            "--port",
            "0",
            "--unixsocket",
            str(self._socket),
            "--save",
            "",
            "--loglevel",
            "warning",
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        wait_until(self._answers)
        return process

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


@dataclass(frozen=True, slots=True)
class Way:
    """One worker's proxies to the servers; a database in a file has none."""

    broker: Proxy
    database: Proxy | None

    def close(self) -> None:
        self.broker.close()
        if self.database is not None:
            self.database.close()


@dataclass(kw_only=True)
class Place:
    """All parts of one case. The workers reach the servers through proxies, the settings directly."""

    settings: Settings
    # The embedded one is not killed here; its process is found by the supervisor.
    broker: Any
    workers: list[Fleet]
    ways: list[Way]
    log: Path
    clock: MovedClock
    kernel: Kernel = field(init=False)
    leftovers: list[Any] = field(default_factory=list)

    @property
    def is_postgres(self) -> bool:
        return self.settings.database_url.startswith("postgresql")

    def now(self) -> float:
        """The time as the processes of this place see it."""
        return time.time() + self.clock.seconds

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows from SQL, read without the engine's code; waits for a server that recovers from a crash."""
        engine = create_engine(self.settings.database_url)
        found: list[tuple[Any, ...]] = []

        def is_answered() -> bool:
            with contextlib.suppress(OperationalError), engine.connect() as connection:
                found[:] = [tuple(row) for row in connection.execute(text(statement))]
                return True
            return False

        wait_until(is_answered)
        engine.dispose()
        return found


@contextlib.contextmanager
def place(folder: Path, database_url: str, pool: str, seed: int, count: int = 2) -> Iterator[Place]:
    """Start everything, and end everything when the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="xtyl-") as short,
        moved_clock(Path(short)) as clock,
        provider(Path(short) / "provider.log", seed) as port,
        proxy_loop() as loop,
    ):
        broker = Broker(Path(short))
        settings = load_settings(
            {
                "XTYL_HOME": str(folder / "home"),
                "XTYL_DATABASE_URL": database_url,
                "XTYL_REDIS_URL": broker.url,
                "XTYL_ACCEPT_FUNCTIONS": "1",
                **QUICK,
            }
        )
        prepare_home(settings)
        made = Place(
            settings=settings, broker=broker, workers=[], ways=[], log=Path(short) / "provider.log", clock=clock
        )
        with client_environment(settings, port):
            try:
                for number in range(count):
                    made.ways.append(_way(loop, settings, Path(short), number))
                    made.workers.append(Fleet(_through(made.ways[-1], settings, Path(short), number), pool))
                yield made
            finally:
                for worker in made.workers:
                    worker.close()
                for way in made.ways:
                    way.close()
                broker.close()


@contextlib.contextmanager
def moved_clock(folder: Path) -> Iterator[MovedClock]:
    """A clock for the processes that are started in the block, as if on a machine that sleeps; this process keeps its own."""
    clock, before = MovedClock(folder), dict(os.environ)
    os.environ |= clock.environ
    try:
        yield clock
    finally:
        os.environ.clear()
        os.environ |= before


PRICES = """
[[price]]
model = "fake"
input = 1000
output = 1000
"""


@contextlib.contextmanager
def client_environment(settings: Settings, port: int) -> Iterator[None]:
    """Point this process at the back end and its provider: the kernel signs with the home's key, workers call this port.
    All of them find the node type `poison`."""
    prices = settings.home.with_name("prices.toml")
    prices.write_text(PRICES)
    asked = {
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "OPENAI_API_KEY": CANARY,
        "XTYL_PRICES": str(prices),
    }
    with poison_offered(settings.home.parent / "package"):
        before = dict(os.environ)
        os.environ |= settings.to_environ() | asked
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before


def _way(loop: asyncio.AbstractEventLoop, settings: Settings, short: Path, number: int) -> Way:
    broker = Proxy(loop, short / "broker.sock", short / f"way-{number}.sock")
    if settings.database_url.startswith("sqlite"):
        return Way(broker, None)
    folder = make_url(settings.database_url).query["host"]
    return Way(broker, Proxy(loop, Path(str(folder)) / ".s.PGSQL.5432"))


def _through(way: Way, settings: Settings, short: Path, number: int) -> Settings:
    """The same settings for a worker that uses these proxies."""
    url = make_url(settings.database_url)
    if way.database is not None:
        url = url.set(host="127.0.0.1", port=way.database.port, query={})
    return replace(
        settings,
        redis_url=f"unix://{short / f'way-{number}.sock'}",
        database_url=url.render_as_string(hide_password=False),
    )


@contextlib.contextmanager
def provider(log: Path, seed: int) -> Iterator[int]:
    """Start the provider; gives its port."""
    command = [sys.executable, str(Path(__file__).with_name("provider.py")), str(log), str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()
