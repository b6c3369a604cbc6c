"""The one home of Redis: live events for whoever watches. Everything here may be lost without harm: a watcher that is woken
reads SQL, and one that is not woken looks there by itself.
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
# As a broker counts them.
MEGABYTE = 2**20
POLICY = "noeviction"
STREAM_SECONDS = 24 * 3600
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
