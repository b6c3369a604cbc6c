"""ASGI middleware that bounds the bytes of bodies and answers in memory, over all connections and for one token, and ends
answers of which nothing is read. What one body may be is in `bodies`.
"""

from __future__ import annotations

import asyncio
import logging

from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xtyl_engine.api.allowance import Allowance
from xtyl_engine.api.problems import RequestRefused, answer, problem_of

log = logging.getLogger("xtyl")
MOST_BODY_BYTES = 256 * 1024 * 1024
MOST_ANSWER_BYTES = 256 * 1024 * 1024
CHUNK = 256 * 1024
STALL_SECONDS = 30.0


class InFlight:
    """An ASGI app around another. A request holds its body until it is answered, and its answer until that is sent."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_bytes: int = MOST_BODY_BYTES,
        answer_bytes: int = MOST_ANSWER_BYTES,
        stall_seconds: float = STALL_SECONDS,
    ):
        self._app = app
        self.bodies = Allowance(body_bytes, of="bytes of bodies at a time")
        self.answers = Allowance(answer_bytes, of="bytes of answers at a time")
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # As the check of tokens reads it, which no body is read before: one token has one name, however its scheme is spelled.
        _, token = get_authorization_scheme_param(Headers(scope=scope).get("authorization"))
        holder, held = token.strip(), 0

        async def receiving() -> Message:
            nonlocal held
            message = await receive()
            if size := len(message.get("body", b"")):
                self.bodies.take(holder, size)
                held += size
            return message

        try:
            await self._app(scope, receiving, _Sender(self.answers, holder, scope, receive, send, self._stall_seconds))
        except TimeoutError:
            # uvicorn closes a connection whose answer is not whole.
            log.warning("a client took nothing of its answer for %g s", self._stall_seconds)
        finally:
            self.bodies.give(holder, held)


class _Sender:
    """Sends one answer in parts, each when the one before has left. Its start waits for the first part, whose size may be too
    much."""

    def __init__(
        self, answers: Allowance, holder: str, scope: Scope, receive: Receive, send: Send, stall_seconds: float
    ):
        self._answers = answers
        self._holder = holder
        self._request = scope, receive
        self._send = send
        self._stall_seconds = stall_seconds
        self._start: Message | None = None
        self._is_refused = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        body = message.get("body", b"")
        if self._is_refused:
            return
        if len(body) <= CHUNK:
            await self._begun()
            await self._timed(message)
            return
        try:
            self._answers.take(self._holder, len(body))
        except RequestRefused as error:
            if self._start is None:
                raise
            self._is_refused = True
            await answer(problem_of(error))(*self._request, self._send)
            return
        try:
            await self._begun()
            for at in range(0, len(body), CHUNK):
                is_more = at + CHUNK < len(body) or message.get("more_body", False)
                await self._timed({**message, "body": body[at : at + CHUNK], "more_body": is_more})
        finally:
            self._answers.give(self._holder, len(body))

    async def _begun(self) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)

    async def _timed(self, message: Message) -> None:
        async with asyncio.timeout(self._stall_seconds):
            await self._send(message)
