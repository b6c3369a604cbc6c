"""A process that computes answers for `bounded`, one at a time: forecasts, for which it parses a submission's body, checks its
workflow and renders its Jinja; jobs in detail, with their Jinja rendered; large rows. Strangers wrote all of that. The system
ends it where it takes too long or grows too large.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import select
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from fastapi import Response

from xtyl_engine.api.bodies import parse, parse_as
from xtyl_engine.api.problems import answer as refuse
from xtyl_engine.api.problems import problem_of
from xtyl_engine.api.request_models import SubmissionBody
from xtyl_engine.api.service import Service
from xtyl_engine.api.thread_pools import readable, respond, respond_page
from xtyl_engine.errors import LimitExceeded, WorkflowException
from xtyl_engine.queries.wire import to_json

LENGTH = struct.Struct("!Q")
# A process that has grown is replaced, which gives its memory back.
KEPT_BYTES = 256 * 1024 * 1024
LOOK_SECONDS = 0.05
_PER_UNIT = 1 if sys.platform == "darwin" else 1024
Question = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the system grants one process: its memory, and for one answer the time of a processor."""

    seconds: int = 10
    bytes: int = 1024 * 1024 * 1024

    def exceeded(self) -> LimitExceeded:
        """The error for an answer that needs more."""
        return LimitExceeded(
            f"the answer takes more than {self.seconds} s of a processor, or {self.bytes >> 20:,} MB",
            hint="Ask for less at a time: fewer rows, or simpler Jinja texts.",
        )


def answer(service: Service, limits: Limits, asked: Question, data: bytes) -> Response:
    """The answer to one question, or the problem that it has."""
    try:
        return readable(lambda: ANSWERS[asked["of"]](service, asked, data))
    except MemoryError:
        return refuse(problem_of(limits.exceeded()))
    except WorkflowException as error:
        return refuse(problem_of(error))


def _forecast(service: Service, asked: Question, data: bytes) -> Response:
    return respond({"nodes": to_json(service.forecast(asked["scope"], parse_as(SubmissionBody, parse(data))))})


def _job(service: Service, asked: Question, data: bytes) -> Response:
    return respond(service.reader.of(asked["scope"], asked["id"]).job(asked["node"], asked["item"]))


def _node_jobs(service: Service, asked: Question, data: bytes) -> Response:
    found = service.reader.of(asked["scope"], asked["id"])
    return respond(found.job_page(asked["node"], asked["start"], asked["count"], with_images=asked["images"]))


def _rows(service: Service, asked: Question, data: bytes) -> Response:
    page = service.reader.of(asked["scope"], asked["id"]).rows(after=asked["after"], limit=asked["limit"])
    return respond_page("rows", page.items, page.next)


ANSWERS: Mapping[str, Callable[[Service, Question, bytes], Response]] = {
    "forecast": _forecast,
    "job": _job,
    "node_jobs": _node_jobs,
    "rows": _rows,
}


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
    threading.Thread(target=_end_with, args=(asked.fileno(),), daemon=True).start()
    service = Service(settings, computes=True)
    _limit_memory(limits.bytes)
    told.write(framed(b"{}"))
    told.flush()
    while (question := read_frame(asked)) is not None:
        _allow(limits.seconds)
        found = answer(service, limits, json.loads(question), read_frame(asked) or b"")
        told.write(framed(json.dumps({"status": found.status_code, "is_grown": _grown() > KEPT_BYTES}).encode()))
        told.write(framed(bytes(found.body)))
        told.flush()


def _end_with(asked: int) -> None:
    """End this process once the other side is gone, also in the middle of an answer."""
    other = select.poll()
    # That it hung up is told without being asked for.
    other.register(asked, 0)
    other.poll()
    os._exit(1)


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
