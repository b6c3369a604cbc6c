"""Workers side by side: which one runs a job where some node types are heavy, what a pool of processes survives, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, text

import xtyl_nb as xt
from backend import QUICK, Effects
from fleet import fleet
from servers import is_gone, kill, valkey_server, wait_until
from xtyl_engine.scheduler.routing import HEAVY_QUEUE, QUEUE
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_engine.worker.health import examine

ATTEMPTS = text(
    "SELECT j.node, a.owner, a.outcome FROM job_attempts a JOIN agent_jobs j ON j.id = a.job_id"
    " WHERE j.execution_id = :id ORDER BY a.started, a.number"
)
# A process's own sweep would find jobs without a notification.
BY_HINTS_ALONE = 600.0
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def routed(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A back end without a worker, where calls are heavy."""
    with valkey_server() as broker:
        given = {"XTYL_HOME": str(tmp_path / "shared"), "XTYL_DATABASE_URL": database_url, "XTYL_REDIS_URL": broker}
        settings = load_settings({**QUICK, **given, "XTYL_HEAVY": "call", "XTYL_SLOTS": "2"})
        prepare_home(settings)
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XTYL_ACCEPT_FUNCTIONS", "1")
        yield settings


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    return Effects(tmp_path / "effects")


def attempts(settings: Settings, run: xt.Run) -> list[tuple[str, int, str]]:
    """Node, pid of its worker, and outcome of each attempt, in order of start."""
    engine = create_engine(settings.database_url)
    with engine.connect() as connection:
        found = connection.execute(ATTEMPTS, {"id": run.id}).all()
    engine.dispose()
    return [(node, int(owner.split(":")[1]), outcome) for node, owner, outcome in found]


def parent(pid: int) -> int:
    listed = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(listed.stdout)


def stuck(effects: Effects) -> xt.Workflow:
    """A job that never ends the first time."""

    def work(word: str) -> str:
        if effects.note(word) == 1:
            threading.Event().wait(300)
        return word.upper()

    return xt.Workflow("stuck").call("work", work, word="{{ word }}")


def test_each_job_goes_to_a_worker_of_its_kind(routed: Settings) -> None:
    """Threads write texts, processes run functions, and a worker that makes a job ready for the other kind notifies it."""
    hinted = replace(routed, sweep_seconds=BY_HINTS_ALONE)
    flow = (
        xt.Workflow("both")
        .generate_copy("line", prompt="About {{ word }}", cache=False)
        .call("shout", lambda text: f"{text.upper()} by {os.getppid()}", text="{{ line.text }}")
        .generate_copy("answer", prompt="{{ shout }}", cache=False)
    )
    with fleet(hinted) as light, fleet(hinted, "prefork") as heavy:
        run = flow.run([{"word": f"word {place}"} for place in range(8)])
        assert run.wait(60).state == "completed"
        by_node: dict[str, set[int]] = {}
        for node, pid, _ in attempts(routed, run):
            by_node.setdefault(node, set()).add(pid)
        assert by_node["line"] == by_node["answer"] == {light.pid}
        assert {parent(pid) for pid in by_node["shout"]} == {heavy.pid}


def test_a_run_says_which_worker_it_waits_for_and_goes_on_when_there_is_one(routed: Settings) -> None:
    """Heavy jobs without a worker wait, and the run names that worker; once it comes it finds them without a notification."""
    flow = xt.Workflow("late").call("shout", lambda text: text.upper(), text="{{ word }}")
    with fleet(routed):
        run = flow.run(word="hat")
        assert run.waiting_for == "a worker for call: `xtyl worker --pool prefork`"
        with redis.Redis.from_url(str(routed.redis_url)) as broker:
            wait_until(lambda: broker.llen(QUEUE) == 0)
            broker.delete(HEAVY_QUEUE)
        with fleet(routed, "prefork"):
            assert run.wait(60).state == "completed"


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_that_is_told_to_end_gives_back_what_it_holds(routed: Settings, effects: Effects, pool: str) -> None:
    """The worker does not wait for a long job; another worker makes the next attempt, which costs no try."""
    settings = replace(routed, heavy="", shutdown_seconds=0.1)
    with fleet(settings, pool) as workers:
        run = stuck(effects).run(word="hat")
        wait_until(effects.lines)
        workers.terminate()
        assert run.wait(60).state == "completed"
        wait_until(lambda: workers.deaths == 1)
    assert [outcome for _, _, outcome in attempts(routed, run)] == ["released", "completed"]


def test_a_process_that_is_killed_is_replaced_and_its_job_done(routed: Settings, effects: Effects) -> None:
    """The worker stays, another process takes the job when its lease runs out, and the worker still ends when it is told to."""
    with fleet(routed, "prefork") as workers:
        run = stuck(effects).run(word="hat")
        wait_until(effects.lines)
        [(_, pid, _)] = attempts(routed, run)
        kill(pid)
        assert run.wait(60).state == "completed"
        assert [outcome for _, _, outcome in attempts(routed, run)] == ["lost", "completed"]
        assert workers.deaths == 0
        workers.terminate()
        wait_until(lambda: workers.deaths == 1)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_prints_outlive_the_process_that_ran_the_job(routed: Settings, effects: Effects, pool: str) -> None:
    """What a lost attempt printed up to a second before its worker was killed is kept, and the next attempt has its own."""

    def work(word: str) -> str:
        effects.note(word)
        number = len(effects.lines())
        sys.stdout.write(f"begun {number}\n")
        xt.progress(number, 2)
        if number == 1:
            threading.Event().wait(300)
        return word

    with fleet(replace(routed, heavy=""), pool):
        run = xt.Workflow("lost").call("work", work, word="{{ word }}").run(word="hat")
        wait_until(lambda: str(run.logs("work")) == "begun 1")
        [(_, pid, _)] = attempts(routed, run)
        kill(pid)
        assert run.wait(60).state == "completed"
        logs = run.logs("work")
    told = [(log.number, log.outcome, log.text, log.done, log.of) for log in logs]
    assert told == [(1, "lost", "begun 1", 1.0, 2.0), (2, "completed", "begun 2", 2.0, 2.0)]


def test_functions_leave_a_pool_of_processes_as_it_is(routed: Settings, effects: Effects) -> None:
    """One that ends its process, and one that outlives its time, cost their own rows alone; nothing of them is left."""

    def work(n: int) -> int:
        effects.note(os.getpid())
        if n == 0:
            os._exit(3)
        if n == 1:
            threading.Event().wait(300)
        return n

    flow = xt.Workflow("alone").call("work", work, n="{{ n }}", timeout=1.0, retry=1)
    with fleet(routed, "prefork") as workers:
        run = flow.run([{"n": n} for n in range(6)]).wait(60)
        errors = dict(run.frame()["error"].dropna())
        assert set(errors) == {0, 1}
        assert "exit code 3" in errors[0]
        assert "no result after 1 s" in errors[1]
        assert [outcome for _, _, outcome in attempts(routed, run)].count("completed") == 4
        assert workers.deaths == 0
    wait_until(lambda: all(is_gone(int(pid)) for pid in effects.lines()))


@ON_SQLITE
def test_a_process_that_has_grown_is_replaced(routed: Settings) -> None:
    """With a memory limit that every process exceeds, each notification gets a new process."""
    flow = xt.Workflow("grown").call("shout", lambda word: word.upper(), word="{{ word }}")
    with fleet(replace(routed, child_megabytes=1), "prefork"):
        runs = [flow.run(word=word).wait(60) for word in ("one", "two", "three")]
    assert len({pid for run in runs for _, pid, _ in attempts(routed, run)}) == 3


@ON_SQLITE
def test_the_parent_of_processes_opens_no_database(routed: Settings) -> None:
    """The main process of a pool opens no database: its children would share the connection, and SQLite's locks."""
    flow = xt.Workflow("open").call("shout", lambda word: word.upper(), word="{{ word }}")
    with fleet(routed, "prefork") as workers:
        [(_, pid, _)] = attempts(routed, flow.run(word="hat").wait(60))
        assert parent(pid) == workers.pid
        assert opened(pid, "/xtyl.db")
        assert not opened(workers.pid, "/xtyl.db")


def opened(pid: int, name: str) -> bool:
    handles = Path(f"/proc/{pid}/fd")
    if handles.exists():
        return any(name in os.path.realpath(handle) for handle in handles.iterdir())
    return name in subprocess.run(["lsof", "-p", str(pid)], capture_output=True, text=True, check=True).stdout


@ON_SQLITE
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_the_health_check_tells_alive_from_dead(routed: Settings, pool: str) -> None:
    """The check ends with 0 while the worker runs; for another pool's worker, after a kill, or with the broker away, it says what
    is wrong and ends with 1."""
    command = [str(Path(sys.executable).parent / "xtyl"), "worker", "--check"]
    routed, other = replace(routed, pool=pool), replace(routed, pool="prefork" if pool == "threads" else "threads")
    environ = routed.child_environ()
    assert not examine(routed)[0].ok
    worker = subprocess.Popen(command[:-1], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert worker.stdout is not None
        words = "2 threads for all node types but call" if pool == "threads" else "2 processes for call"
        assert worker.stdout.readline().startswith(f"xtyl worker: {words}; database ")
        wait_until(lambda: all(check.ok for check in examine(routed)))
        healthy = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert healthy.returncode == 0, healthy.stdout
        wrong = subprocess.run(
            [*command, "--pool", other.pool], env=environ, capture_output=True, text=True, check=False
        )
        assert wrong.returncode == 1
        assert f"Start one with `xtyl worker --pool {other.pool}`" in wrong.stdout
        away = {**environ, "XTYL_REDIS_URL": "unix:///nowhere.sock"}
        alone = subprocess.run(command, env=away, capture_output=True, text=True, check=False)
        assert alone.returncode == 1
        assert "BAD  broker" in alone.stdout
    finally:
        worker.kill()
        worker.communicate()
    wait_until(lambda: not examine(routed)[0].ok)
    dead = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert dead.returncode == 1
    assert "BAD  worker" in dead.stdout
