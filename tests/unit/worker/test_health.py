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

from moved_clock import MovedClock
from servers import PATIENT_SECONDS, line_of
from xtyl_engine.checks import place
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema, revision
from xtyl_engine.embedded.doctor import doctor
from xtyl_engine.machine import boot_id
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


WAKES = """
import sys
from xtyl_engine.settings import load_settings
from xtyl_engine.worker.health import examine
from xtyl_engine.worker.heartbeat import Heartbeat
settings = load_settings()
heartbeat = Heartbeat(settings.home, settings.pool)
print("beats", flush=True)
sys.stdin.readline()
print(examine(settings)[0], flush=True)
"""


@pytest.mark.parametrize("seconds", [8 * 3600, 3600, -3600], ids=["sleep", "ahead", "back"])
def test_a_moved_clock_makes_no_heartbeat_old(tmp_path, settings, seconds):
    """After eight hours of sleep, and after a clock was set, a worker is as healthy as it was, before its next beat."""
    clock = MovedClock(tmp_path)
    environ = {**os.environ, **settings.to_environ(), **clock.environ}
    command, pipe = [sys.executable, "-c", WAKES], subprocess.PIPE
    with subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, text=True) as process:
        assert line_of(process).strip() == "beats"
        clock.move(seconds)
        told, _ = process.communicate("\n", timeout=PATIENT_SECONDS)
    assert "ok=True" in told, told


def test_a_worker_that_hangs_is_found_after_the_clock_was_set_back(settings):
    """Its last beat then lies ahead of the wall clock, and is old all the same."""
    path = write(settings, socket.gethostname(), os.getpid(), beat=-3600, swept=-3600)
    then = {"boot": boot_id(), "beat_at": time.monotonic() - 60, "swept_at": time.monotonic()}
    path.write_text(json.dumps(json.loads(path.read_bytes()) | then))
    worker = examine(settings)[0]
    assert (worker.ok, worker.detail) == (False, "last heartbeat was 60 s ago")


def test_another_boots_moments_are_not_compared(settings):
    """A sign that outlived its boot counts by the wall clock, though its pid may live again."""
    path = write(settings, socket.gethostname(), os.getpid(), beat=60, swept=60)
    then = {"boot": "another", "beat_at": time.monotonic(), "swept_at": time.monotonic()}
    path.write_text(json.dumps(json.loads(path.read_bytes()) | then))
    assert examine(settings)[0].detail == "last heartbeat was 60 s ago"


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
