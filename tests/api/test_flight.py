"""Connections hold a bounded number of bytes together, for a bounded time: bodies sent by halves, answers that are not read, and
connections that say nothing end."""

from __future__ import annotations

import asyncio
import socket
from asyncio import Event
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.types import Message

from bench import serving_app
from xtyl_engine.api.bodies import read_body
from xtyl_engine.api.flight import CHUNK, InFlight
from xtyl_engine.api.patience import PatientProtocol, Room
from xtyl_engine.api.problems import RequestRefused

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": [(b"authorization", b"Bearer one")]}


def of(holder: str) -> dict[str, Any]:
    return {**SCOPE, "headers": [(b"authorization", holder.encode())]}


async def silent() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def nowhere(message: Message) -> None:
    pass


def test_half_sent_bodies_are_bounded_together() -> None:
    """Bodies that never end hold no more than the allowance, half of it with one token, however the
    header is spelled; what is over gives its bytes back."""
    let_go = asyncio.Event()
    refused: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await let_go.wait()

    async def sends(holder: str) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

        try:
            await flight(of(holder), receive, nowhere)
        except RequestRefused as error:
            refused.append((holder, error.status, error.code))

    flight = InFlight(app, body_bytes=10_000)

    async def test() -> None:
        sent = [
            asyncio.create_task(sends(f"{scheme} {token}"))
            for scheme, token in [("Bearer", "one"), ("bearer", "one"), ("BEARER", " one")] * 14
            + [("Bearer", "two")] * 3
        ]
        while len(refused) < 37:
            await asyncio.sleep(0)
        assert flight.bodies.total == 8_000
        assert {(holder.split()[-1], *told) for holder, *told in refused} == {("one", 503, "api/busy")}
        let_go.set()
        await asyncio.gather(*sent)
        assert flight.bodies.total == 0

    asyncio.run(test())


def test_answers_are_bounded_together() -> None:
    """An answer is held until it is sent; one too many is refused whole, as a problem, and comes again later."""
    let_go = asyncio.Event()
    sent: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 4 * CHUNK})

    async def slowly(message: Message) -> None:
        await let_go.wait()

    async def keep(message: Message) -> None:
        sent.append(message)

    async def test() -> None:
        flight = InFlight(app, answer_bytes=9 * CHUNK)
        first = asyncio.create_task(flight(of("Bearer one"), silent, slowly))
        while not flight.answers.total:
            await asyncio.sleep(0)
        await flight(of("Bearer one"), silent, keep)
        assert sent[0]["status"] == 503
        assert sum(message["type"] == "http.response.start" for message in sent) == 1
        sent.clear()
        await flight(of("Bearer other"), silent, keep)
        assert sent[0]["status"] == 200
        assert b"".join(message["body"] for message in sent[1:]) == b"x" * 4 * CHUNK
        assert [message["more_body"] for message in sent[1:]] == [True, True, True, False]
        let_go.set()
        await first
        assert flight.answers.total == 0

    asyncio.run(test())


def test_an_answer_that_nobody_reads_ends(caplog: pytest.LogCaptureFixture) -> None:
    """A client that takes nothing of its answer loses it, and the bytes come back."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 2 * CHUNK})

    async def never(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    flight = InFlight(app, stall_seconds=0.01)
    with caplog.at_level("WARNING"):
        asyncio.run(flight(of("Bearer one"), silent, never))
    assert "took nothing of its answer" in caplog.text
    assert flight.answers.total == 0


def test_a_body_that_stops_ends() -> None:
    """A body of which nothing more comes ends soon, however much of it came before and however long it may take."""

    async def half() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": b"x" * 4_000_000, "more_body": True}
        await asyncio.Event().wait()

    parts = half()
    request = Request({"type": "http", "method": "POST", "headers": []}, receive=lambda: anext(parts))
    with pytest.raises(RequestRefused, match="4,000,000 bytes") as caught:
        asyncio.run(read_body(request, 2**23, silence=0.02))
    assert caught.value.status == 408


class HastyProtocol(PatientProtocol):
    """Ends after a moment."""

    header_seconds = 0.05


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once, and does not end its answer where it is asked to hang."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    if scope["path"] == "/hang":
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await Event().wait()
    await send({"type": "http.response.body", "body": b""})


def of_at_most(most: int, protocol: type[PatientProtocol]) -> Any:
    return partial(protocol, room=Room(most))


@pytest.mark.parametrize(
    "words", [[b""], [b"GET / HTTP/1.1\r\nHost: loc"], [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HT"]]
)
def test_a_connection_without_a_request_ends(words: list[bytes]) -> None:
    """A connection that says nothing, stops within its headers, or does so after an answer, is closed by the server."""

    configuration = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", http=of_at_most(10, HastyProtocol), ws="none"
    )
    configuration.timeout_keep_alive = 3600
    with serving_app(uvicorn.Server(configuration)) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(20)
        for each in words[:-1]:
            client.sendall(each)
            assert client.recv(10_000).startswith(b"HTTP/1.1 204")
        client.sendall(words[-1])
        assert client.recv(10_000) == b""


def test_connections_are_bounded_together() -> None:
    """Of more connections than there may be, the one without a request for longest ends, and one that is being answered never
    does; with all of them at work a new one ends itself."""
    configuration = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", http=of_at_most(4, PatientProtocol), ws="none"
    )
    configuration.timeout_keep_alive = 3600
    configuration.timeout_graceful_shutdown = 0
    with serving_app(uvicorn.Server(configuration)) as port, ExitStack() as opened:

        def connected(words: bytes) -> socket.socket:
            client = opened.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            client.sendall(words)
            return client

        def asks(client: socket.socket, path: str = "/") -> bool:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            return client.recv(10_000).startswith(b"HTTP/1.1 204")

        busy = connected(b"")
        assert asks(busy, "/hang")
        idle = connected(b"")
        assert asks(idle)
        silent = [connected(b"GET / HT") for _ in range(2)]
        asked = connected(b"")
        assert asks(asked)
        assert closed(idle)
        assert asks(connected(b""))
        assert closed(silent[0])
        assert asks(asked)
        assert all(asks(connected(b""), "/hang") for _ in range(3))
        assert closed(connected(b""))
        busy.setblocking(False)
        with pytest.raises(BlockingIOError):
            busy.recv(1)


def closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True
