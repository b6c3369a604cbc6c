"""What a worker counts, collected over HTTP as Prometheus does."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

import pytest
from backend import QUICK

import xtyl_nb as xt
from fleet import fleet
from servers import valkey_server, wait_until
from xtyl_engine.settings import load_settings, prepare_home


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def collected(port: int) -> dict[str, float]:
    """Every sample by its name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_a_worker_counts_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs by outcome, how long they took, tokens and cost by provider, slots that are free; on this machine's own address."""
    port = free_port()
    with valkey_server() as broker:
        given = {"XTYL_HOME": str(tmp_path / "home"), "XTYL_REDIS_URL": broker, "XTYL_METRICS": str(port)}
        settings = load_settings({**QUICK, **given})
        assert settings.metrics == f"127.0.0.1:{port}"
        prepare_home(settings)
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        with fleet(settings):
            flow = (
                xt.Workflow("counted")
                .generate_copy("line", prompt="About {{ word }}")
                .call("bad", int, text="{{ line.text }}")
            )
            run = flow.run([{"word": "one"}, {"word": "two"}])
            assert run.wait(60).state == "failed"
            wait_until(lambda: collected(port)["xtyl_jobs_held"] == 0)
            found = collected(port)
    assert found['xtyl_jobs_total{outcome="completed",type="generate_copy"}'] == 2
    assert found['xtyl_jobs_total{outcome="failed",type="call"}'] == 2
    assert found['xtyl_job_errors_total{error_class="permanent",type="call"}'] == 2
    assert found['xtyl_job_seconds_count{type="generate_copy"}'] == 2
    assert found['xtyl_provider_seconds_count{provider="offline"}'] == 2
    (cost,) = [value for name, value in found.items() if name.startswith("xtyl_cost_dollars_total")]
    assert cost == 0
    assert found["xtyl_slots_free"] == 6
