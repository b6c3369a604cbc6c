"""Signs of life: who leaves them, how old they may be, and what of them is tidied away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from xtyl_engine.checks import place
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema, revision
from xtyl_engine.embedded.doctor import doctor
from xtyl_engine.settings import Settings, load_settings
from xtyl_engine.worker.health import describe, examine
from xtyl_engine.worker.heartbeat import Heartbeat, run_folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"XTYL_HOME": str(tmp_path), "XTYL_REDIS_URL": "unix:///nowhere.sock"})


def write(settings: Settings, host: str, pid: int, pool: str = "threads", **ages: float) -> Path:
    """A sign of `pid` on `host`, its beat and sweep so many seconds old."""
    folder = run_folder(settings.home)
    folder.mkdir(exist_ok=True)
    path = folder / f"{host}-{pid}.json"
    times = {name: time.time() - age for name, age in ages.items()}
    path.write_text(json.dumps({"pid": pid, "pool": pool, **times}))
    return path


def gone() -> int:
    """The pid of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_process_that_beats_is_alive(settings):
    """A sign is there from the start, for its owner's eyes only, and is taken away at the end."""
    made = Database(settings.database_url)
    ensure_schema(made)
    made.close()
    heartbeat = Heartbeat(settings.home, settings.pool)
    heartbeat.note("sweep")
    heartbeat.note("beat")
    [path] = run_folder(settings.home).iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    worker, database, broker = examine(settings)
    assert (worker.ok, database.ok, broker.ok) == (True, True, False)
    heartbeat.close()
    assert not examine(settings)[0].ok


@pytest.mark.parametrize(
    ("ages", "words"),
    [
        ({"beat": 60, "swept": 1}, "last heartbeat was 60 s ago"),
        ({"beat": 1, "swept": 60}, "it has not swept for 60 s"),
    ],
)
def test_a_worker_that_hangs_is_not_healthy(settings, ages, words):
    """A beat older than a lease, or a sweep that does not come to its end, is said for what it is."""
    write(settings, socket.gethostname(), os.getpid(), **ages)
    worker = examine(settings)[0]
    assert (worker.ok, worker.detail) == (False, words)


def test_others_signs_count_for_nothing(settings):
    """Those of another host, of a process that is gone, and what is no sign at all."""
    write(settings, "elsewhere", os.getpid(), beat=0, swept=0)
    write(settings, socket.gethostname(), gone(), beat=0, swept=0)
    (run_folder(settings.home) / f"{socket.gethostname()}-1.json").write_text("[")
    assert "no worker of this home" in examine(settings)[0].detail


@pytest.mark.parametrize(("pool", "other"), [("threads", "prefork"), ("prefork", "threads")])
def test_another_pools_sign_counts_for_nothing(settings, pool, other):
    """Two kinds of workers may share a home: each check asks for its own, and says how to start one."""
    write(settings, socket.gethostname(), os.getpid(), pool=other, beat=0, swept=0)
    worker = examine(replace(settings, pool=pool))[0]
    assert (worker.ok, worker.hint) == (False, f"Start one with `xtyl worker --pool {pool}`.")
    assert f"another pool than {pool}" in worker.detail
    assert examine(replace(settings, pool=other))[0].ok


def test_a_sign_without_a_pool_counts_for_any(settings):
    """The release before did not write it, and its workers go on during an upgrade."""
    path = write(settings, socket.gethostname(), os.getpid(), beat=0, swept=0)
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_bytes()).items() if name != "pool"})
    )
    assert all(examine(replace(settings, pool=pool))[0].ok for pool in ("threads", "prefork"))


@pytest.mark.parametrize(
    ("version", "words"),
    [(None, "no tables yet"), ("0002", "schema 0002, this release works with"), ("9999", "this release knows up to")],
)
def test_another_schema_is_not_healthy(database_url, settings, version, words):
    """A database without tables, of an older release or a newer one is named for what it is, and left as it is. The doctor says
    the same of it; to him one without tables is in order, for the first run makes them."""
    database = Database(database_url)
    if version is not None:
        ensure_schema(database)
        with database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    found = examine(replace(settings, database_url=database_url))[1]
    assert (found.name, found.ok) == ("database", False)
    assert words in found.detail
    (told,) = [check for check in doctor(replace(settings, database_url=database_url)) if check.name == "database"]
    assert told.ok if version is None else told == found
    assert revision(database) == version
    database.close()


def test_what_killed_processes_left_is_tidied_away(settings):
    """Here at once, elsewhere after a day; what another host wrote lately stays."""
    here, old = write(settings, socket.gethostname(), gone()), write(settings, "removed", 7)
    lately = write(settings, "elsewhere", 7)
    os.utime(old, (1, 1))
    Heartbeat(settings.home, settings.pool).close()
    assert [path.exists() for path in (here, old, lately)] == [False, False, True]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:canary@db:5433/xtyl", "db:5433/xtyl"),
        ("postgresql://me:canary@/xtyl?host=/run/pg", "/run/pg/xtyl"),
        ("redis://:canary@redis:6379/0", "redis:6379/0"),
        ("unix://:canary@/run/redis.sock", "/run/redis.sock"),
        ("sqlite:////home/me/xtyl.db", "/home/me/xtyl.db"),
    ],
)
def test_a_place_gives_no_password_away(url, words):
    """Host, port and name, and nothing else."""
    assert place(url) == words


def test_a_worker_is_described_in_a_line(settings):
    """What it serves, with how many threads or processes, and where its database and broker are."""
    environ = {**settings.to_environ(), "XTYL_SLOTS": "3", "XTYL_HEAVY": "call"}
    assert describe(load_settings(environ)).startswith("xtyl worker: 3 threads for all node types but call; database /")
    heavy = describe(load_settings({**environ, "XTYL_POOL": "prefork"}))
    assert heavy.startswith("xtyl worker: 3 processes for call; ")
    assert heavy.endswith(", broker /nowhere.sock")
