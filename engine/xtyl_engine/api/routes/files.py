"""Files over HTTP: uploads for submissions to refer to, and downloads of the files that an execution refers to. A download is
never a page that a browser would run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from xtyl_engine.api.auth import Reader, State, Writer
from xtyl_engine.api.bodies import LARGE, read_body
from xtyl_engine.api.parameters import Id, Project, answers
from xtyl_engine.api.problems import declared
from xtyl_engine.api.response_models import StoredFile
from xtyl_engine.api.thread_pools import ThreadPools, respond
from xtyl_engine.values.artifacts import JSON, KEY, TABLE
from xtyl_engine.values.images import LEAST_SIDE, MOST_SIDE

router = APIRouter(prefix="/api", tags=["files"])
MediaType = Annotated[str, Query(max_length=80, description="The file's media type, such as image/png or text/csv.")]
FileName = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{64}(\.[a-z0-9]{1,5})?$",
        description="The file's SHA-256 in hexadecimal, with or without an ending: <sha256> or <sha256>.png.",
    ),
]
Size = Annotated[
    int | None,
    Query(
        ge=LEAST_SIDE,
        le=MOST_SIDE,
        description="Images only: the longest side in pixels, to which the image is scaled down.",
    ),
]
# Of a file that is sent, this much at a time is in memory.
PART_BYTES = 64 * 1024
BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
SENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"*/*": BYTES}},
    **declared(401, 403, 404, 421, 422, 503),
}
TAKEN = {"requestBody": {"required": True, "content": {"application/octet-stream": BYTES}}}


@router.post("/artifacts", status_code=201, responses=answers(StoredFile, 408, 413, status=201), openapi_extra=TAKEN)
async def store(
    request: Request,
    caller: Writer,
    app: State,
    media_type: MediaType = "application/octet-stream",
    project_id: Project = None,
) -> Response:
    """Store a file for a project. Put the answer into rows or documents unchanged, receipt included."""
    # A plus sign sent without encoding arrives as a blank, and no media type has blanks.
    media_type = media_type.replace(" ", "+")
    data = await read_body(request, LARGE)

    def work() -> Response:
        stored = app.service.deposit(caller.scope, project_id, data, media_type)
        caller.note("store", str(stored[KEY]))
        return respond(stored, 201)

    return await app.pools.work(work, len(data) if media_type in (JSON, TABLE) else 0)


@router.get("/workflows/executions/{id}/artifacts/{name}", responses=SENT, response_class=Response)
async def file(id: Id, name: FileName, caller: Reader, app: State, size: Size = None) -> Response:
    """A file that the execution refers to."""
    # Finding a file may take long too: the pool of images has few threads, and keeps no other read waiting.
    found = await app.pools.picture(lambda: app.service.reader.of(caller.scope, id).file(name, size))
    shown = "inline" if found.media_type.startswith("image/") else "attachment"
    headers = {"Content-Disposition": f'{shown}; filename="{found.name}"', "Content-Length": str(found.size)}
    return StreamingResponse(_parts(app.pools, found.content), 200, headers, found.media_type)


async def _parts(pools: ThreadPools, content: BinaryIO) -> AsyncIterator[bytes]:
    with content:
        while part := await pools.run(lambda: content.read(PART_BYTES)):
            yield part
