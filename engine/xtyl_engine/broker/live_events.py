"""Live events in Redis streams: a publisher, and a listener that blocks. A stream only says that something new is in SQL; a lost
entry does no harm, because watchers also look in SQL at intervals.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
from collections.abc import Mapping, Sequence

import redis

from xtyl_engine.broker.redis_client import STREAM_SECONDS, connect, holds_no_stream, stream_key
from xtyl_engine.events import Event

log = logging.getLogger("xtyl")


KEEP_EVENTS = 10_000


GATHER_SECONDS = 0.02


def forget_streams(url: str, execution_ids: Sequence[str]) -> None:
    """Drop executions' live events. Where Redis is away, they expire within a day."""
    if execution_ids:
        with contextlib.suppress(redis.RedisError), connect(url) as client:
            client.unlink(*map(stream_key, execution_ids))


class Publisher:
    """Sends committed events to their streams from a thread of its own, so that no commit waits for Redis."""

    def __init__(self, url: str):
        self._client = connect(url)
        self._queue: queue.SimpleQueue[Sequence[Event] | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._spoilt: set[str] = set()

    def publish(self, events: Sequence[Event]) -> None:
        """Hand events over; returns at once."""
        if events:
            self._queue.put(events)
            self._start()

    def close(self) -> None:
        """Send the remaining events, then end."""
        self._ended.set()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._client.close()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._send_all, name="xtyl-publisher", daemon=True)
                self._thread.start()

    def _send_all(self) -> None:
        while (batch := self._queue.get()) is not None:
            self._send([*batch, *self._gathered()])
            # Watchers cannot tell milliseconds apart, so events are sent in batches, which leaves a busy worker its processor.
            # Gathering may have consumed the end mark, so the end is checked here too.
            if self._ended.wait(GATHER_SECONDS):
                break
        self._send(self._gathered())

    def _gathered(self) -> list[Event]:
        events: list[Event] = []
        with contextlib.suppress(queue.Empty):
            while True:
                events += self._queue.get_nowait() or ()
        return events

    def _send(self, events: Sequence[Event]) -> None:
        """Send one entry per execution with the number of its newest event; the events themselves are in SQL."""
        latest = {event.execution_id: event for event in events}
        if not latest:
            return
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for execution_id, event in latest.items():
                    entry = json.dumps({"sequence": event.sequence, "kind": str(event.kind)})
                    pipe.xadd(stream_key(execution_id), {"event": entry}, maxlen=KEEP_EVENTS, approximate=True)
                    # With every entry: the last one may never be sent, and each stream expires after a day.
                    pipe.expire(stream_key(execution_id), STREAM_SECONDS)
                answers = pipe.execute(raise_on_error=False)
            self._note(dict(zip(map(stream_key, latest), answers[::2], strict=True)))
        except Exception as error:
            log.warning("live events could not be sent: %s; watchers look in the database", error)

    def _note(self, answers: Mapping[str, object]) -> None:
        """Raise the error of an answer, unless it is that its key holds no stream: say so once, the others have arrived."""
        for key, answer in answers.items():
            if holds_no_stream(answer):
                if key not in self._spoilt:
                    log.warning("the key %s holds no stream; its watchers look in the database", key)
                self._spoilt.add(key)
            elif isinstance(answer, Exception):
                raise answer


class Listener:
    """Waits for news of executions. Threads may share it: each waits on its own connection from the pool."""

    def __init__(self, url: str):
        self._client = connect(url)

    def place(self, execution_id: str) -> str:
        """The end of an execution's stream now. Ask for it before reading SQL: an event after that reading then ends the wait."""
        with contextlib.suppress(redis.RedisError):
            if newest := self._client.xrevrange(stream_key(execution_id), count=1):
                return str(newest[0][0])
        return "0-0"

    def wait(self, execution_id: str, place: str, seconds: float) -> None:
        """Block until there is news after this place, or for `seconds`, at most 4; at most 0.25 s if Redis is away."""
        try:
            self._client.xread({stream_key(execution_id): place}, block=max(1, int(min(seconds, 4.0) * 1000)))
        except redis.RedisError:
            threading.Event().wait(min(seconds, 0.25))

    def close(self) -> None:
        """Close the idle connections; a thread that still waits is not disturbed."""
        self._client.connection_pool.disconnect(inuse_connections=False)
