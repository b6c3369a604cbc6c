"""The faults, by name: each harms one part of a place, and restores it before it returns."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import redis
from sqlalchemy.exc import SQLAlchemyError

import xtyl_nb as xt
from chaos.embedded import (
    freeze_supervisor,
    kill_back_end,
    kill_embedded_broker,
    kill_embedded_worker,
    kill_everything,
    kill_supervisor,
    remove_runtime_folder,
)
from chaos.place import Place
from chaos.proxy import Mode, Proxy
from servers import wait_until

Fault = Callable[[Place, Random], None]
# The lease is 1.5 s, the sweep 0.2 s, and 4 s of silence cost a process its jobs.
FROZEN_SECONDS = 2.1
SILENT_SECONDS = 5.0
SLEPT_SECONDS = 8 * 3600.0
SET_BACK_SECONDS = 3600.0
BRIEF_SECONDS = 0.8
AWAY_SECONDS = 1.5
SWALLOWED = 5
ENDED, SILENT, RAN_OUT = "its worker process ended", "was not renewed", "its lease ran out"
HINTS_A_SECOND = 20
POISON_ROWS = (1, 3)
FILLING = b"." * 65_536


def kill_worker(place: Place, draw: Random) -> None:
    """A worker dies with every job it holds."""
    os.kill(draw.choice(place.workers).pid, signal.SIGKILL)


def kill_pool_child(place: Place, draw: Random) -> None:
    """A process of a prefork pool dies; of a threads pool, the worker."""
    pid = draw.choice(place.workers).pid
    os.kill(draw.choice(_children(pid) or [pid]), signal.SIGKILL)


def end_worker(place: Place, draw: Random) -> None:
    """A worker is told to end."""
    draw.choice(place.workers).terminate()


def freeze_worker(place: Place, draw: Random) -> None:
    """A worker is frozen for longer than its lease, and then goes on with its jobs."""
    _freeze(place, draw, FROZEN_SECONDS)


def silence_worker(place: Place, draw: Random) -> None:
    """A worker is frozen for so long that it loses its jobs, and then goes on."""
    _freeze(place, draw, SILENT_SECONDS)


def sleep_machine(place: Place, draw: Random) -> None:
    """The machine sleeps for hours: the wall clock has moved when it wakes, and no process has noticed anything."""
    place.clock.move(place.clock.seconds + SLEPT_SECONDS)


def set_clock_back(place: Place, draw: Random) -> None:
    """The machine's clock is set back by an hour."""
    place.clock.move(place.clock.seconds - SET_BACK_SECONDS)


def kill_kernel(place: Place, draw: Random) -> None:
    """The kernel that submitted the run dies; some time later another finds it."""
    place.kernel.kill()
    threading.Event().wait(draw.uniform(0, BRIEF_SECONDS))
    place.kernel.restart()


def kill_broker(place: Place, draw: Random) -> None:
    """The broker dies, and another starts empty."""
    place.broker.kill()


def flush_broker(place: Place, draw: Random) -> None:
    """Everything in the broker is gone."""
    with place.broker.client() as client:
        client.flushall()


def roll_back_broker(place: Place, draw: Random) -> None:
    """The broker returns to its state of some time ago."""
    with place.broker.client() as client:
        then = {key: client.dump(key) for key in client.scan_iter("*")}
        threading.Event().wait(AWAY_SECONDS / 4)
        client.flushall()
        for key, value in then.items():
            if value is not None:
                client.restore(key, 0, value, replace=True)


def fill_broker(place: Place, draw: Random) -> None:
    """The broker accepts no writes for a while, because it is full."""
    _configure(place, "maxmemory", "1", "0")


def make_broker_read_only(place: Place, draw: Random) -> None:
    """The broker answers only reads for a while, as a replica does."""
    with place.broker.client() as client:
        client.replicaof("127.0.0.1", "1")
        threading.Event().wait(AWAY_SECONDS)
        client.replicaof("NO", "ONE")


def send_bad_hints(place: Place, draw: Random) -> None:
    """Notifications arrive a hundred times over, some for runs that do not exist, some unreadable."""
    ids = [row[0] for row in place.rows("SELECT id FROM workflow_executions")]
    with place.broker.client() as client:
        real = list(client.lrange("xtyl", 0, -1))
        for entry in real * 100:
            client.lpush("xtyl", entry)
        for junk in (b"junk", b"{}", b"[]", json.dumps({"body": "e30=", "headers": {"task": "os.system"}}).encode()):
            client.lpush("xtyl", junk)
    for id in (*ids * 100, "", "x" * 10_000):
        _hint(place, id)
    for _ in range(int(AWAY_SECONDS * HINTS_A_SECOND)):
        _hint(place, "no-such-run")
        threading.Event().wait(1 / HINTS_A_SECOND)


def run_poison_beside(place: Place, draw: Random) -> None:
    """Another run has two rows whose step ends the worker that executes them; it comes to its end, without these rows."""
    beside = _poisonous(POISON_ROWS, place.log.with_name("poison")).run(pd.DataFrame({"row": range(6)}))
    wait_until(lambda: beside.state in ("completed", "failed"))
    jobs = beside.jobs()
    found = {state: tuple(jobs.row[jobs.status == state]) for state in ("completed", "quarantined")}
    assert found == {"completed": (0, 2, 4, 5), "quarantined": POISON_ROWS}, found


def crash_database(place: Place, draw: Random) -> None:
    """PostgreSQL crashes: one of its processes is killed, so that all connections end and it recovers from its log."""
    with contextlib.suppress(SQLAlchemyError):
        pids = place.rows(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        os.kill(draw.choice(pids)[0], signal.SIGKILL)


def end_connections(place: Place, draw: Random) -> None:
    """Every connection to PostgreSQL is cut, wherever it is in its transaction."""
    with contextlib.suppress(SQLAlchemyError):
        place.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )


def lock_database(place: Place, draw: Random) -> None:
    """Another process holds SQLite's write lock for longer than a lease."""
    import sqlite3

    connection = sqlite3.connect(place.settings.database_url.removeprefix("sqlite:///"), timeout=10)
    connection.isolation_level = None
    connection.execute("BEGIN IMMEDIATE")
    threading.Event().wait(FROZEN_SECONDS)
    connection.execute("ROLLBACK")
    # A closed handle would drop this process's other locks on the file.
    place.leftovers.append(connection)


def cut_off_from_broker(place: Place, draw: Random) -> None:
    """One worker's messages to and from the broker are held back for a while; no connection closes."""
    _for_a_while(draw.choice(place.ways).broker, Mode.HOLD)


def slow_broker(place: Place, draw: Random) -> None:
    """Every message between a worker and the broker is delayed."""
    _for_a_while(draw.choice(place.ways).broker, Mode.DELAY, 0.1)


def refuse_broker(place: Place, draw: Random) -> None:
    """One worker cannot reach the broker for a while."""
    _for_a_while(draw.choice(place.ways).broker, Mode.REFUSE)


def swallow_broker_answer(place: Place, draw: Random) -> None:
    """The broker executes a command, and a worker does not get the answer."""
    _once(draw.choice(place.ways).broker, Mode.SWALLOW)


def cut_broker_connection(place: Place, draw: Random) -> None:
    """A message between a worker and the broker breaks off."""
    _once(draw.choice(place.ways).broker, Mode.CUT, draw.randint(1, 400))


def cut_off_from_database(place: Place, draw: Random) -> None:
    """One worker's messages to and from the database are held back for longer than a lease; no connection closes."""
    _for_a_while(_database_way(place, draw), Mode.HOLD)


def interrupt_database(place: Place, draw: Random) -> None:
    """One worker's messages to and from the database are held back for less than a lease."""
    _for_a_while(_database_way(place, draw), Mode.HOLD, seconds=BRIEF_SECONDS)


def refuse_database(place: Place, draw: Random) -> None:
    """One worker cannot reach the database for longer than a lease."""
    _for_a_while(_database_way(place, draw), Mode.REFUSE)


def slow_database(place: Place, draw: Random) -> None:
    """Every message between a worker and the database is delayed."""
    _for_a_while(_database_way(place, draw), Mode.DELAY, 0.1)


def swallow_database_answer(place: Place, draw: Random) -> None:
    """The database executes a statement, a commit perhaps, and the worker does not get the answer."""
    for _ in range(SWALLOWED):
        _once(_database_way(place, draw), Mode.SWALLOW)


def cut_database_connection(place: Place, draw: Random) -> None:
    """A message between a worker and the database breaks off."""
    for _ in range(SWALLOWED):
        _once(_database_way(place, draw), Mode.CUT, draw.randint(1, 2_000))


def fill_disk(place: Place, draw: Random) -> None:
    """The disk with the artifacts and the database's tables is full for a while."""
    path = place.settings.home / "filler"
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(FILLING):
            pass
    threading.Event().wait(AWAY_SECONDS)
    path.unlink()


ANYWHERE: tuple[Fault, ...] = (
    kill_worker, kill_pool_child, end_worker, freeze_worker, silence_worker, kill_kernel, kill_broker, flush_broker,
    roll_back_broker, fill_broker, make_broker_read_only, send_bad_hints, cut_off_from_broker, slow_broker, refuse_broker,
    swallow_broker_answer, cut_broker_connection, run_poison_beside,
)  # fmt: skip
FAULTS: dict[str, tuple[Fault, ...]] = {
    "sqlite": (*ANYWHERE, lock_database, sleep_machine, set_clock_back),
    "postgres": (
        *ANYWHERE, crash_database, end_connections, cut_off_from_database, interrupt_database, refuse_database, slow_database,
        swallow_database_answer, cut_database_connection,
    ),
    "embedded": (
        kill_supervisor, freeze_supervisor, run_poison_beside, kill_embedded_worker, kill_everything, kill_back_end,
        kill_embedded_broker, kill_kernel, remove_runtime_folder, lock_database, sleep_machine, set_clock_back,
    ),
}  # fmt: skip
# How often each may take every job that the only worker holds; a job that is lost three times, alone at last, is quarantined.
DEADLY = {
    "kill_supervisor": 1, "freeze_supervisor": 1, "kill_embedded_worker": 1, "kill_everything": 1, "kill_back_end": 1,
    "run_poison_beside": 2,
}  # fmt: skip
MOST_DEATHS = 2
# After these a job may say that its worker process ended; after those, that it was silent for too long. After the third kind
# a process may not know of its own claim, whose lease then runs out. Nothing else is an excuse for a second start.
KILLING = frozenset(DEADLY) | {"kill_worker", "kill_pool_child", "end_worker"}
SILENCING = frozenset({"silence_worker"})
HIDING = frozenset(
    {"swallow_database_answer", "cut_database_connection", "end_connections", "crash_database", "refuse_database"}
)
# Only on a small disk that no other program uses.
ON_SMALL_DISK: tuple[Fault, ...] = (fill_disk,)


def deaths(faults: Iterable[str]) -> int:
    """How often these faults may take one job, at most."""
    return sum(DEADLY.get(name, 0) for name in faults)


def excuses(faults: Iterable[str]) -> set[str]:
    """What an attempt that was lost may say, after these faults."""
    said = {ENDED: KILLING, SILENT: SILENCING, RAN_OUT: HIDING}
    return {words for words, names in said.items() if names.intersection(faults)}


def _freeze(place: Place, draw: Random, seconds: float) -> None:
    group = os.getpgid(draw.choice(place.workers).pid)
    os.killpg(group, signal.SIGSTOP)
    threading.Event().wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGCONT)


def _poisonous(rows: tuple[int, ...], notes: Path) -> xt.Workflow:
    """A workflow whose step runs in the worker, and ends it at these rows."""
    given: dict[str, Any] = {
        "notes": str(notes),
        "word": "row",
        "row": "{{ row }}",
        "bad": list(rows),
        "how": "leave",
        "seconds": 0.0,
    }
    return xt.Workflow("beside").node("poison", "die", **given)


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def _for_a_while(way: Proxy, mode: Mode, amount: float = 0.0, seconds: float = FROZEN_SECONDS) -> None:
    way.set(mode, amount)
    threading.Event().wait(seconds)
    way.set(Mode.PASS)


def _once(way: Proxy, mode: Mode, amount: float = 0.0) -> None:
    """Harm the traffic once; give up after a while if none passes."""
    before = way.harmed
    way.set(mode, amount)
    with contextlib.suppress(AssertionError):
        wait_until(lambda: way.harmed > before, AWAY_SECONDS)
    way.set(Mode.PASS)


def _database_way(place: Place, draw: Random) -> Proxy:
    way = draw.choice(place.ways).database
    assert way is not None
    return way


def _configure(place: Place, name: str, bad: str, good: str) -> None:
    with place.broker.client() as client:
        client.config_set(name, bad)
        threading.Event().wait(AWAY_SECONDS)
        client.config_set(name, good)


def _hint(place: Place, id: str) -> None:
    from xtyl_engine.broker.celery_app import make_app, notify_workers

    with contextlib.suppress(redis.RedisError):
        notify_workers(make_app(place.settings.celery_url), id)
