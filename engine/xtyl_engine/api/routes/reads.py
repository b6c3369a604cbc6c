"""The details of one execution over HTTP: its overview, plan, rows, jobs, prints and events. Lists of executions are in
`executions`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from xtyl_engine.api.auth import Reader, State
from xtyl_engine.api.parameters import After, Id, Item, Limit, Node, OfItem, OfNode, OfState, answers
from xtyl_engine.api.response_models import AttemptLogs, Costs, Events, Jobs, Rows, States
from xtyl_engine.api.thread_pools import LARGE_BYTES, respond, respond_page
from xtyl_engine.queries.job_detail import MAX_PAGE
from xtyl_engine.queries.views import JobDetail, JobPage, Overview
from xtyl_engine.queries.wire import to_json

router = APIRouter(prefix="/api/workflows/executions/{id}", tags=["executions"])
# A job's item, as text.
STATE_BYTES = 10
Start = Annotated[int, Query(ge=0, le=2**31 - 1, description="The number to skip.")]
Count = Annotated[int, Query(ge=1, le=MAX_PAGE, description="The most to return.")]


@router.get("/overview", responses=answers(Overview))
async def overview(id: Id, caller: Reader, app: State) -> Response:
    """The state of the execution and of each of its nodes."""
    return await app.pools.look(lambda: app.service.reader.of(caller.scope, id).overview())


@router.get("/plan", responses=answers(dict[str, Any]))
async def plan(id: Id, caller: Reader, app: State) -> Response:
    """The plan of the execution."""

    def look() -> Response:
        return Response(app.service.reader.of(caller.scope, id).plan().to_json(), media_type="application/json")

    return await app.pools.run(look)


@router.get("/rows", responses=answers(Rows))
async def rows(id: Id, caller: Reader, app: State, after: After = None, limit: Limit = 100) -> Response:
    """The rows of the execution."""
    found = await app.pools.run(lambda: app.service.reader.of(caller.scope, id))
    size = await app.pools.run(lambda: found.longest_row(after=after, limit=limit))
    if size > LARGE_BYTES:
        asked = {"scope": caller.scope, "id": id, "after": after, "limit": limit}
        return await app.bounded.ask(caller.token.name, "rows", b"", size=size, **asked)
    return await app.pools.page("rows", lambda: found.rows(after=after, limit=limit))


@router.get("/states", responses=answers(States))
async def states(id: Id, caller: Reader, app: State) -> Response:
    """The state of all its jobs at one moment. Jobs of a node in the same state share an entry; blanks separate its `items`."""

    def look() -> Response:
        return respond({"states": to_json(app.service.reader.of(caller.scope, id).states()), "next": None})

    # Pages would show several moments, so the answer is whole, and large ones are made one at a time.
    found = await app.pools.run(lambda: app.service.reader.of(caller.scope, id).execution)
    return await app.pools.work(look, found.total * STATE_BYTES)


@router.get("/jobs", responses=answers(Jobs))
async def jobs(
    id: Id,
    caller: Reader,
    app: State,
    node: OfNode = None,
    state: OfState = None,
    outputs: Annotated[bool, Query(description="Include the output of each job.")] = False,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """The jobs of the execution, ordered by node and item."""

    def look() -> Response:
        page = app.service.reader.of(caller.scope, id).jobs(
            node=node, state=state, outputs=outputs, after=after, limit=limit
        )
        values = [to_json(job) | {"output": job.output and json.loads(job.output)} for job in page.items]
        return respond_page("jobs", values, page.next)

    return await app.pools.run(look)


@router.get("/jobs/{node}/{item}", responses=answers(JobDetail))
async def job(id: Id, node: Node, item: Item, caller: Reader, app: State) -> Response:
    """One job with all its details."""
    return await app.bounded.ask(caller.token.name, "job", b"", scope=caller.scope, id=id, node=node, item=item)


@router.get("/nodes/{node}/jobs", responses=answers(JobPage))
async def node_jobs(
    id: Id,
    node: Node,
    caller: Reader,
    app: State,
    start: Start = 0,
    count: Count = 50,
    images: Annotated[bool, Query(description="Only jobs whose outputs may hold images.")] = False,
) -> Response:
    """Some jobs of a node with their details; failed ones come first, then those that wait for a person."""
    asked: dict[str, Any] = {
        "scope": caller.scope,
        "id": id,
        "node": node,
        "start": start,
        "count": count,
        "images": images,
    }
    return await app.bounded.ask(caller.token.name, "node_jobs", b"", **asked)


@router.get("/costs", responses=answers(Costs))
async def costs(id: Id, caller: Reader, app: State) -> Response:
    """What the jobs of each node used and cost so far, in whole 1e-9 US dollars."""
    return await app.pools.look(lambda: {"costs": to_json(app.service.reader.of(caller.scope, id).costs())})


@router.get("/logs", responses=answers(AttemptLogs))
async def logs(
    id: Id,
    caller: Reader,
    app: State,
    node: OfNode = None,
    item: OfItem = None,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """What the attempts at its jobs printed, up to 64 KB each, in the order of the jobs. Silent attempts are left out."""
    return await app.pools.page(
        "logs", lambda: app.service.reader.of(caller.scope, id).logs(node=node, item=item, after=after, limit=limit)
    )


@router.get("/events", responses=answers(Events))
async def events(id: Id, caller: Reader, app: State, after: After = None, limit: Limit = 1_000) -> Response:
    """The events of the execution in order. `after` is the number of the last event that the caller has."""
    return await app.pools.page(
        "events", lambda: app.service.reader.of(caller.scope, id).events(after=after, limit=limit)
    )
