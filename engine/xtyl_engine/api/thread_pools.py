"""Pools of threads for work that blocks: for reads, for longer work, for images, and for what is large, so that neither an
unreachable database nor a large submission delays the rest. Work that does not begin or end in time is answered with 503.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import Response

from xtyl_engine.errors import BackendError, WorkflowException
from xtyl_engine.queries.pages import Page
from xtyl_engine.queries.wire import name_images, to_json

T = TypeVar("T")
log = logging.getLogger("xtyl")
LOOKS, WORKS, PICTURES = 16, 8, 2
START_SECONDS = 3.0
READ_SECONDS = 20.0
WORK_SECONDS = 60.0
LARGE_BYTES = 1024 * 1024


class ThreadPools:
    """Pools of threads with a deadline for each, and one thread for large bodies, so that only one of them at a time is in memory
    as values."""

    def __init__(self) -> None:
        self._looks = ThreadPoolExecutor(LOOKS, thread_name_prefix="xtyl-look")
        self._works = ThreadPoolExecutor(WORKS, thread_name_prefix="xtyl-work")
        self._pictures = ThreadPoolExecutor(PICTURES, thread_name_prefix="xtyl-picture")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="xtyl-large")

    async def look(self, work: Callable[[], Any], *, headers: Mapping[str, str] | None = None) -> Response:
        """Answer with the result of a read, as JSON."""
        return await self.run(lambda: respond(work(), 200, headers))

    async def page(self, name: str, read: Callable[[], Page[Any]]) -> Response:
        """Answer with the page that a read returns, its items under this name."""

        def listed() -> Response:
            page = read()
            return respond_page(name, page.items, page.next)

        return await self.run(listed)

    async def run(self, work: Callable[[], T]) -> T:
        """Run short work and return its result. Raises BackendError if it is not done in time."""
        return await _waited(self._looks.submit(readable, work), START_SECONDS, READ_SECONDS)

    async def picture(self, work: Callable[[], T]) -> T:
        """Scale an image and return it: a decoder at work must not keep other reads waiting. Raises BackendError if it is
        not done in time."""
        return await _waited(self._pictures.submit(readable, work), READ_SECONDS, READ_SECONDS)

    async def work(self, work: Callable[[], T], size: int = 0) -> T:
        """Run long work on a body of `size` bytes and return its result. Raises BackendError if it is not done in time; it may
        still finish later."""
        if size > LARGE_BYTES:
            return await _waited(self._large.submit(readable, work), WORK_SECONDS, WORK_SECONDS)
        return await _waited(self._works.submit(readable, work), START_SECONDS, WORK_SECONDS)

    def close(self) -> None:
        """Begin no more work, without waiting for running work."""
        for pool in (self._looks, self._works, self._pictures, self._large):
            pool.shutdown(wait=False, cancel_futures=True)


def respond(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The engine's values as JSON; images by name."""
    value = value if isinstance(value, (dict, list)) else to_json(name_images(value))
    return Response(_written(value), status, headers, "application/json")


def respond_page(name: str, items: Iterable[Any], next: str | None) -> Response:
    """A page of the engine's values as JSON, written one item at a time: other threads get their turn between two of them."""
    written = b",".join(_written(item if isinstance(item, dict) else to_json(name_images(item))) for item in items)
    return Response(b'{"%b":[%b],"next":%b}' % (name.encode(), written, _written(next)), 200, None, "application/json")


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


async def _waited(future: Future[T], start_seconds: float, seconds: float) -> T:
    waited = asyncio.wrap_future(future)
    done, _ = await asyncio.wait({waited}, timeout=start_seconds)
    if not done and future.cancel():
        raise BackendError("all threads are busy with work that does not end")
    if not done:
        done, _ = await asyncio.wait({waited}, timeout=seconds)
    if not done:
        waited.add_done_callback(_forget)
        raise BackendError(f"no answer within {seconds:g} s")
    return waited.result()


def _forget(late: asyncio.Future[Any]) -> None:
    """Log an error that came too late; asyncio warns of errors that are never read."""
    if not late.cancelled() and (error := late.exception()) is not None:
        log.warning("work failed after its request was answered: %s", error)


def readable(work: Callable[[], T]) -> T:
    """Run work and return its result. The request was valid, or was refused before: a value that cannot be read now was stored
    by hand or by another release, so the error is the back end's."""
    try:
        return work()
    except WorkflowException:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        log.exception("a stored value cannot be read")
        raise BackendError(f"a stored value cannot be read: {type(error).__name__}") from error
