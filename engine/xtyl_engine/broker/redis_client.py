"""Connects to Redis, and asks a broker about itself: whether it answers, and how full it is. It neither sends notifications nor
publishes events.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis

from xtyl_engine.checks import Check, place
from xtyl_engine.errors import BackendError
from xtyl_engine.server_hints import BROKER, remedy

FULL = 0.8
# As Redis counts them in its settings.
MEGABYTE = 2**20
POLICY = "noeviction"
STREAM_SECONDS = 24 * 3600
TIMEOUTS: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 5}
# Bytes that are no text, in an entry that is not ours, must not end a reading.
ANSWERS: dict[str, Any] = {"decode_responses": True, "encoding_errors": "replace"}


def connect(url: str) -> redis.Redis:
    """A client that gives up soon, and never repeats a command whose answer was lost. Raises BackendError where it cannot
    read an option."""
    with contextlib.suppress(ValueError, TypeError):
        return redis.Redis.from_url(url, retry=None, **ANSWERS, **TIMEOUTS)
    # The driver's words quote the option.
    raise BackendError(
        f"the URL of the broker at {place(url)} has an option that its driver cannot read",
        hint="Correct XTYL_REDIS_URL.",
    )


def holds_no_stream(answer: object) -> bool:
    """Whether an answer says that a key holds something else than the stream that was asked for: this key alone is of no use."""
    return isinstance(answer, redis.ResponseError) and str(answer).startswith("WRONGTYPE")


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
    """Check that a broker answers and accepts writes. Raises BackendError."""
    with _asked(url) as client:
        client.set("xtyl:check", "1", ex=5)


def examine_broker(url: str) -> Check:
    """A check that a broker answers and accepts writes; it names the broker's address. Raises BackendError."""
    check_broker(url)
    return Check(name="broker", ok=True, detail=f"{place(url)} answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerMemory:
    """How full a broker is, in bytes; a `limit` of 0 means no limit. `streams` counts the executions with live events there.
    `policy` is empty where the broker's user may not ask."""

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
    """A check that a broker has room left, and evicts nothing. Raises BackendError."""
    memory = read_memory(url)
    if not memory.policy:
        return Check(name="memory", ok=True, detail=memory.words, hint="Grant it with `ACL SETUSER … +info`.")
    hint = ""
    if memory.policy != POLICY:
        hint = f"Set maxmemory-policy to {POLICY}: a broker that evicts loses notifications silently, one by one."
    elif memory.limit and memory.used > FULL * memory.limit:
        hint = "Raise its maxmemory, or remove other data there. Full, it takes no notifications: runs wait, and lose nothing."
    advice = "" if memory.limit else "Set maxmemory, or it may take all memory there is; 256 MB is plenty."
    return Check(name="memory", ok=not hint, detail=memory.words, hint=hint or advice)


def stream_key(execution_id: str) -> str:
    return f"xtyl:events:{execution_id}"
