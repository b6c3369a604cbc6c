"""Liveness and readiness, for programs that restart the API or route to it: they need no token and reveal no address. Also
the description of the caller's token.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

import xtyl_engine
from xtyl_engine.api.auth import AppState, Reader, State
from xtyl_engine.api.parameters import answers
from xtyl_engine.api.problems import answer, declared, problem
from xtyl_engine.api.response_models import Status
from xtyl_engine.api.thread_pools import respond
from xtyl_engine.broker.redis_client import check_broker
from xtyl_engine.errors import BackendError
from xtyl_engine.functions.packed_function import PYTHON
from xtyl_engine.queries.wire import Me, to_json

log = logging.getLogger("xtyl")
KEEP_SECONDS = 1.0
router = APIRouter(tags=["health"])
OPEN: dict[int | str, dict[str, Any]] = {200: {"model": Status, "description": "The API is ready."}, **declared(421)}


class Readiness:
    """Checks database and broker, once for all requests within a second."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._asked = float("-inf")
        self._missing: list[str] = []

    async def missing(self, app: State) -> list[str]:
        """The names of the parts that do not answer."""
        async with self._lock:
            if time.monotonic() - self._asked > KEEP_SECONDS:
                try:
                    self._missing = await app.pools.run(lambda: _missing(app))
                except BackendError:
                    self._missing = ["database"]
                self._asked = time.monotonic()
        return self._missing


def _missing(app: AppState) -> list[str]:
    url = app.service.engine.connection.redis_url
    looks = {"database": app.service.reader.look, "broker": lambda: check_broker(url)}
    return [name for name, look in looks.items() if not _answers(look)]


def _answers(look: Callable[[], None]) -> bool:
    try:
        look()
    except BackendError as error:
        log.warning("not ready: %s", error)
        return False
    return True


@router.api_route("/healthz", methods=["GET", "HEAD"], responses=OPEN, include_in_schema=False)
async def alive() -> Response:
    return respond({"status": "ok"})


@router.api_route("/readyz", methods=["GET", "HEAD"], responses=OPEN | declared(503), include_in_schema=False)
async def ready(request: Request, app: State) -> Response:
    readiness: Readiness = request.app.state.readiness
    if missing := await readiness.missing(app):
        words = f"the {' and the '.join(missing)} of this back end do not answer"
        return answer(problem(503, "backend/unreachable", words, missing=missing))
    return respond({"status": "ok"})


@router.get("/api/me", responses=answers(Me))
async def me(caller: Reader, app: State) -> Response:
    """The caller's token, and the abilities of this back end."""
    token, service = caller.token, app.service
    said = Me(
        name=token.name,
        role=str(token.role),
        project=token.project,
        functions=service.settings.accept_functions,
        python=PYTHON,
        provider=service.engine.provider,
        version=xtyl_engine.__version__,
        code_digests=True,
    )
    return respond(to_json(said))
