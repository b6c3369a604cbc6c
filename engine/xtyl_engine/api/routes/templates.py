"""Templates over HTTP: store a workflow under its name, list the stored ones, read one. Running one is in `executions`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from xtyl_engine.api.auth import Caller, Reader, State, Writer
from xtyl_engine.api.bodies import LARGE, parse, parse_as, read_body
from xtyl_engine.api.parameters import After, Limit, Name, Project, Version, answers, takes
from xtyl_engine.api.request_models import TemplateBody
from xtyl_engine.api.response_models import Templates, TemplateWithWorkflow
from xtyl_engine.api.thread_pools import respond
from xtyl_engine.queries.pages import Page
from xtyl_engine.queries.wire import to_json
from xtyl_engine.scheduler.templates import Template

# A name may hold slashes: the route of the versions comes first, or `/versions` would count as a part of the name.
router = APIRouter(prefix="/api/workflows/templates", tags=["templates"])


@router.get("", responses=answers(Templates))
async def templates(
    caller: Reader, app: State, project_id: Project = None, after: After = None, limit: Limit = 100
) -> Response:
    """The newest version of each template of a project, by name."""

    def read() -> Page[Template]:
        project = app.service.project(caller.scope, project_id)
        return app.service.reader.templates(project, after, limit)

    return await app.pools.page("templates", read)


@router.post(
    "",
    status_code=201,
    responses=answers(Template, 408, 413, status=201, also=200),
    openapi_extra=takes(TemplateBody),
)
async def keep(request: Request, caller: Writer, app: State) -> Response:
    """Store a workflow as the next version of its name, or answer 200 with the version that holds it already."""
    data = await read_body(request, LARGE)
    return await app.pools.work(lambda: _keep(app, caller, data), len(data))


@router.get("/{name:path}/versions", responses=answers(Templates))
async def versions(
    name: Name, caller: Reader, app: State, project_id: Project = None, after: After = None, limit: Limit = 100
) -> Response:
    """The versions of a template, newest first."""

    def read() -> Page[Template]:
        project = app.service.project(caller.scope, project_id)
        return app.service.reader.template_versions(project, name, after, limit)

    return await app.pools.page("templates", read)


@router.get("/{name:path}", responses=answers(TemplateWithWorkflow))
async def template(
    name: Name, caller: Reader, app: State, project_id: Project = None, version: Version = None
) -> Response:
    """One version of a template, by default the newest, with its workflow's document."""

    def look() -> dict[str, Any]:
        service = app.service
        found = service.reader.template(service.project(caller.scope, project_id), name, version)
        return {**to_json(found), "workflow": service.reader.template_plan(found).document.to_dict()}

    return await app.pools.look(look)


def _keep(app: State, caller: Caller, data: bytes) -> Response:
    body = parse_as(TemplateBody, parse(data))
    kept, is_new = app.service.keep_template(caller.scope, body.project_id, body.workflow)
    caller.note("keep", f"{kept.name!r} {kept.version} of {kept.project}")
    return respond(to_json(kept), 201 if is_new else 200)
