"""The delay until a run goes on after a fault: `python benchmarks/recovery.py` kills workers, empties the broker, pauses
under load, and measures on SQLite and PostgreSQL, with the default settings and two workers of 16 slots each.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import pandas as pd
import redis
from sqlalchemy import create_engine, text

import xtyl_nb as xt
from fleet import Fleet
from servers import kill, postgres_server, wait_until
from xtyl_engine.embedded.redis_server import find_server, ping, start_server
from xtyl_engine.settings import load_settings, prepare_home
from xtyl_nb.runs.run import Run

PAUSES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A back end whose parts can be killed and emptied."""

    url: str
    socket: Path
    workers: list[Fleet]
    effects: Path

    def column(self, statement: str) -> list[Any]:
        """The first column of a query."""
        engine = create_engine(self.url)
        with engine.connect() as connection:
            found = [row[0] for row in connection.execute(text(statement))]
        engine.dispose()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often a worker is killed on each database")
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.runs} runs\n")
    print("| | SQLite | PostgreSQL | bound |\n|---|---|---|---|")
    columns = []
    with tempfile.TemporaryDirectory(prefix="xr") as folder, postgres_server(Path(folder) / "pg") as postgres:
        for url in (f"sqlite:///{folder}/sqlite.db", postgres):
            with place(Path(folder) / url[:4], url) as there:
                columns.append(measure(there, options.runs))
    for (name, bound), cells in zip(
        columns[0], zip(*(column.values() for column in columns), strict=True), strict=True
    ):
        print(f"| {name} | {' | '.join(cells)} | {bound} |")


@contextmanager
def place(home: Path, url: str) -> Iterator[Place]:
    """Two workers on this database, and a broker of their own."""
    home.mkdir()
    socket = home / "redis.sock"
    with open(home / "redis.log", "ab") as log:
        broker = start_server(find_server(), socket, log)
    wait_until(lambda: ping(socket))
    settings = load_settings({"XTYL_HOME": str(home), "XTYL_DATABASE_URL": url, "XTYL_REDIS_URL": f"unix://{socket}"})
    prepare_home(settings)
    os.environ |= {"XTYL_HOME": str(home), "XTYL_ACCEPT_FUNCTIONS": "1"}
    xt.connect(database=url, redis=f"unix://{socket}")
    workers = [Fleet(settings) for _ in range(2)]
    try:
        yield Place(url=url, socket=socket, workers=workers, effects=home / "effects")
    finally:
        for worker in workers:
            worker.close()
        broker.kill()
        broker.wait()
        xt.connect()


def measure(there: Place, runs: int) -> dict[tuple[str, str], str]:
    """Every figure for one database, with its bound."""
    restarts = sorted(seconds for _ in range(runs) for seconds in after_kill(there))
    firsts, redone = zip(*[after_emptied(there) for _ in range(runs)], strict=True)
    pauses, starts = under_load(there, lambda run: run.pause(), lambda run: run.resume())
    stops, late = under_load(there, lambda run: run.stop(), lambda run: run.resume())
    return {
        ("s from kill -9 of a worker to the new start of its jobs, p50 / p99", "11"): spread(restarts),
        ("jobs that were lost so", ""): str(len(restarts)),
        ("s from an emptied broker to the first new start, worst", "7"): f"{max(firsts):.2f}",
        ("completed jobs redone after it", "0"): str(sum(redone)),
        (f"s that `pause()` takes, {PAUSES} under load, p50 / p99", "0.5"): spread(pauses),
        (f"s that `stop()` takes, {PAUSES} under load, p50 / p99", "0.5"): spread(stops),
        ("effects that started after either returned", "0"): str(starts + late),
    }


def spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"{statistics.median(ordered):.2f} / {ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]:.2f}"


def working(there: Place, count: int, seconds: float) -> Run:
    path = str(there.effects)

    def work(n: int) -> int:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, f"{time.time()}\n".encode())
        os.close(handle)
        time.sleep(seconds)
        return n

    return xt.Workflow("load").call("work", work, n="{{ n }}").run(pd.DataFrame({"n": range(count)}))


def after_kill(there: Place) -> list[float]:
    """Kill a worker with its jobs; the delay until each of them starts again."""
    run = working(there, 40, 1.0)
    wait_until(lambda: len(there.column("SELECT id FROM agent_jobs WHERE state = 'running'")) >= 20)
    died = time.time()
    kill(there.workers[0].pid)
    run.wait(120)
    return [
        started - died
        for started in there.column(
            "SELECT b.started FROM job_attempts a JOIN job_attempts b ON b.job_id = a.job_id AND b.number = a.number + 1 "
            f"JOIN agent_jobs j ON j.id = a.job_id WHERE a.outcome = 'lost' AND j.execution_id = '{run.id}'"
        )
    ]


def after_emptied(there: Place) -> tuple[float, int]:
    """Empty the broker while jobs are ready and none runs; the delay until the first job starts, and the repeated jobs."""
    run = working(there, 300, 0.05)
    wait_until(lambda: run.overview().done >= 10)
    run.pause()
    wait_until(lambda: not there.column("SELECT id FROM agent_jobs WHERE state = 'running'"))
    engine = create_engine(there.url)
    with engine.begin() as connection:
        # A resume without its notification, as if it were lost with the rest.
        connection.execute(text(f"UPDATE workflow_executions SET state = 'running' WHERE id = '{run.id}'"))
    engine.dispose()
    with redis.Redis(unix_socket_path=str(there.socket)) as client:
        for key in client.scan_iter("*"):
            client.delete(key)
    emptied = time.time()
    run.wait(60)
    started = there.column(f"SELECT started FROM agent_jobs WHERE execution_id = '{run.id}' AND started > {emptied}")
    return min(started) - emptied, int((run.jobs()["attempts"] > 1).sum())


def under_load(there: Place, hold: Callable[[Run], object], go_on: Callable[[Run], object]) -> tuple[list[float], int]:
    """Repeat the control while every slot is busy: its seconds, and the effects that started after it returned."""
    run = working(there, 5_000, 0.03)
    seconds, late = [], 0
    for _ in range(PAUSES):
        seen = len(lines(there))
        wait_until(lambda seen=seen: len(lines(there)) > seen + 8)
        began = time.monotonic()
        hold(run)
        seconds.append(time.monotonic() - began)
        returned = time.time()
        threading.Event().wait(0.1)
        late += sum(start > returned for start in lines(there)[-100:])
        go_on(run)
    run.stop()
    return seconds, late


def lines(there: Place) -> list[float]:
    return [float(line) for line in there.effects.read_text().split()] if there.effects.exists() else []


if __name__ == "__main__":
    main()
