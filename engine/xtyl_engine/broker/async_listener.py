"""News of many executions at once, on two connections to Redis: one waits at the streams of all of them, the other wakes it when
there is one more. Like all of Redis it may fail without harm: whoever listens looks in SQL each second anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from xtyl_engine.broker.redis_client import TIMEOUTS, stream_key

log = logging.getLogger("xtyl")
BLOCK_MILLISECONDS = 4000
AGAIN_SECONDS = 0.25
WAKE_SECONDS = 60
WAKE_PAUSE_SECONDS = 0.02
Tell = Callable[[str, int | None], None]


class News:
    """Tells how far each watched execution's events have come, or None where that is not known. Lives in one event loop."""

    def __init__(self, url: str, tell: Tell):
        retry = Retry(NoBackoff(), 0)
        self._client: Any = redis.asyncio.Redis.from_url(url, retry=retry, decode_responses=True, **TIMEOUTS)
        self._tell = tell
        self._wake_key = f"xtyl:wake:{secrets.token_hex(8)}"
        self._places: dict[str, str] = {}
        self._unplaced: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._waking: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_silent = self._is_closed = False

    def start(self) -> None:
        """Begin to wait for news."""
        self._task = asyncio.create_task(self._run())

    def watch(self, execution_id: str) -> None:
        """Tell of this execution from now on; once at first, for what may have happened until the watch began."""
        key = stream_key(execution_id)
        self._ids[key] = self._unplaced[key] = execution_id
        if self._waking is None:
            self._waking = asyncio.create_task(self._wake())

    def forget(self, execution_id: str) -> None:
        """Tell of it no more."""
        key = stream_key(execution_id)
        for known in (self._ids, self._places, self._unplaced):
            known.pop(key, None)

    async def _run(self) -> None:
        place = "0-0"
        while not self._is_closed:
            try:
                await self._take_places()
                asked = {self._wake_key: place, **self._places}
                found = await self._client.xread(asked, block=BLOCK_MILLISECONDS)
            except redis.RedisError as error:
                await self._wait_out(error)
                continue
            self._is_silent = False
            for key, entries in _streams(found):
                if key == self._wake_key:
                    place = entries[-1][0]
                elif key in self._places:
                    self._places[key] = entries[-1][0]
                    self._tell(self._ids[key], json.loads(entries[-1][1]["event"])["sequence"])

    async def close(self) -> None:
        """Give both connections back."""
        self._is_closed = True
        for task in filter(None, (self._task, self._waking)):
            # A cancellation that meets an answer is swallowed by the client, which then waits on.
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=0.1)
        with contextlib.suppress(redis.RedisError):
            await self._client.aclose()

    async def _take_places(self) -> None:
        """Find where each new stream ends now. What came before is told of, for SQL may have been read before that."""
        new = list(self._unplaced)
        if not new:
            return
        async with self._client.pipeline(transaction=False) as pipe:
            for key in new:
                pipe.xrevrange(key, count=1)
            newest = await pipe.execute()
        for key, entries in zip(new, newest, strict=True):
            if (execution_id := self._unplaced.pop(key, None)) is not None:
                self._places[key] = entries[0][0] if entries else "0-0"
                self._tell(execution_id, None)

    async def _wake(self) -> None:
        try:
            while self._unplaced and not self._is_closed:
                async with self._client.pipeline(transaction=False) as pipe:
                    pipe.xadd(self._wake_key, {"new": ""}, maxlen=1)
                    pipe.expire(self._wake_key, WAKE_SECONDS)
                    await pipe.execute()
                # Whoever came after the others were placed, and before this ended, is still to be placed.
                await asyncio.sleep(WAKE_PAUSE_SECONDS)
        except redis.RedisError as error:
            log.debug("nobody could be woken: %s", error)
        finally:
            self._waking = None

    async def _wait_out(self, error: redis.RedisError) -> None:
        if not self._is_silent:
            log.warning("no news from the broker: %s; listeners are served from the database", error)
        self._is_silent = True
        await asyncio.sleep(AGAIN_SECONDS)


def _streams(found: Any) -> list[tuple[str, list[tuple[str, Mapping[str, str]]]]]:
    """What XREAD answered, whichever version of the protocol the server speaks."""
    if isinstance(found, dict):
        return [(key, entries[0]) for key, entries in found.items() if entries and entries[0]]
    return [(key, entries) for key, entries in found or () if entries]
