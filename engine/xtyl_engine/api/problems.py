"""Errors as RFC 9457 problems: the status of each, their declaration and their sending. A library's own words are never sent,
except what pydantic says of an invalid member, which quotes no value.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from xtyl_engine import errors
from xtyl_engine.errors import BackendError, ControlRefused, WorkflowError, WorkflowException
from xtyl_engine.values.artifacts import ArtifactError

log = logging.getLogger("xtyl")
MEDIA_TYPE = "application/problem+json"
MAX_DETAILS = 50
MAX_WORDS = 2_000
STATUS: Mapping[type[WorkflowException], int] = {
    errors.RunNotFound: 404,
    errors.TemplateNotFound: 404,
    ArtifactError: 404,
    errors.ControlRefused: 400,
    errors.DecisionRefused: 409,
    errors.BackendError: 503,
    errors.StreamTooSlow: 503,
    errors.TooManyStreams: 503,
}
UNREACHABLE = "the back end does not answer: its database, its broker or its disk"
DECLARED = {
    400: "The state of the execution does not allow it.",
    401: "There is no token, or it is invalid, expired or revoked.",
    403: "The token's role does not allow it, or the page's origin may not call this API.",
    404: "It does not exist, or belongs to another project.",
    405: "The path has no such method.",
    408: "The body did not arrive in time.",
    409: "The review does not take this decision.",
    413: "The body is too large.",
    421: "The host name is not one of this API's.",
    422: "The request is not valid.",
    503: "The back end does not answer.",
}


class RequestRefused(WorkflowException, ValueError):
    """The request is refused."""

    code = "api/invalid"

    def __init__(self, message: str, *, status: int = 422, code: str = "api/invalid", **rest: Any):
        self.status = status
        self.headers: dict[str, str] = rest.pop("headers", {})
        self.errors: list[dict[str, str]] = rest.pop("errors", [])
        super().__init__(message, **rest)
        self.code = code


class ProblemOfNode(BaseModel):
    """One problem of a workflow."""

    code: str
    node: str | None
    message: str
    hint: str


class ProblemBody(BaseModel):
    """An error, after RFC 9457: `code` names it for programs, `hint` says what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str | None = None
    state: str | None = None
    problems: list[ProblemOfNode] | None = None


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The declaration of the problems that a route may answer with."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    return {status: {"description": DECLARED[status], "content": {MEDIA_TYPE: schema}} for status in statuses}


def problem_of(error: WorkflowException) -> dict[str, Any]:
    """An error of this project as a problem, with its status."""
    status = getattr(error, "status", None) or next((STATUS[kind] for kind in STATUS if isinstance(error, kind)), 422)
    facts: dict[str, Any] = {}
    detail, hint = error.message, error.hint
    if isinstance(error, WorkflowError):
        detail = detail.splitlines()[0]
        facts["problems"] = [asdict(each) for each in error.problems]
    elif isinstance(error, BackendError):
        # The error's words name hosts and paths, which belong in the log only.
        log.warning("%s: %s", error.code, error)
        detail, hint = UNREACHABLE, "Try again in a moment, and see the API's log for the cause."
    elif isinstance(error, ControlRefused):
        facts["state"] = error.data.get("state")
    elif isinstance(error, RequestRefused) and error.errors:
        facts["errors"] = error.errors[:MAX_DETAILS]
    return problem(status, error.code, detail, hint=hint, **facts)


def problem(status: int, code: str, detail: str, *, hint: str | None = None, **facts: Any) -> dict[str, Any]:
    """The members of a problem."""
    title = HTTPStatus(status).phrase
    made = {"type": "about:blank", "title": title, "status": status, "detail": detail[:MAX_WORDS], "code": code}
    return made | ({"hint": hint[:MAX_WORDS]} if hint else {}) | facts


def answer(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a response."""
    status = int(body["status"])
    # Users' words may hold half a surrogate pair or NaN.
    data = json.dumps(body, ensure_ascii=True).encode()
    retry = {"Retry-After": "2"} if status == 503 else {}
    return Response(data, status, {**retry, **(headers or {})}, MEDIA_TYPE)


def handle_errors(app: FastAPI) -> None:
    """Answer every error of the routes as a problem."""

    @app.exception_handler(WorkflowException)
    async def ours(request: Request, error: WorkflowException) -> Response:
        return answer(problem_of(error), getattr(error, "headers", None))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        code, detail = {
            404: ("api/not-found", "there is no such path"),
            405: ("api/method", "the path has no such method"),
        }.get(error.status_code, ("api/invalid", "the request cannot be read"))
        return answer(problem(error.status_code, code, detail, hint="See /api/openapi.json."), error.headers)

    @app.exception_handler(RequestValidationError)
    async def parameters(request: Request, error: RequestValidationError) -> Response:
        return answer(problem_of(invalid(error.errors())))


def invalid(details: Sequence[Any]) -> RequestRefused:
    """The problem that pydantic found, with its places and without the values sent."""
    errors = [{"at": ".".join(map(str, each["loc"]))[:200], "message": str(each["msg"])[:300]} for each in details]
    first = errors[0] if errors else {"at": "the request", "message": "cannot be read"}
    return RequestRefused(
        f"{first['at'] or 'the body'}: {first['message']}",
        hint="See /api/openapi.json for the valid members.",
        errors=errors,
    )
