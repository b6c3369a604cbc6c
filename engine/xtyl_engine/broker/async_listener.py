"""News of many executions at once, on two connections to Redis: one waits at the streams of all of them, the other wakes it when
an execution is added. It may fail without harm: listeners look in SQL each second anyway.
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

from xtyl_engine.broker.redis_client import ANSWERS, TIMEOUTS, holds_no_stream, stream_key

log = logging.getLogger("xtyl")
BLOCK_MILLISECONDS = 4000
AGAIN_SECONDS = 0.25
WAKE_SECONDS = 60
WAKE_PAUSE_SECONDS = 0.02
Tell = Callable[[str, int | None], None]


class News:
    """Calls `tell` with the number of each watched execution's newest event, or None where it is not known. Belongs to one event
    loop."""

    def __init__(self, url: str, tell: Tell):
        retry = Retry(NoBackoff(), 0)
        self._client: Any = redis.asyncio.Redis.from_url(url, retry=retry, **ANSWERS, **TIMEOUTS)
        self._tell = tell
        self._wake_key = f"xtyl:wake:{secrets.token_hex(8)}"
        self._places: dict[str, str] = {}
        self._unplaced: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._waking: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_silent = self._is_closed = False

    def start(self) -> None:
        """Start waiting for news."""
        self._task = asyncio.create_task(self._run())

    def watch(self, execution_id: str) -> None:
        """Report this execution from now on, and once at the start: events may have come before the watch began."""
        key = stream_key(execution_id)
        self._ids[key] = self._unplaced[key] = execution_id
        if self._waking is None:
            self._waking = asyncio.create_task(self._wake())

    def forget(self, execution_id: str) -> None:
        """Stop reporting this execution."""
        key = stream_key(execution_id)
        for known in (self._ids, self._places, self._unplaced):
            known.pop(key, None)

    async def _run(self) -> None:
        place = "0-0"
        while not self._is_closed:
            try:
                place = await self._hear(place)
            except Exception as error:
                await self._wait_out(error)

    async def _hear(self, place: str) -> str:
        """Wait for entries and report them. Returns where the stream that wakes this connection ends."""
        await self._take_places()
        asked = {self._wake_key: place, **self._places}
        try:
            found = await self._client.xread(asked, block=BLOCK_MILLISECONDS)
        except redis.ResponseError as error:
            if not holds_no_stream(error):
                raise
            # It does not say which key that is: each is asked anew.
            self._unplaced |= {key: self._ids[key] for key in self._places}
            return place
        self._is_silent = False
        for key, entries in _streams(found):
            if key == self._wake_key:
                place = entries[-1][0]
            elif key in self._places:
                self._places[key] = entries[-1][0]
                self._tell(self._ids[key], _number(key, entries[-1]))
        return place

    async def close(self) -> None:
        """Close both connections."""
        self._is_closed = True
        for task in filter(None, (self._task, self._waking)):
            # The client swallows a cancellation that arrives together with an answer, and waits on.
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=0.1)
        with contextlib.suppress(redis.RedisError):
            await self._client.aclose()

    async def _take_places(self) -> None:
        """Find where each new stream ends now, and report it once: SQL may have been read before its latest events. A key that
        holds no stream is not asked again."""
        new = list(self._unplaced)
        if not new:
            return
        async with self._client.pipeline(transaction=False) as pipe:
            for key in new:
                pipe.xrevrange(key, count=1)
            newest = await pipe.execute(raise_on_error=False)
        for error in newest:
            if isinstance(error, Exception) and not holds_no_stream(error):
                raise error
        for key, entries in zip(new, newest, strict=True):
            if (execution_id := self._unplaced.pop(key, None)) is not None:
                if holds_no_stream(entries):
                    self._places.pop(key, None)
                    log.warning("the key %s holds no stream; its listeners are served from the database", key)
                else:
                    self._places.setdefault(key, entries[0][0] if entries else "0-0")
                self._tell(execution_id, None)

    async def _wake(self) -> None:
        try:
            while self._unplaced and not self._is_closed:
                async with self._client.pipeline(transaction=False) as pipe:
                    pipe.xadd(self._wake_key, {"new": ""}, maxlen=1)
                    pipe.expire(self._wake_key, WAKE_SECONDS)
                    await pipe.execute()
                # Executions added after the others were placed, and before this task ends, still need a place.
                await asyncio.sleep(WAKE_PAUSE_SECONDS)
        except Exception as error:
            log.debug("the listening connection could not be woken: %s", error)
        finally:
            self._waking = None

    async def _wait_out(self, error: Exception) -> None:
        if not self._is_silent:
            log.warning("no news from the broker: %s; listeners are served from the database", error)
        self._is_silent = True
        await asyncio.sleep(AGAIN_SECONDS)


def _number(key: str, entry: tuple[str, Mapping[str, str]]) -> int | None:
    """The number of the event that an entry tells of; None for an entry that is none of ours, which is news all the same."""
    try:
        return int(json.loads(entry[1]["event"])["sequence"])
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        log.warning("the entry %s of %s is none of ours: %s; its listeners look in the database", entry[0], key, error)
        return None


def _streams(found: Any) -> list[tuple[str, list[tuple[str, Mapping[str, str]]]]]:
    """The answer of XREAD in one form, for both versions of the protocol."""
    if isinstance(found, dict):
        return [(key, entries[0]) for key, entries in found.items() if entries and entries[0]]
    return [(key, entries) for key, entries in found or () if entries]
