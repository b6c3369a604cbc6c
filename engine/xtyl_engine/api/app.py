"""The FastAPI app: the routes of every part behind the middleware, and their OpenAPI description. It holds no route of a
part itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Response

from xtyl_engine.api.auth import AppState, Reader, State, unauthorized
from xtyl_engine.api.bounded import BoundedProcesses
from xtyl_engine.api.flight import InFlight
from xtyl_engine.api.middleware import Guard
from xtyl_engine.api.openapi import describe
from xtyl_engine.api.parameters import answers
from xtyl_engine.api.problems import handle_errors, problem_of
from xtyl_engine.api.routes import executions, files, health, reads, reviews, stream, templates
from xtyl_engine.api.service import Service
from xtyl_engine.api.streaming.broadcaster import Broadcaster
from xtyl_engine.api.thread_pools import ThreadPools, respond
from xtyl_engine.api.tokens import TokenFile
from xtyl_engine.telemetry.prometheus import ApiMetrics

DESCRIPTION = "/api/openapi.json"
# Each part of the API has one router in this list.
PARTS = [part.router for part in (health, templates, executions, reads, stream, reviews, files)]


def make_app(
    service: Service, tokens: TokenFile, metrics: ApiMetrics | None = None, *, is_warm: bool = False
) -> FastAPI:
    """The API of a back end. It closes its connections to the back end when it ends. With `is_warm` its bounded processes start
    with it, else with the first question."""
    hub = Broadcaster(
        service.engine.queries,
        service.engine.connection.redis_url,
        describe=problem_of,
        refuse=lambda: unauthorized("the token is expired or revoked"),
        counts=metrics,
        limit=service.settings.api_streams,
    )
    if metrics is not None:
        metrics.ask("xtyl_stream_listeners", lambda: [((), len(hub))])
    pools, bounded = ThreadPools(), BoundedProcesses(service.settings)
    state = AppState(service=service, tokens=tokens, pools=pools, bounded=bounded, hub=hub, metrics=metrics)

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        await hub.start()
        if is_warm:
            state.bounded.warm()
        yield
        await state.bounded.close()
        await hub.close()
        state.pools.close()
        service.engine.close()

    app = FastAPI(title="xtyl", openapi_url=None, docs_url=None, redoc_url=None, lifespan=live, redirect_slashes=False)
    app.state.ours = state
    app.state.readiness = health.Readiness()
    for router in PARTS:
        app.include_router(router)
    handle_errors(app)
    described: dict[str, Any] = {}

    @app.get(DESCRIPTION, responses=answers(dict[str, Any]), tags=["health"])
    async def openapi(caller: Reader, state: State) -> Response:
        """This description."""
        described.update(described or describe(app))
        return respond(described)

    app.add_middleware(InFlight)
    hosts, origins = service.settings.api_hosts.split(), service.settings.api_origins.split()
    app.add_middleware(Guard, hosts=hosts, origins=origins, metrics=metrics)
    return app
