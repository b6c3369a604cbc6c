"""A process that computes forecasts for `forecasts`, one at a time: it parses a submission's body, checks its workflow and
renders its Jinja, all of which strangers wrote. The system ends it where it takes too long or grows too large.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import struct
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, BinaryIO

from xtyl_engine.api.bodies import parse, parse_as
from xtyl_engine.api.problems import problem_of
from xtyl_engine.api.request_models import SubmissionBody
from xtyl_engine.api.service import Service
from xtyl_engine.errors import LimitExceeded, WorkflowException
from xtyl_engine.queries.wire import to_json

LENGTH = struct.Struct("!Q")
# A process that has grown is replaced, which gives its memory back.
KEPT_BYTES = 256 * 1024 * 1024
LOOK_SECONDS = 0.05
_PER_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the system grants one process: its memory, and for one forecast the time of a processor."""

    seconds: int = 10
    bytes: int = 1024 * 1024 * 1024

    def exceeded(self) -> LimitExceeded:
        """The error for a forecast that needs more."""
        return LimitExceeded(
            f"the forecast takes more than {self.seconds} s of a processor, or {self.bytes >> 20:,} MB",
            hint="Send fewer rows, or simpler Jinja texts.",
        )


def answer(service: Service, limits: Limits, scope: str | None, data: bytes) -> dict[str, Any]:
    """The answer to one request: its value, or the problem that it has."""
    try:
        nodes = service.forecast(scope, parse_as(SubmissionBody, parse(data)))
    except MemoryError:
        return {"problem": problem_of(limits.exceeded())}
    except WorkflowException as error:
        return {"problem": problem_of(error)}
    return {"value": {"nodes": to_json(nodes)}}


def read_frame(source: BinaryIO) -> bytes | None:
    """One message, None at the end."""
    head = source.read(LENGTH.size)
    return source.read(*LENGTH.unpack(head)) if len(head) == LENGTH.size else None


def framed(message: bytes) -> bytes:
    """A message with its length before it."""
    return LENGTH.pack(len(message)) + message


def main() -> None:
    """Answer until the other side is gone."""
    asked, told = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What a library prints must not be taken for an answer.
    os.dup2(2, 1)
    # From the process that started this one.
    settings, limits = pickle.loads(read_frame(asked) or b"")  # noqa: S301
    service = Service(settings, computes=True)
    _limit_memory(limits.bytes)
    told.write(framed(b"{}"))
    told.flush()
    while (scope := read_frame(asked)) is not None:
        _allow(limits.seconds)
        found = answer(service, limits, json.loads(scope), read_frame(asked) or b"")
        told.write(framed(json.dumps(found | {"is_grown": _grown() > KEPT_BYTES}).encode()))
        told.flush()


def _allow(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _limit_memory(most: int) -> None:
    if sys.platform != "darwin":
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        return

    # This system takes the limit and ignores it.
    def look() -> None:
        while _grown() < most:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _grown() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PER_UNIT


if __name__ == "__main__":
    main()
