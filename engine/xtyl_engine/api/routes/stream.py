"""An execution's events as Server-Sent Events: each has its number as id, so a listener that was cut off continues with the next
one. The Feed decides what is sent; this module sends it over one connection, which may be slow, stuck or gone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from starlette.types import Receive, Scope, Send

from xtyl_engine.api.auth import Reader, State
from xtyl_engine.api.parameters import ALWAYS, Id
from xtyl_engine.api.problems import declared
from xtyl_engine.api.streaming.broadcaster import Broadcaster
from xtyl_engine.api.streaming.subscriber import Feed

log = logging.getLogger("xtyl")
STALL_SECONDS = 30.0
# A proxy must neither delay events nor cache them.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
WORDS = """Events as they happen, each a frame with its number as `id` and an Event as `data`; then `event: done` with `state` and
`sequence`. `event: error` with a problem ends it too. Comments keep it alive."""
TOLD_ALL = """The execution is over and the listener, as its `Last-Event-ID` says, has had every event: an EventSource that gets
this does not come back."""
FRAME = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"type": "string", "enum": ["message", "done", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
TOLD: dict[int | str, dict[str, Any]] = {
    200: {"description": WORDS, "content": {"text/event-stream": {"schema": FRAME}}},
    204: {"description": TOLD_ALL},
    **declared(*ALWAYS),
}
router = APIRouter(prefix="/api/workflows/executions/{id}", tags=["executions"])


class EventStream(Response):
    """An answer that lasts until the execution is over, the listener is gone, or the listener is stuck."""

    media_type = "text/event-stream"

    def __init__(self, hub: Broadcaster, feed: Feed):
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._hub, self._feed = hub, feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(self._note_end(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            # What limits answers holds a start until the first bytes, and a quiet run has none for long.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            while (found := await self._feed.next()) is not None:
                async with asyncio.timeout(STALL_SECONDS):
                    await send({"type": "http.response.body", "body": found, "more_body": True})
            async with asyncio.timeout(STALL_SECONDS):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            # It has not taken the earlier bytes, so a closing message could not reach it either.
            log.warning("a listener of %s took nothing for %g s", self._feed.channel.execution_id, STALL_SECONDS)
            self._feed.cut_off()
        finally:
            gone.cancel()
            self._hub.leave(self._feed)

    async def _note_end(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._hub.leave(self._feed)


@router.get("/stream", response_class=Response, responses=TOLD)
async def stream(
    id: Id,
    caller: Reader,
    app: State,
    after: Annotated[int, Query(ge=0, description="The number of the last event that the caller has.")] = 0,
    last: Annotated[
        int | None,
        Header(ge=0, alias="Last-Event-ID", description="The same number, as a browser sends it; it takes precedence."),
    ] = None,
) -> Response:
    """The events of the execution as they happen, until it is over. One that comes back after its end gets 204."""
    await app.pools.run(lambda: app.service.reader.of(caller.scope, id))
    feed = await app.hub.open(
        id, after if last is None else last, credential=caller.token, still_valid=caller.still_valid
    )
    if last is not None and feed.is_told(last):
        # A browser comes back for ever after an answer with 200, and only this one ends that.
        app.hub.leave(feed)
        return Response(status_code=204, headers=HEADERS)
    return EventStream(app.hub, feed)
