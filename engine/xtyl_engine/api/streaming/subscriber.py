"""The events that one listener still has to get: first those in SQL after the last event it has seen, then those that its channel
reads, without a gap and without repeats. It sends nothing: the route asks for the next bytes once the last ones are sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

from xtyl_engine.api.streaming.channel import Channel, Frame, named_frame
from xtyl_engine.errors import RunNotFound, StreamTooSlow, WorkflowException

KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
Describe = Callable[[WorkflowException], Mapping[str, Any]]


class Counts(Protocol):
    """A counter of what happens to listeners; `ApiMetrics` is one."""

    def observe_lag(self, seconds: float) -> None: ...

    def cut_off(self) -> None: ...


class Feed:
    """One listener's feed. `cursor` is the number of the last event it was given; the hub calls `still_valid` once for all feeds
    with the same `credential`. `describe` puts an error into the words that are sent."""

    def __init__(
        self,
        channel: Channel,
        cursor: int,
        *,
        describe: Describe,
        counts: Counts | None = None,
        credential: Hashable = None,
        still_valid: Callable[[], bool] | None = None,
    ):
        self.channel = channel
        self.cursor = cursor
        self.credential = credential
        self.still_valid = still_valid
        self.is_over = False
        self._describe = describe
        self._counts = counts
        self._last: bytes | None = None
        self._news: asyncio.Future[None] | None = None
        self._spoke = time.monotonic()
        self._sending_since: float | None = None

    async def next(self) -> bytes | None:
        """The next bytes to send, as soon as there are any; None after the last."""
        self._observe()
        while True:
            found = await self._found()
            if found or self.is_over:
                self._spoke = time.monotonic()
                return found or None
            self._news = asyncio.get_running_loop().create_future()
            await self._news

    def is_told(self, sequence: int) -> bool:
        """Whether the execution is over, and its last event has no higher number than this."""
        return self.channel.end is not None and self.channel.end[1] <= sequence

    def wake(self) -> None:
        """Wake it: there may be something to send."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def remind(self, now: float) -> None:
        """Wake it if it has been silent for too long."""
        if now - self._spoke >= KEEP_ALIVE_SECONDS:
            self.wake()

    def end_with(self, error: WorkflowException) -> None:
        """End, and tell the listener why."""
        self.end(named_frame("error", self._describe(error)))

    def end(self, last: bytes = b"") -> None:
        """End with these bytes; the rest of the channel is not sent."""
        if not self.is_over:
            self.is_over = True
            self._last = last
            self.wake()

    def cut_off(self) -> None:
        """End because the listener does not keep up."""
        if self._counts is not None and not self.is_over:
            self._counts.cut_off()
        self.end_with(
            StreamTooSlow(
                f"events of {self.channel.execution_id} come faster than this listener takes them",
                hint="Connect again with the last id that arrived: nothing is lost.",
            )
        )

    async def _found(self) -> bytes:
        if self._last is not None:
            last, self._last = self._last, b""
            return last
        if self.cursor < self.channel.base:
            return await self._replay()
        if frames := self.channel.after(self.cursor):
            self._sending_since = frames[0].time
            return self._give(frames)
        if done := self._done():
            return done
        return KEEP_ALIVE if time.monotonic() - self._spoke >= KEEP_ALIVE_SECONDS else b""

    async def _replay(self) -> bytes:
        try:
            page = await self.channel.replay(self.cursor)
        except WorkflowException as error:
            self.end_with(error)
            return b""
        if not page.frames and not self.is_over:
            self.end_with(RunNotFound(f"the events of {self.channel.execution_id} were removed"))
        return self._give(page.frames) if page.frames else b""

    def _give(self, frames: Sequence[Frame]) -> bytes:
        """These events, and `done` with the last of them: a listener that has the last number is not told again."""
        self.cursor = frames[-1].sequence
        return b"".join(frame.text for frame in frames) + self._done()

    def _done(self) -> bytes:
        """The last frame, which ends the feed, once every event is given; before that nothing."""
        if self.is_over or self.channel.end is None or self.channel.end[1] != self.cursor:
            return b""
        state, sequence = self.channel.end
        self.end()
        return named_frame("done", {"state": str(state), "sequence": sequence})

    def _observe(self) -> None:
        """Note the time from recording to sending of the bytes that were given last."""
        if self._sending_since is not None and self._counts is not None:
            self._counts.observe_lag(time.time() - self._sending_since)
        self._sending_since = None
