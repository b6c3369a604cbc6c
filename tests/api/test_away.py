"""A back end that does not answer: the API reports it soon, and stays alive itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bench import PLAIN, RUNS, Desk, open_desk, submit
from xtyl_engine.api import thread_pools as threads
from xtyl_engine.database.connection import Database


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a database that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"postgresql://xtyl:canary-password@127.0.0.1:{listening.getsockname()[1]}/xtyl"


def test_a_database_that_is_silent(lite: Desk, silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of more requests than there are threads is 503 without the address in it, and health answers meanwhile."""
    monkeypatch.setattr(threads, "START_SECONDS", 0.5)
    away = Database(silent, pool_size=40, patience_seconds=1.0)
    monkeypatch.setattr(lite.service.engine.queries, "database", away)
    with ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(lite.ask, "GET", f"{RUNS}/x") for _ in range(24)]
        assert lite.ask("GET", "/healthz", None).status_code == 200
        answers = [each.result(60) for each in asked]
    away.close()
    assert {each.status_code for each in answers} == {503}
    assert {each.json()["code"] for each in answers} == {"backend/unreachable"}
    assert all(int(each.headers["retry-after"]) > 0 for each in answers)
    assert not [each for each in answers if "canary" in each.text or "127.0.0.1" in each.text]


def test_readiness_names_what_is_missing(lite: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 503 with `database` or `broker`, and no address."""
    nowhere = replace(lite.service.engine.connection, redis_url="unix:///nowhere/canary.sock")
    monkeypatch.setattr(lite.service.engine.attendance, "connection", nowhere)
    answer = lite.ask("GET", "/readyz", None)
    assert (answer.status_code, answer.json()["missing"]) == (503, ["broker"])
    assert "canary" not in answer.text


def test_a_broker_that_is_away_loses_nothing(tmp_path: Path) -> None:
    """A submission is written all the same, because workers find it by themselves."""
    made = open_desk(tmp_path / "home", f"sqlite:///{tmp_path / 'xtyl.db'}", f"unix://{tmp_path}/unused.sock")
    with made.client:
        assert made.ask("GET", f"{RUNS}/{submit(made)}").json()["state"] == "pending"


def test_a_disk_that_is_full(lite: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be stored is the back end's fault: 503, without the path."""
    lite.settings.artifacts_folder.parent.joinpath("artifacts").write_text("in the way")
    answer = lite.ask("POST", "/api/artifacts", content=b"x")
    assert (answer.status_code, answer.json()["code"]) == (503, "backend/unreachable")
    assert str(lite.settings.home) not in answer.text
    assert lite.ask("POST", RUNS, json={"workflow": PLAIN, "inputs": {"product": "x"}}).status_code == 201
