"""Processes are killed and the broker is emptied in the middle of a run: every job completes, no completed job runs again, and an
attempt explains each extra start.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter

import pandas as pd
import pytest
import redis

import xtyl_nb as xt
from own_back_end import own_back_end
from poison import poison_offered
from servers import is_gone, kill, line_of, presence, wait_until
from xtyl_engine.embedded.client import check
from xtyl_engine.embedded.status import status

ROWS = 12


@pytest.fixture
def home(tmp_path):
    """A back end for this test alone, which may be harmed."""
    with own_back_end(tmp_path, XTYL_SLOTS="3") as settings:
        yield settings


def working(effects):
    """Two steps per row that note each start, and take long enough to be killed in the middle."""

    def step(name):
        effects.note(name)
        time.sleep(0.1)
        return name

    return (
        xt.Workflow("working")
        .call("first", step, name="first {{ n }}")
        .call("second", step, name="second {{ n }}", after=["first"])
    )


def start(effects):
    run = working(effects).run(pd.DataFrame({"n": range(ROWS)}))
    wait_until(lambda: (run.jobs()["status"] == "completed").sum() >= 4)
    return run


def completed_jobs(run):
    jobs = run.jobs()
    done = jobs[jobs["status"] == "completed"]
    return {f"{node} {row}" for node, row in zip(done["node"], done["row"], strict=True)}


def assert_nothing_lost(run, effects, completed_before, lines_before):
    """Check that every job is complete, that completed jobs did not start again, and that each start is an attempt."""
    assert run.state == "completed", run.frame()["error"].dropna().tolist()
    jobs = run.jobs()
    assert (jobs["status"] == "completed").all()
    starts = Counter(effects.lines())
    assert set(starts) == {f"{step} {n}" for step in ("first", "second") for n in range(ROWS)}
    again = Counter(effects.lines()[lines_before:])
    assert not completed_before & set(again)
    attempts = {f"{job.node} {job.row}": job.attempts for job in jobs.itertuples()}
    assert {name: count for name, count in starts.items() if count > attempts[name]} == {}
    assert sum(attempts.values()) - sum(starts.values()) <= 3
    events = run.events()
    lost = events[events["kind"] == "job_lost"]
    assert sum(attempts.values()) - 2 * ROWS <= len(lost)


def harm(run, effects, deed):
    """Do the harm; returns the jobs completed before it, and the number of starts after it."""
    before = completed_jobs(run)
    deed()
    return before, len(effects.lines())


def test_the_run_survives_the_worker_s_death(home, effects):
    """After kill -9 of the worker a new one takes the lost jobs and goes on."""
    run = start(effects)
    worker = presence(home.home).worker_pid
    seen = harm(run, effects, lambda: kill(worker))
    run.wait(60)
    assert_nothing_lost(run, effects, *seen)
    assert presence(home.home).worker_pid != worker


def test_the_run_survives_the_supervisor_s_death(home, effects):
    """After kill -9 of the supervisor a waiting client starts everything again, and the run goes on."""
    run = start(effects)
    before, supervisor = completed_jobs(run), status(home).pid
    kill(supervisor)
    run.wait(60)
    assert run.state == "completed"
    starts = Counter(effects.lines())
    assert all(starts[name] == 1 for name in before)
    assert len(starts) == 2 * ROWS
    assert status(home).pid != supervisor
    attempts = run.jobs()["attempts"].sum()
    assert sum(starts.values()) <= attempts


def test_the_supervisor_s_death_repeats_no_job_that_runs(home, effects):
    """The worker that is left behind has the time of an orderly end, beside the worker of the next back end."""

    def pay(n):
        effects.note(n)
        time.sleep(6)
        return n

    run = xt.Workflow("paid").call("pay", pay, n="{{ n }}").run(pd.DataFrame({"n": range(2)}))
    wait_until(lambda: len(effects.lines()) == 2)
    before = presence(home.home)
    kill(before.pid)
    run.wait(60)
    assert run.state == "completed"
    assert sorted(effects.lines()) == ["0", "1"]
    assert (run.jobs()["attempts"] == 1).all()
    assert status(home).pid != before.pid
    wait_until(lambda: is_gone(before.worker_pid))


def test_the_run_survives_its_client_s_death(home, effects, tmp_path):
    """A run whose kernel was killed goes on by itself, and another process finds it complete."""
    script = tmp_path / "client.py"
    script.write_text(
        "import os, time, xtyl_nb as xt, pandas as pd\n"
        f"path = {effects.path!r}\n"
        "def step(n):\n"
        "    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)\n"
        "    os.write(handle, f'{n}\\n'.encode())\n"
        "    os.fsync(handle)\n"
        "    os.close(handle)\n"
        "    time.sleep(0.1)\n"
        "    return n\n"
        f"run = xt.Workflow('orphan').call('made', step, n='{{{{ n }}}}').run(pd.DataFrame({{'n': range({ROWS})}}))\n"
        "print(run.id, flush=True)\n"
        "run.wait()\n"
    )
    client = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True)
    id = line_of(client).strip()
    wait_until(effects.lines)
    client.kill()
    client.communicate()
    run = xt.attach(id)
    assert run.wait(60).state == "completed"
    assert sorted(effects.lines(), key=int) == [str(n) for n in range(ROWS)]
    assert list(run.frame()["made"]) == list(range(ROWS))


def test_the_run_survives_an_emptied_broker(home, effects):
    """After every key of the broker is gone, no job is redone and no job is forgotten."""
    run = start(effects)
    with redis.Redis(unix_socket_path=presence(home.home).socket) as client:
        try:
            client.flushall()
        except redis.exceptions.NoPermissionError:
            # The embedded server forbids FLUSHALL, so delete key by key.
            for key in client.scan_iter("*"):
                client.delete(key)
    run.wait(60)
    assert run.state == "completed"
    assert Counter(effects.lines()).most_common(1)[0][1] == 1
    assert (run.jobs()["attempts"] == 1).all()


def test_the_run_survives_the_server_s_death(home, effects):
    """After kill -9 of the broker it is started again; running jobs are not disturbed, and the run goes on."""
    run = start(effects)
    kill(presence(home.home).server_pid)
    run.wait(60)
    assert run.state == "completed"
    assert Counter(effects.lines()).most_common(1)[0][1] == 1
    assert (run.jobs()["attempts"] == 1).all()


@pytest.fixture
def poison(tmp_path):
    """A node type of another package, whose handler runs in the worker and may end it, is found here and by the worker."""
    with poison_offered(tmp_path / "package"):
        yield


def ending(effects, name, bad, how):
    """A step that ends its worker at some rows, after a moment in which other rows are beside it."""
    given = {"notes": effects.path, "word": name, "row": "{{ n }}", "bad": sorted(bad), "how": how}
    return xt.Workflow(name).node("poison", "made", **given)


def test_a_job_that_kills_its_worker_is_quarantined(poison, home, effects):
    """After three deaths of its worker a job is not tried again, and its error says so; other rows complete."""
    run = ending(effects, "poison", {0}, "leave").run(pd.DataFrame({"n": [0, 1, 2]}))
    run.wait(90)
    frame = run.frame()
    assert dict(frame["status"]) == {0: "failed", 1: "completed", 2: "completed"}
    assert "its worker died or lost touch 3 times, the last time with no other job beside it" in frame["error"][0]
    assert "`run.retry()`" in frame["error"][0]
    assert effects.lines().count("poison 0") == 3
    jobs = run.jobs().set_index("row")
    assert jobs["status"][0] == "quarantined"
    assert jobs["attempts"][0] == 3
    check(home)


@pytest.mark.parametrize(("rows", "bad_rows"), [(40, {3, 17}), (100, {5, 20, 44, 61, 80})], ids=["2 of 40", "5 of 100"])
def test_poisonous_rows_of_two_runs_harm_no_other_row(poison, home, effects, rows, bad_rows):
    """The back end goes on however often its worker dies of them; they alone are quarantined, and every other row completes."""
    given = {"first": (rows, bad_rows, "leave"), "second": (12, {7}, "crash")}
    runs = {
        name: ending(effects, name, bad, how).run(pd.DataFrame({"n": range(count)}))
        for name, (count, bad, how) in given.items()
    }
    for run in runs.values():
        run.wait(240)
    for name, run in runs.items():
        count, bad, _ = given[name]
        status = dict(run.jobs().set_index("row")["status"])
        assert status == {row: "quarantined" if row in bad else "completed" for row in range(count)}
    starts = Counter(effects.lines())
    assert {name: starts[name] for name in (f"first {row}" for row in bad_rows)} == {
        f"first {row}": 3 for row in bad_rows
    }
    assert max(starts.values()) <= 3
    check(home)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_jobs_that_tell_their_worker_to_end_stop_no_run(poison, home, effects, number):
    """The worker ends without fault and without jobs, more often than one that fails may: it is started again each time."""
    told = set(range(3, 30, 5))
    run = ending(effects, "told", told, str(int(number))).run(pd.DataFrame({"n": range(30)}))
    run.wait(120)
    assert (run.jobs()["status"] == "completed").all()
    assert Counter(effects.lines()) == {f"told {row}": 1 for row in range(30)}
    assert presence(home.home).restarts > 0
    check(home)
