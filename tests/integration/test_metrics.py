"""A worker's telemetry: metrics collected over HTTP as Prometheus does, errors and spans sent out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

import xtyl_nb as xt
from backend import QUICK, Effects
from collector import collector
from fleet import Fleet, collected, fleet
from servers import free_port, kill, valkey_server, wait_until
from workbench import direct_backend
from xtyl_engine.settings import load_settings, prepare_home


@contextmanager
def worker(folder: Path, monkeypatch: pytest.MonkeyPatch, pool: str, **given: str) -> Iterator[Fleet]:
    """A worker with a back end for this test alone, which this process uses too."""
    with valkey_server() as broker:
        given = {"XTYL_HOME": str(folder / "home"), "XTYL_REDIS_URL": broker, **given}
        settings = load_settings({**QUICK, **given, "XTYL_ACCEPT_FUNCTIONS": "1"})
        prepare_home(settings)
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        with fleet(settings, pool) as made:
            yield made


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_counts_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effects: Effects, pool: str) -> None:
    """A worker reports jobs by outcome, run and queue times, retries, calls and cost of all its processes, and, if it is one
    process, the jobs in SQL."""
    port = free_port()

    def stumble(text: str) -> str:
        if effects.note(text) == 1:
            raise ConnectionError("again")
        return text

    def slots(found: dict[str, float]) -> tuple[float, float]:
        return found["xtyl_slots_free"], found["xtyl_jobs_held"]

    with worker(tmp_path, monkeypatch, pool, XTYL_METRICS=str(port)):
        flow = (
            xt.Workflow("counted")
            .generate_copy("line", prompt="About {{ word }}")
            .call("twice", stumble, text="{{ line.text }}", retry={"attempts": 2, "base_seconds": 0.01})
            .call("bad", int, text="{{ twice }}")
        )
        run = flow.run([{"word": f"word {n}"} for n in range(8)])
        assert run.wait(60).state == "failed"
        waited = xt.Workflow("waits").generate_copy("line", prompt="About {{ word }}", n=2).review("pick", of="line")
        waited.run([{"word": "one"}])
        # The main process of a pool has no database open.
        stands = 'xtyl_unfinished_jobs{run_state="running",state="waiting",type="review"}'
        wait_until(lambda: pool == "prefork" or stands in collected(port))
        wait_until(lambda: collected(port).get('xtyl_jobs_total{outcome="completed",type="generate_copy"}') == 10)
        wait_until(lambda: collected(port).get('xtyl_jobs_total{outcome="failed",type="call"}') == 8)
        wait_until(lambda: collected(port).get('xtyl_job_queue_seconds_count{type="call"}', 0) > 0)
        wait_until(lambda: slots(collected(port)) == (6, 0))
        found = collected(port)
    assert found['xtyl_jobs_total{outcome="retrying",type="call"}'] == 8
    assert found['xtyl_job_retries_total{type="call"}'] == 8
    assert found['xtyl_job_errors_total{error_class="permanent",type="call"}'] == 8
    assert found['xtyl_job_seconds_count{type="generate_copy"}'] == 10
    assert found['xtyl_provider_seconds_count{outcome="answered",provider="offline"}'] == 10
    assert found['xtyl_hints_total{direction="received"}'] > 0
    assert found["xtyl_commit_seconds_count"] > 0
    (cost,) = [value for name, value in found.items() if name.startswith("xtyl_cost_dollars_total")]
    assert cost == 0


def owner_of(run: xt.Run) -> str:
    """The process that has the only job of a run."""
    with direct_backend().database.read() as transaction:
        ((owner,),) = transaction.rows(
            text("SELECT owner FROM agent_jobs WHERE execution_id = :id").bindparams(id=run.id)
        )
    return str(owner)


def test_a_lost_lease_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effects: Effects) -> None:
    """A process of a pool is killed at work: another puts its jobs back, counts them and logs them."""
    port = free_port()

    def die_once() -> str:
        if effects.note("begun") == 1:
            time.sleep(60)
        return "done"

    with worker(tmp_path, monkeypatch, "prefork", XTYL_METRICS=str(port), XTYL_SLOTS="2") as process:
        run = xt.Workflow("lossy").call("a", die_once).run([{"n": 1}])
        wait_until(effects.lines)
        kill(int(owner_of(run).split(":")[1]))
        assert run.wait(60).state == "completed"
        wait_until(lambda: collected(port).get('xtyl_lease_losses_total{outcome="ready",type="call"}') == 1)
        (line,) = [line for line in process.log().splitlines() if "its worker died" in line]
    told = json.loads(line)
    assert (told["execution"], told["node"], told["item"]) == (run.id, "a", "0")


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_tells_of_failures_and_spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str) -> None:
    """Two settings send failed jobs to Sentry and every attempt and commit to OpenTelemetry, the last ones when a worker ends."""
    with collector() as server:
        asked = {"XTYL_SENTRY_DSN": server.dsn, "XTYL_OTLP_ENDPOINT": server.url}
        with worker(tmp_path, monkeypatch, pool, **asked) as process:
            flow = (
                xt.Workflow("told").generate_copy("line", prompt="About {{ word }}").call("bad", int, text="{{ line }}")
            )
            run = flow.run([{"word": "canary-4711"}])
            assert run.wait(60).state == "failed"
            process.terminate()
            wait_until(lambda: {"line", "bad"} <= {each.get("xtyl.node") for each, _ in server.spans()})
            wait_until(server.events)
        (event,) = server.events()
        assert (event["tags"]["execution"], event["tags"]["node"]) == (run.id, "bad")
        assert "commit" in {span.name for _, span in server.spans()}
        assert not [body for _, _, body in server.posts if b"canary-4711" in body]
