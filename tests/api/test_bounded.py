"""What strangers make costly is computed by processes of their own, which the system limits: the API goes on answering."""

from __future__ import annotations

import asyncio
import json
import pickle
from asyncio.subprocess import PIPE
from dataclasses import replace
from typing import Any

import httpx
import pytest

from bench import PLAIN, RUNS, Desk, open_desk, serving, submit, work_off
from servers import PATIENT_SECONDS
from xtyl_engine.api.allowance import Allowance
from xtyl_engine.api.bounded import CHILDREN, COMMAND, WAITING, BoundedProcesses
from xtyl_engine.api.bounded_child import LENGTH, Limits, framed
from xtyl_engine.api.problems import RequestRefused
from xtyl_engine.api.service import Service
from xtyl_engine.errors import BackendError, LimitExceeded
from xtyl_engine.scheduler.templates import Catalogue
from xtyl_engine.workflow.document import parse_document
from xtyl_engine.workflow.validate import validate


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Desk:
    home = tmp_path_factory.mktemp("forecasts")
    return open_desk(home / "home", f"sqlite:///{home / 'xtyl.db'}", broker)


PLACE = "/api/workflows/forecast"
LONG = "{% for a in many %}{% for b in many %}{% if a == b %}{% endif %}{% endfor %}{% endfor %}"


def workflow(prompt: str) -> dict[str, Any]:
    return {"name": "hostile", "nodes": [{"id": "a", "type": "generate_copy", "config": {"prompt": prompt}}]}


def body(prompt: str, rows: int = 1, **values: Any) -> bytes:
    return json.dumps({"workflow": workflow(prompt), "inputs": [values] * rows}).encode()


def test_what_takes_too_long_or_grows_too_large_is_ended(desk: Desk) -> None:
    """A process that goes over its time is killed, one without memory gives up, and the next forecast has another."""

    async def test() -> None:
        limits = Limits(seconds=1, bytes=200 * 1024 * 1024)
        processes = BoundedProcesses(desk.settings, limits)
        try:
            with pytest.raises(LimitExceeded, match="1 s of a processor"):
                await processes.ask("desk", "forecast", body(LONG, rows=20, many=list(range(1000))), scope="press")
            large = body("{{ text }}", text="x" * 2**20, more=["y" * 30] * 900_000)
            refused = await processes.ask("desk", "forecast", large, scope="press")
            assert (refused.status_code, json.loads(bytes(refused.body))["code"]) == (422, "limit/exceeded")
            plain = await processes.ask(
                "desk", "forecast", json.dumps({"workflow": PLAIN, "inputs": {"product": "x"}}).encode(), scope="press"
            )
            assert plain.status_code == 200
        finally:
            await processes.close()

    asyncio.run(test())


def test_more_than_can_wait_are_refused() -> None:
    """Ten places at a time, half of them for one token; a further request is told to come again, and places come back."""
    places = Allowance(CHILDREN + WAITING, of="forecasts at a time")
    for holder in ("one", "other"):
        for _ in range(5):
            places.take(holder, 1)
        with pytest.raises(RequestRefused) as caught:
            places.take(holder, 1)
        assert (caught.value.status, caught.value.code) == (503, "api/busy")
    places.give("one", 1)
    with pytest.raises(RequestRefused), places.held("other", 1):
        pass
    with places.held("third", 1):
        assert places.total == CHILDREN + WAITING
    assert places.total == CHILDREN + WAITING - 1


def test_a_forecast_cannot_write(desk: Desk) -> None:
    """The database itself refuses a write from a process for forecasts."""
    service = Service(desk.settings, computes=True)
    with pytest.raises(BackendError):
        Catalogue(service.engine.database).add("press", validate(parse_document(PLAIN)))
    service.engine.close()


def test_what_a_token_that_may_read_can_ask(desk: Desk) -> None:
    """A hundred bytes that ask for millions of digits cost the caller an answer, and health is told meanwhile."""
    with serving(desk) as port:
        headers = {"Authorization": f"Bearer {desk.secrets['press-read']}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as client:
            answer = client.post(PLACE, content=body("{{ 5|round(-12000000) }}"))
            assert (answer.status_code, answer.json()["nodes"][0]["jobs"]) == (200, 1)
            assert client.get("/healthz").status_code == 200


def test_details_and_large_rows_are_computed_there(lite: Desk) -> None:
    """Where no such process can start, jobs in detail and rows of more than a megabyte have no answer, and all else has one."""
    id = submit(lite, inputs=[{"product": "lamp"}, {"product": "y" * 2**20}])
    work_off(lite, id)
    costly = [f"{RUNS}/{id}/{path}" for path in ("jobs/headline/0.0", "nodes/headline/jobs", "rows?after=0")]
    cheap = [f"{RUNS}/{id}/{path}" for path in ("rows?limit=1", "jobs", "plan")]
    assert [lite.ask("GET", path).status_code for path in costly + cheap] == [200] * 6
    app: Any = lite.client.app
    usual = app.state.ours
    app.state.ours = replace(usual, bounded=BoundedProcesses(lite.settings, Limits(bytes=2**20)))
    try:
        assert [lite.ask("GET", path).status_code for path in costly + cheap] == [503] * 3 + [200] * 3
    finally:
        app.state.ours = usual


def test_a_process_ends_with_the_api(desk: Desk) -> None:
    """One that is at work ends when the API is gone, long before it has an answer or has taken its time."""

    async def test() -> int | None:
        child = await asyncio.create_subprocess_exec(*COMMAND, stdin=PIPE, stdout=PIPE)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(framed(pickle.dumps((desk.settings, Limits(seconds=3600)))))
        assert await child.stdout.readexactly(LENGTH.size + 2) == framed(b"{}")
        question = json.dumps({"of": "forecast", "scope": "press"}).encode()
        child.stdin.write(framed(question) + framed(body(LONG, rows=200, many=list(range(1000)))))
        await child.stdin.drain()
        child.stdin.close()
        async with asyncio.timeout(PATIENT_SECONDS):
            return await child.wait()

    assert asyncio.run(test()) == 1
