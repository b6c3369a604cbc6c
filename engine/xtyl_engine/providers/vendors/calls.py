"""Calls a library that is asynchronous from the threads of a worker: one event loop in a thread of its own, a bound on every
wait, and a record of what went over the wire. It knows no library and no vendor.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")


class Closable(Protocol):
    """What holds connections."""

    async def aclose(self) -> None: ...


C = TypeVar("C", bound=Closable)
# The loop ends a call in time by itself; longer than this it is asked only if it does not run at all.
GRACE_SECONDS = 5.0
# What these protocols need. The libraries add facts about this machine, and headers of this process's environment.
_OF_HTTP = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
_OF_VENDORS = {"authorization", "x-api-key", "x-goog-api-key", "anthropic-version", "anthropic-beta", "idempotency-key"}
_SENT = _OF_HTTP | _OF_VENDORS


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and what came back: no library keeps all of it. `status` is None while nothing came."""

    key: str = ""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


_exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def hooks() -> dict[str, list[Callable[[Any], Awaitable[None]]]]:
    """The event hooks with which an HTTP client records its exchanges."""
    return {"request": [_send], "response": [_receive]}


async def _send(request: Any) -> None:
    for name in [name for name in request.headers if name.lower() not in _SENT]:
        del request.headers[name]
    exchange = _exchange.get()
    if exchange is not None and exchange.key:
        # What a server does not know it ignores; gateways in front of these vendors heed it.
        request.headers["Idempotency-Key"] = exchange.key


async def _receive(response: Any) -> None:
    exchange = _exchange.get()
    if exchange is not None:
        exchange.status = response.status_code
        exchange.headers = {name.lower(): value for name, value in response.headers.items()}
        exchange.body = await response.aread()


class _Process:
    """The loop of this process, and the clients that belong to it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made: dict[tuple[str, ...], Closable] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        with self.lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="xtyl-vendors", daemon=True)
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        if self._loop is not None and self._thread is not None:
            for client in self.made.values():
                asyncio.run_coroutine_threadsafe(client.aclose(), self._loop).result(GRACE_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


_process = _Process()


def _begin_anew() -> None:
    # A forked child has neither the thread of the loop nor the connections.
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=_begin_anew)


def pooled(place: tuple[str, ...], make: Callable[[], C]) -> C:
    """What was made for this place before, or else now: making a client takes tens of milliseconds, and it pools connections."""
    process = _process
    with process.lock:
        if place not in process.made:
            process.made[place] = make()
        return cast(C, process.made[place])


def wait(call: Callable[[], Coroutine[Any, Any, T]], exchange: Exchange, seconds: float) -> T:
    """The result of a call that is made on the loop. Raises TimeoutError after so many seconds in all, whatever comes in
    meanwhile."""

    async def bounded() -> T:
        _exchange.set(exchange)
        async with asyncio.timeout(seconds):
            return await call()

    future = asyncio.run_coroutine_threadsafe(bounded(), _process.loop)
    try:
        return future.result(seconds + GRACE_SECONDS)
    finally:
        future.cancel()


def close() -> None:
    """End the loop of this process and its connections. What is called later begins anew."""
    ended = _process
    _begin_anew()
    ended.stop()
