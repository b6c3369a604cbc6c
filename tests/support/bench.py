"""An API over a back end of its own, called in the process, with a token for each role in two projects."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from fastapi.testclient import TestClient

from servers import wait_until
from xtyl_engine.api.app import make_app
from xtyl_engine.api.serve import Server
from xtyl_engine.api.service import Service
from xtyl_engine.api.tokens import Role, TokenFile
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_engine.worker.execute import Executor

PROJECTS = ("press", "shop")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """An app, and a client for each role in each project; `all` is for every project."""

    settings: Settings
    service: Service
    tokens: TokenFile
    client: TestClient
    secrets: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, who: str | None = "press-write", **rest: Any) -> Any:
        """Send a request; `who` is a token's name."""
        headers = rest.pop("headers", {})
        if who is not None:
            headers = {"Authorization": f"Bearer {self.secrets[who]}"} | headers
        return self.client.request(method, path, headers=headers, **rest)


def open_desk(home: Path, database_url: str, broker: str, **variables: str) -> Desk:
    """An API over this database, with tokens for each role in two projects."""
    environ = {"XTYL_HOME": str(home), "XTYL_DATABASE_URL": database_url, "XTYL_REDIS_URL": broker}
    settings = load_settings({**environ, "XTYL_ACCEPT_FUNCTIONS": "1", **variables})
    prepare_home(settings)
    service = Service(settings)
    service.engine.prepare()
    tokens = TokenFile(settings.tokens_file)
    secrets = {
        f"{project}-{role}": tokens.create(f"{project}-{role}", role, project) for project in PROJECTS for role in Role
    }
    secrets["all"] = tokens.create("all", Role.WRITE, None)
    client = TestClient(make_app(service, tokens), base_url="http://localhost")
    return Desk(settings=settings, service=service, tokens=tokens, client=client, secrets=secrets)


FLOW = {
    "name": "launch",
    "nodes": [
        {"id": "headline", "type": "generate_copy", "config": {"prompt": "A headline for {{ product }}", "n": 2}},
        {"id": "pick", "type": "review", "config": {"of": "headline", "edit": True}},
    ],
}
PLAIN = {"name": "plain", "nodes": FLOW["nodes"][:1]}
RUNS = "/api/workflows/executions"


def submit(desk: Desk, who: str = "press-write", document: Any = PLAIN, **rest: Any) -> str:
    """The id of a new execution."""
    body = {"workflow": document, "inputs": [{"product": "Aurora lamp"}], **rest}
    answer = desk.ask("POST", RUNS, who, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


class Bench(Protocol):
    """What runs an execution: settings, and the service over them."""

    @property
    def settings(self) -> Settings: ...

    @property
    def service(self) -> Service: ...


def work_off(desk: Bench, id: str) -> None:
    """Run an execution's jobs in this process, as a worker does, until none is ready."""
    plans = PlanCache()
    recorder = Recorder(desk.service.engine.database, "bench", 10.0, lambda events: None, plans.load)
    executor = Executor(
        desk.settings, desk.service.engine.database, plans, desk.service.engine.store, recorder.may_start
    )
    outcomes: list[Any] = []
    while claims := recorder.record(outcomes, id, 8).claims:
        outcomes = [executor.execute(claim) for claim in claims]


@contextmanager
def serving(desk: Desk) -> Iterator[int]:
    """The desk's app behind a real server; yields its port."""
    app: Any = desk.client.app
    configuration = uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=10)
    with serving_app(Server(configuration, app.state.ours.hub)) as port:
        yield port


@contextmanager
def serving_app(server: uvicorn.Server) -> Iterator[int]:
    """A server at work; yields its port."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
