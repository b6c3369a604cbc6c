"""Reviews over HTTP: the open ones, and a person's decisions. A decision is stored with the names of the person and the token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from xtyl_engine.api.auth import AppState, Caller, Reader, Reviewer, State
from xtyl_engine.api.bodies import parse, parse_as, read_body
from xtyl_engine.api.parameters import After, Id, Item, Node, answers, takes
from xtyl_engine.api.request_models import AnotherBody, ApprovalBody, DecisionBody, RejectionBody
from xtyl_engine.api.response_models import Reviews
from xtyl_engine.api.thread_pools import respond
from xtyl_engine.queries.views import Execution

router = APIRouter(prefix="/api/workflows/executions/{id}/reviews", tags=["reviews"])
Some = Annotated[int, Query(ge=1, le=200, description="The most to return.")]
DECIDED = answers(Execution, 408, 409, 413)


@router.get("", responses=answers(Reviews))
async def reviews(id: Id, caller: Reader, app: State, after: After = None, limit: Some = 50) -> Response:
    """The open reviews in order. `after` is node and item of the last one that the caller has: `pick/3`."""
    return await app.pools.page("reviews", lambda: app.service.reader.of(caller.scope, id).reviews(after, limit))


@router.post("/{node}/{item}/approve", responses=DECIDED, openapi_extra=takes(ApprovalBody))
async def approve(request: Request, id: Id, node: Node, item: Item, caller: Reviewer, app: State) -> Response:
    """Choose options. The first decision wins."""
    return await _decide(request, app, caller, (id, node, item), ApprovalBody)


@router.post("/{node}/{item}/reject", responses=DECIDED, openapi_extra=takes(RejectionBody))
async def reject(request: Request, id: Id, node: Node, item: Item, caller: Reviewer, app: State) -> Response:
    """Reject all options: the steps that depend on the review are skipped, other rows continue."""
    return await _decide(request, app, caller, (id, node, item), RejectionBody)


@router.post("/{node}/{item}/another", responses=DECIDED, openapi_extra=takes(AnotherBody))
async def another(request: Request, id: Id, node: Node, item: Item, caller: Reviewer, app: State) -> Response:
    """Request one more option before a decision."""
    return await _decide(request, app, caller, (id, node, item), AnotherBody)


async def _decide(
    request: Request,
    app: AppState,
    caller: Caller,
    at: tuple[str, str, str],
    shape: type[DecisionBody],
) -> Response:
    data = await read_body(request)

    def work() -> Response:
        body = parse_as(shape, parse(data))
        done = app.service.decide(caller.scope, *at, body, caller.signed(body.by))
        execution, node, item = at
        caller.note(body.verb, f"{execution}, {node} {item}")
        return respond(done)

    return await app.pools.work(work)
