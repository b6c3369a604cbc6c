"""Drops malformed queue entries with a warning; kombu's own transport ends the worker on them. Dropping does no harm, because
the queue carries only notifications, which may be lost.
"""

from __future__ import annotations

import logging
from queue import Empty
from typing import Any

from kombu import transport
from kombu.transport import redis

log = logging.getLogger("xtyl")
# Errors that reading JSON, or the fields of a malformed message, can raise.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class TolerantChannel(redis.Channel):  # type: ignore[misc]
    """Reads the queue, and skips malformed entries."""

    def _brpop_read(self, **options: Any) -> bool:
        try:
            return bool(super()._brpop_read(**options))
        except UNREADABLE as error:
            log.warning("a queue entry is not a notification, and is dropped: %s: %s", type(error).__name__, error)
            raise Empty from error


class TolerantTransport(redis.Transport):  # type: ignore[misc]
    """Redis, with the channel above."""

    Channel = TolerantChannel


def read_with_care() -> None:
    """Use this transport for every Redis broker of this process."""
    for name in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[name] = f"{__name__}:TolerantTransport"
