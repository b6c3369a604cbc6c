"""The broker's transport for workers: what is in the queue and is no message is dropped with a word, where kombu's own would end
the worker. It carries hints, which may be lost.
"""

from __future__ import annotations

import logging
from queue import Empty
from typing import Any

from kombu import transport
from kombu.transport import redis

log = logging.getLogger("xtyl")
# What reading JSON, and the fields of a message that is none, can raise.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Channel(redis.Channel):  # type: ignore[misc]
    """Reads the queue."""

    def _brpop_read(self, **options: Any) -> bool:
        try:
            return bool(super()._brpop_read(**options))
        except UNREADABLE as error:
            log.warning("something in the queue is no hint, and was dropped: %s: %s", type(error).__name__, error)
            raise Empty from error


class Transport(redis.Transport):  # type: ignore[misc]
    """Redis, read with care."""

    Channel = Channel


def read_with_care() -> None:
    """Use this transport for every Redis broker of this process."""
    for name in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[name] = f"{__name__}:Transport"
