"""Calls a library that is asynchronous from the threads of a worker: with a bound on every wait, and a record of what went over
the wire. It knows no library and no vendor.

Each call in progress has an event loop and a client of its own, which run in the thread that waits: a loop that all threads
shared took three times as long, because each call had to change threads twice.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from xtyl_engine.limits import MAX_IMAGE_BYTES
from xtyl_engine.providers.idempotency import as_header

T = TypeVar("T")


class Closable(Protocol):
    """What holds connections."""

    async def aclose(self) -> None: ...


C = TypeVar("C", bound=Closable)
# An image in base64, and what stands around it.
MOST_BYTES = MAX_IMAGE_BYTES * 4 // 3 + 1_000_000
# As many are kept for later calls, over all vendors and keys.
MOST_IDLE = 128
CLOSE_SECONDS = 5.0
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


def hooks(stream: type) -> dict[str, list[Callable[[Any], Awaitable[None]]]]:
    """The event hooks with which an HTTP client records its exchanges; `stream` is its class of streams."""
    bounded = type("Bounded", (stream,), {"__init__": _begin, "__aiter__": _parts, "aclose": _end})

    async def receive(response: Any) -> None:
        response.stream = bounded(response.stream)
        await _receive(response)

    return {"request": [_send], "response": [receive]}


def _begin(self: Any, parts: Any) -> None:
    self.parts = parts


async def _parts(self: Any) -> AsyncIterator[bytes]:
    came = 0
    async for part in self.parts:
        came += len(part)
        if came > MOST_BYTES:
            raise ValueError(f"an answer of more than {MOST_BYTES:,} bytes")
        yield part


async def _end(self: Any) -> None:
    await self.parts.aclose()


async def _send(request: Any) -> None:
    for name in [name for name in request.headers if name.lower() not in _SENT]:
        del request.headers[name]
    # What is compressed would have no bound once it is not.
    request.headers["Accept-Encoding"] = "identity"
    exchange = _exchange.get()
    if exchange is not None and exchange.key:
        # What a server does not know it ignores; gateways in front of these vendors heed it.
        request.headers["Idempotency-Key"] = as_header(exchange.key)


async def _receive(response: Any) -> None:
    exchange = _exchange.get()
    if exchange is not None:
        exchange.status = response.status_code
        exchange.headers = {name.lower(): value for name, value in response.headers.items()}
        exchange.body = await response.aread()


class Lane(Generic[C]):
    """A client and the event loop that its connections belong to; one thread at a time uses it."""

    def __init__(self, make: Callable[[], C]):
        self.client = make()
        self._loop = asyncio.new_event_loop()

    def wait(self, call: Callable[[C], Coroutine[Any, Any, T]], exchange: Exchange, seconds: float) -> T:
        """The result of a call. Raises TimeoutError after so many seconds in all, whatever comes in meanwhile."""

        async def bounded() -> T:
            _exchange.set(exchange)
            async with asyncio.timeout(seconds):
                return await call(self.client)

        return self._run(bounded)

    def close(self) -> None:
        """End its connections."""
        with suppress(Exception):
            self._run(lambda: asyncio.wait_for(self.client.aclose(), CLOSE_SECONDS))
        self._loop.close()

    def _run(self, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._loop.run_until_complete(begin())
        # A thread that runs a loop of its own, as that of a notebook, can run no second one.
        with ThreadPoolExecutor(1) as aside:
            return aside.submit(lambda: self._loop.run_until_complete(begin())).result()


class _Idle:
    """The lanes of this process that no thread uses now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lanes: dict[tuple[str, ...], list[Lane[Any]]] = {}

    def take(self, place: tuple[str, ...]) -> Lane[Any] | None:
        with self.lock:
            waiting = self.lanes.get(place)
            return waiting.pop() if waiting else None

    def put(self, place: tuple[str, ...], lane: Lane[Any]) -> None:
        with self.lock:
            if sum(map(len, self.lanes.values())) < MOST_IDLE:
                self.lanes.setdefault(place, []).append(lane)
                return
        lane.close()


_idle = _Idle()
# Those of the process that this one was forked from, whose connections are not its own to close.
_inherited: list[_Idle] = []


def _begin_anew() -> None:
    global _idle
    _inherited.append(_idle)
    _idle = _Idle()


os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def lane(place: tuple[str, ...], make: Callable[[], C]) -> Iterator[Lane[C]]:
    """A lane that no other thread uses meanwhile: one that was made for this place before, or else a new one."""
    idle = _idle
    taken: Lane[C] = idle.take(place) or Lane(make)
    try:
        yield taken
    except Exception:
        idle.put(place, taken)
        raise
    # A call that was interrupted left its loop in the middle of something.
    idle.put(place, taken)


def close() -> None:
    """End what is idle. What is called later begins anew."""
    while _idle.lanes:
        for each in _idle.lanes.popitem()[1]:
            each.close()
