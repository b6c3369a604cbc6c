"""Executions over HTTP: submit, forecast, control, list, read one. The details of one execution are in `reads`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from xtyl_engine.api.auth import Caller, Reader, State, Writer
from xtyl_engine.api.bodies import LARGE, MIDDLE, parse, parse_as, read_body
from xtyl_engine.api.parameters import After, Id, Key, Limit, OfExecutionState, OfName, Project, answers, takes
from xtyl_engine.api.request_models import ResumeBody, SubmissionBody
from xtyl_engine.api.response_models import Executions, Forecasts
from xtyl_engine.api.submission import submission_digest
from xtyl_engine.api.thread_pools import respond
from xtyl_engine.api.tokens import Role
from xtyl_engine.queries.pages import Page
from xtyl_engine.queries.views import Execution

PREFIX = "/api/workflows"
router = APIRouter(prefix=PREFIX, tags=["executions"])


@router.post(
    "/executions",
    status_code=201,
    responses=answers(Execution, 408, 413, status=201, also=200),
    openapi_extra=takes(SubmissionBody),
)
async def submit(request: Request, caller: Writer, app: State, key: Key = None) -> Response:
    """Submit a workflow or a stored template over rows. With a key that was used before for the same submission, the answer is
    200 and that execution."""
    data = await read_body(request, LARGE)
    return await app.pools.work(lambda: _submit(app, caller, data, key), len(data))


@router.post("/forecast", responses=answers(Forecasts, 408, 413), openapi_extra=takes(SubmissionBody))
async def forecast(request: Request, caller: Reader, app: State) -> Response:
    """The number of jobs that a submission would run for each node, and how many of them are cached. Nothing is written."""
    # A token that may only read gets a smaller share of the memory for bodies.
    data = await read_body(request, LARGE if caller.token.role.includes(Role.WRITE) else MIDDLE)
    return await app.bounded.ask(caller.token.name, "forecast", data, scope=caller.scope)


@router.get("/executions", responses=answers(Executions))
async def executions(
    caller: Reader,
    app: State,
    project_id: Project = None,
    state: OfExecutionState = None,
    name: OfName = None,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """A project's executions, newest first."""

    def read() -> Page[Execution]:
        project = app.service.project(caller.scope, project_id)
        return app.service.reader.executions(project, state=state, name=name, after=after, limit=limit)

    return await app.pools.page("executions", read)


@router.get("/executions/{id}", responses=answers(Execution))
async def execution(id: Id, caller: Reader, app: State) -> Response:
    """One execution, without its nodes and jobs."""
    return await app.pools.look(lambda: app.service.reader.of(caller.scope, id).execution)


@router.post("/executions/{id}/pause", responses=answers(Execution, 400))
async def pause(id: Id, caller: Writer, app: State) -> Response:
    """Pause: no new job starts, running jobs finish. Once this is answered, no job starts any more."""
    return await _control(app, caller, id, "pause")


@router.post(
    "/executions/{id}/resume",
    responses=answers(Execution, 400, 408, 413),
    openapi_extra=takes(ResumeBody, is_required=False),
)
async def resume(request: Request, id: Id, caller: Writer, app: State) -> Response:
    """Resume: a paused execution continues, a stopped or failed one starts again with its completed jobs kept. A body may say
    what it may spend in all."""
    data = await read_body(request)
    said = parse_as(ResumeBody, parse(data)).model_dump(exclude_none=True) if data else {}
    return await _control(app, caller, id, "resume", **said)


@router.post("/executions/{id}/stop", responses=answers(Execution, 400))
async def stop(id: Id, caller: Writer, app: State) -> Response:
    """Stop; completed jobs are kept. Once this is answered, no job starts any more."""
    return await _control(app, caller, id, "stop")


@router.post("/executions/{id}/retry", responses=answers(Execution, 400))
async def retry(id: Id, caller: Writer, app: State) -> Response:
    """Run the failed jobs, and those that depend on them, again."""
    return await _control(app, caller, id, "retry")


async def _control(app: State, caller: Caller, id: str, action: str, **said: Any) -> Response:
    def work() -> Response:
        done = app.service.control(caller.scope, id, action, caller.signed(None), **said)
        caller.note(action, id)
        return respond(done)

    return await app.pools.work(work)


def _submit(app: State, caller: Caller, data: bytes, key: str | None) -> Response:
    read = parse(data)
    body, by = parse_as(SubmissionBody, read), caller.signed(None)
    done = app.service.submit(caller.scope, body, key, submission_digest(read), by)
    caller.note("submit", done.execution.id)
    place = {"Location": f"{PREFIX}/executions/{done.execution.id}"}
    return respond(done.execution, 201 if done.is_new else 200, place)
