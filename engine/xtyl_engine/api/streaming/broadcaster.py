"""All listeners of all executions, once for each process that serves event streams. Events come from SQL, read once for each
execution and notice; Redis only says when to read, and a look each second finds what Redis misses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from xtyl_engine.api.streaming.channel import PAGE, Channel, EventPage, make_event_page
from xtyl_engine.api.streaming.subscriber import Counts, Describe, Feed
from xtyl_engine.broker.async_listener import News
from xtyl_engine.errors import TooManyStreams, WorkflowException
from xtyl_engine.queries.executions import Queries

log = logging.getLogger("xtyl")
T = TypeVar("T")
STANDINGS_SECONDS = 1.0
TOKENS_SECONDS = 3.0
LIVE_THREADS = 4
REPLAY_THREADS = 4
# The share of all streams that one credential may hold, so that a program that opens too many takes none from others.
SHARES = 4


class Broadcaster:
    """The listeners of one process. Call `start` in the event loop that serves, `close` before it ends. `refuse` makes the error
    for a listener whose token is no longer valid."""

    def __init__(
        self,
        queries: Queries,
        redis_url: str | None,
        *,
        describe: Describe,
        refuse: Callable[[], WorkflowException],
        counts: Counts | None = None,
        limit: int = 1000,
    ):
        self._queries = queries
        self._redis_url = redis_url
        self._describe, self._refuse, self._counts = describe, refuse, counts
        self._limit = limit
        self._channels: dict[str, Channel] = {}
        self._feeds: set[Feed] = set()
        self._live = ThreadPoolExecutor(LIVE_THREADS, "xtyl-live")
        self._replays = ThreadPoolExecutor(REPLAY_THREADS, "xtyl-replay")
        self._news: News | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_ending = False

    def __len__(self) -> int:
        """The number of listeners."""
        return len(self._feeds)

    async def start(self) -> None:
        """Begin to look for new events."""
        self._tasks = [
            asyncio.create_task(_repeat(self._look, STANDINGS_SECONDS)),
            asyncio.create_task(_repeat(self._ask_for_tokens, TOKENS_SECONDS)),
        ]
        if self._redis_url is not None:
            self._news = News(self._redis_url, self._heard)
            self._news.start()

    async def open(
        self,
        execution_id: str,
        after: int = 0,
        *,
        credential: Hashable = None,
        still_valid: Callable[[], bool] | None = None,
    ) -> Feed:
        """A listener's feed, from the event after number `after`; a number beyond the last event counts as the last. Return it
        with `leave`. Raises TooManyStreams, RunNotFound and BackendError."""
        self._refuse_too_many(credential)
        feed = Feed(
            self._channel(execution_id),
            max(0, after),
            describe=self._describe,
            counts=self._counts,
            credential=credential,
            still_valid=still_valid,
        )
        self._feeds.add(feed)
        feed.channel.feeds.add(feed)
        try:
            # A read that begins now includes every event that this listener may have seen elsewhere.
            await feed.channel.looked()
        except BaseException:
            self.leave(feed)
            raise
        feed.cursor = min(feed.cursor, feed.channel.position or 0)
        return feed

    def leave(self, feed: Feed) -> None:
        """Release the feed of a listener that is gone or has everything. A second call does nothing."""
        feed.end()
        self._feeds.discard(feed)
        channel = feed.channel
        channel.feeds.discard(feed)
        if not channel.feeds and self._channels.get(channel.execution_id) is channel:
            self._channels.pop(channel.execution_id).close()
            if self._news is not None:
                self._news.forget(channel.execution_id)

    def end_streams(self) -> None:
        """End every stream and open no new one; the listeners connect again, to another process or later."""
        self._is_ending = True
        for feed in list(self._feeds):
            feed.end()

    async def close(self) -> None:
        """End everything."""
        self.end_streams()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._news is not None:
            await self._news.close()
        for channel in self._channels.values():
            channel.close()
        for pool in (self._live, self._replays):
            # Reads in progress return their connections first.
            await asyncio.to_thread(pool.shutdown)

    def _refuse_too_many(self, credential: Hashable) -> None:
        if self._is_ending:
            raise TooManyStreams("this server is about to end", hint="Connect again in a moment.")
        if len(self._feeds) >= self._limit:
            raise TooManyStreams(
                f"{self._limit:,} event streams are open here, and no more are allowed",
                hint="Close one, connect again later, or raise XTYL_API_STREAMS.",
            )
        share = max(1, self._limit // SHARES)
        if credential is not None and sum(feed.credential == credential for feed in self._feeds) >= share:
            raise TooManyStreams(
                f"this token has {share:,} event streams open, and no more are allowed",
                hint="Close one, use another token, or raise XTYL_API_STREAMS: a token has a quarter of it.",
            )

    def _channel(self, execution_id: str) -> Channel:
        if execution_id not in self._channels:
            self._channels[execution_id] = Channel(
                execution_id,
                read=partial(self._page, self._live, execution_id),
                replay=partial(self._page, self._replays, execution_id),
            )
            if self._news is not None:
                self._news.watch(execution_id)
        return self._channels[execution_id]

    def _heard(self, execution_id: str, sequence: int | None) -> None:
        if execution_id in self._channels:
            self._channels[execution_id].look(sequence)

    async def _page(self, pool: Executor, execution_id: str, after: int | None) -> EventPage:
        return await self._asked(pool, lambda: make_event_page(self._queries.progress(execution_id, after, PAGE)))

    async def _asked(self, pool: Executor, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, question)

    async def _look(self) -> None:
        """Find the executions that changed, with one query for all channels, even where Redis sent no notice."""
        now = time.monotonic()
        for feed in self._feeds:
            feed.remind(now)
        if not self._channels:
            return
        try:
            found = await self._asked(self._live, partial(self._queries.standings, list(self._channels)))
        except Exception as error:
            log.warning("listeners get no new events: %s", error)
            return
        for execution_id, channel in list(self._channels.items()):
            channel.drop_taken()
            if found.get(execution_id) != (channel.sequence, channel.state):
                channel.look()

    async def _ask_for_tokens(self) -> None:
        asked = {feed.credential: feed.still_valid for feed in self._feeds if feed.still_valid is not None}
        for credential, still_valid in asked.items():
            try:
                # Separate, so that it does not wait for a database that does not answer.
                is_valid = await asyncio.to_thread(still_valid)
            except Exception as error:
                log.warning("cannot check whether a token is still valid: %s", error)
                continue
            for feed in [feed for feed in self._feeds if feed.credential == credential and not is_valid]:
                feed.end_with(self._refuse())


async def _repeat(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do this work for ever, a pause before each time; a failure is logged, and ends nothing."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:
            log.exception("event streams: a look failed, the next one comes")
