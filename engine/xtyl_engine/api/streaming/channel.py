"""The events that the listeners of one execution share: read from SQL once for all, and kept until each has taken them. A channel
sends nothing: each listener's feed takes from it at its own pace. It lives in one event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xtyl_engine.errors import RunNotFound, WorkflowException
from xtyl_engine.queries.views import Progress
from xtyl_engine.queries.wire import to_json
from xtyl_engine.states import ExecutionState

log = logging.getLogger("xtyl")
PAGE = 500
# Some eight thousand events; a listener farther behind reads from SQL, at its own pace.
BACKLOG_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One event in the bytes that are sent, and the time it was recorded."""

    sequence: int
    time: float
    text: bytes


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order, in the bytes that are sent, and the execution's progress when they were read."""

    sequence: int
    state: ExecutionState
    frames: tuple[Frame, ...]


Read = Callable[[int | None], Awaitable[EventPage]]


def make_event_page(progress: Progress) -> EventPage:
    """Turn the events that were read into bytes to send."""
    frames = tuple(
        Frame(event.sequence, event.time, f"id: {event.sequence}\ndata: {_compact(to_json(event))}\n\n".encode())
        for event in progress.events
    )
    return EventPage(progress.sequence, progress.state, frames)


def named_frame(name: str, data: Mapping[str, Any]) -> bytes:
    """A frame that is no event of the execution. It has no id, so a listener that reconnects continues after the last event."""
    return f"event: {name}\ndata: {_compact(data)}\n\n".encode()


def _compact(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"))


class Subscriber(Protocol):
    """A consumer of a channel, at its own pace: `cursor` is the number of the last event it was given."""

    cursor: int
    is_over: bool

    def wake(self) -> None:
        """Wake it: there may be something to take."""

    def cut_off(self) -> None:
        """Drop it: the events that it still has to take are kept no longer."""

    def end_with(self, error: WorkflowException) -> None:
        """End it for this reason."""


class Channel:
    """One execution's events, read as far as `position`, for its feeds. Both `read` and `replay` give the events after a number:
    `read` for all listeners, `replay` for one that has to catch up without delaying the others."""

    def __init__(self, execution_id: str, *, read: Read, replay: Read):
        self.execution_id = execution_id
        self.replay = replay
        self._read = read
        self.feeds: set[Subscriber] = set()
        self.position: int | None = None
        self.sequence = -1
        self.state: ExecutionState | None = None
        self._frames: list[Frame] = []
        self._wanted = self._seen = 0
        self._reading: asyncio.Task[None] | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def base(self) -> int:
        """The number of the event before the first that is kept."""
        return self._frames[0].sequence - 1 if self._frames else self.position or 0

    @property
    def end(self) -> tuple[ExecutionState, int] | None:
        """The execution's final state and last event, once it has ended and all its events are read."""
        is_over = self.state is not None and self.state.is_terminal and self.position == self.sequence
        return (self.state, self.sequence) if is_over and self.state is not None else None

    def after(self, sequence: int) -> Sequence[Frame]:
        """The kept events after this number; numbers have no gaps."""
        return self._frames[max(0, sequence - self.base) :]

    def look(self, sequence: int | None = None) -> None:
        """Read, unless event `sequence` was read already; without a `sequence`, read in any case."""
        if sequence is None or sequence > self.sequence:
            self._wanted += 1
            if self._reading is None:
                self._reading = asyncio.create_task(self._read_on())

    async def looked(self) -> None:
        """Read, and return after a read that began later than this call. Raises RunNotFound and BackendError."""
        self.look()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._wanted, done))
        await done

    def close(self) -> None:
        """Read no more, and release every task that waits for a read."""
        if self._reading is not None:
            self._reading.cancel()
        for _, done in self._waiting:
            done.cancel()

    async def _read_on(self) -> None:
        try:
            while self._seen < self._wanted:
                aim = self._wanted
                page = await self._read(self.position)
                self._take(page)
                if len(page.frames) < PAGE:
                    self._seen = aim
                    self._answer(aim)
        except RunNotFound as error:
            self._fail(error)
            for feed in self.feeds:
                feed.end_with(error)
        except Exception as error:
            # Current listeners need not know: the next notice, or the next second, brings another read.
            self._fail(error)
            log.warning("the events of %s could not be read: %s", self.execution_id, error)
        finally:
            self._reading = None

    def _take(self, page: EventPage) -> None:
        self.sequence, self.state = page.sequence, page.state
        if self.position is None:
            self.position = page.sequence
        if page.frames:
            self._cut_slow()
            self.drop_taken()
            self._frames += page.frames
            self.position = page.frames[-1].sequence
        for feed in self.feeds:
            feed.wake()

    def _cut_slow(self) -> None:
        base = self.base
        for feed in self._followers(base):
            if sum(len(frame.text) for frame in self.after(feed.cursor)) > BACKLOG_BYTES:
                feed.cut_off()

    def drop_taken(self) -> None:
        """Drop the events that no feed has still to take."""
        base = self.base
        taken = min((feed.cursor for feed in self._followers(base)), default=self.position or 0)
        del self._frames[: max(0, taken - base)]

    def _followers(self, base: int) -> list[Subscriber]:
        """The feeds that continue from the kept events; the others still read from SQL, or are over."""
        return [feed for feed in self.feeds if feed.cursor >= base and not feed.is_over]

    def _answer(self, aim: int) -> None:
        for _, done in [each for each in self._waiting if each[0] <= aim]:
            if not done.done():
                done.set_result(None)
        self._waiting = [each for each in self._waiting if each[0] > aim]

    def _fail(self, error: Exception) -> None:
        self._seen = self._wanted
        for _, done in self._waiting:
            if not done.done():
                done.set_exception(error)
        self._waiting.clear()
