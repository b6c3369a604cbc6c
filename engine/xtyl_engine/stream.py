"""The one home of Redis: live events for whoever watches. Everything here may be lost without harm: a watcher that is woken
reads SQL, and one that is not woken looks there by itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis

from xtyl_engine.checks import Check, place
from xtyl_engine.errors import BackendError
from xtyl_engine.events import Event
from xtyl_engine.server_hints import BROKER, remedy

log = logging.getLogger("xtyl")
FULL = 0.8
# As a broker counts them.
MEGABYTE = 2**20
POLICY = "noeviction"
KEEP_EVENTS = 10_000
STREAM_SECONDS = 24 * 3600
GATHER_SECONDS = 0.02
TIMEOUTS: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 5}


def connect(url: str) -> redis.Redis:
    """A client that gives up soon rather than repeat a command whose answer was lost."""
    return redis.Redis.from_url(url, retry=None, decode_responses=True, **TIMEOUTS)


@contextlib.contextmanager
def _asked(url: str) -> Iterator[redis.Redis]:
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    try:
        with connect(url) as client:
            yield client
    except redis.RedisError as error:
        words = str(error).rstrip(".") or type(error).__name__
        raise BackendError(f"the broker at {where} answered: {words}", hint=remedy(words, BROKER)) from error


def check_broker(url: str) -> None:
    """See that a broker answers and takes what is written. Raises BackendError."""
    with _asked(url) as client:
        client.set("xtyl:check", "1", ex=5)


def examine_broker(url: str) -> Check:
    """Where a broker is that answers and takes what is written. Raises BackendError."""
    check_broker(url)
    return Check(name="broker", ok=True, detail=f"{place(url)} answers")


def forget_streams(url: str, execution_ids: Sequence[str]) -> None:
    """Drop executions' live events. Where that cannot be, they go by themselves within a day."""
    if execution_ids:
        with contextlib.suppress(redis.RedisError), connect(url) as client:
            client.unlink(*map(stream_key, execution_ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerMemory:
    """How full a broker is, in bytes; a `limit` of 0 is none. `streams` is how many executions have live events there. A
    broker whose user may not ask has no `policy`."""

    used: int = 0
    limit: int = 0
    policy: str = ""
    streams: int = 0

    @property
    def words(self) -> str:
        if not self.policy:
            return "not known: the broker does not tell this user"
        used = f"{self.used / MEGABYTE:,.1f} MB"
        limit = (
            f"of {self.limit / MEGABYTE:,.0f} MB ({self.used / self.limit:.0%})" if self.limit else "without a limit"
        )
        return f"{used} {limit}, policy {self.policy}"


def read_memory(url: str) -> BrokerMemory:
    """Ask a broker how full it is. Raises BackendError."""
    with _asked(url) as client:
        streams = sum(1 for _ in client.scan_iter(match=stream_key("*"), count=1000))
        try:
            info: dict[str, Any] = client.info("memory")
        except redis.exceptions.NoPermissionError:
            return BrokerMemory(streams=streams)
    used, limit = int(info["used_memory"]), int(info.get("maxmemory", 0))
    return BrokerMemory(used=used, limit=limit, policy=str(info.get("maxmemory_policy", "")), streams=streams)


def check_memory(url: str) -> Check:
    """Whether a broker has room, and keeps what it was given. Raises BackendError."""
    memory = read_memory(url)
    if not memory.policy:
        return Check(name="memory", ok=True, detail=memory.words, hint="Grant it: ACL SETUSER … +info.")
    hint = ""
    if memory.policy != POLICY:
        hint = f"Set maxmemory-policy to {POLICY}: a broker that evicts loses hints one by one, and silently."
    elif memory.limit and memory.used > FULL * memory.limit:
        hint = "Raise its maxmemory, or remove what others keep there. Full, it takes no hints: runs wait, and lose nothing."
    advice = "" if memory.limit else "It may take all memory there is: set maxmemory, 256 MB is plenty."
    return Check(name="memory", ok=not hint, detail=memory.words, hint=hint or advice)


def stream_key(execution_id: str) -> str:
    return f"xtyl:events:{execution_id}"


class Publisher:
    """Sends committed events to their streams from a thread of its own, so that no commit waits for Redis."""

    def __init__(self, url: str):
        self._client = connect(url)
        self._queue: queue.SimpleQueue[Sequence[Event] | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def publish(self, events: Sequence[Event]) -> None:
        """Hand events over; returns at once."""
        if events:
            self._queue.put(events)
            self._start()

    def close(self) -> None:
        """Send what is left, then end."""
        self._ended.set()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._client.close()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, name="xtyl-publisher", daemon=True)
                self._thread.start()

    def _send_all(self) -> None:
        while (batch := self._queue.get()) is not None:
            self._send([*batch, *self._gathered()])
            # A watcher cannot tell milliseconds apart, and a busy worker has better use for its processor.
            # Gathering may have taken the mark of the end along, so the end is looked for here too.
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
        """One entry per execution says how far its events have come; the facts themselves are in SQL."""
        latest = {event.execution_id: event for event in events}
        if not latest:
            return
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for execution_id, event in latest.items():
                    entry = json.dumps({"sequence": event.sequence, "kind": str(event.kind)})
                    pipe.xadd(stream_key(execution_id), {"event": entry}, maxlen=KEEP_EVENTS, approximate=True)
                    # With every entry: the last one may never be sent, and no stream is to outlive its day.
                    pipe.expire(stream_key(execution_id), STREAM_SECONDS)
                pipe.execute()
        except redis.RedisError as error:
            log.warning("live events could not be sent: %s; watchers look in the database", error)


class Listener:
    """Waits for news of executions. Threads may share it: each waits on a connection of its own, and gives it back."""

    def __init__(self, url: str):
        self._client = connect(url)

    def place(self, execution_id: str) -> str:
        """Where an execution's news end now. Ask before looking in SQL: an event after the look then ends the wait."""
        with contextlib.suppress(redis.RedisError):
            if newest := self._client.xrevrange(stream_key(execution_id), count=1):
                return str(newest[0][0])
        return "0-0"

    def wait(self, execution_id: str, place: str, seconds: float) -> None:
        """Block until there is news behind this place, or for `seconds`, four at most; for a moment if Redis is away."""
        try:
            self._client.xread({stream_key(execution_id): place}, block=max(1, int(min(seconds, 4.0) * 1000)))
        except redis.RedisError:
            threading.Event().wait(min(seconds, 0.25))

    def close(self) -> None:
        """Close what is not in use; a thread that still waits is not disturbed."""
        self._client.connection_pool.disconnect(inuse_connections=False)
