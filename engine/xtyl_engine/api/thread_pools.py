"""Where requests wait for what blocks: work in threads of two pools, one for looks and one for what takes longer, so that
neither a database that is away nor a large submission holds up the rest. What does not begin or end in time is answered 503.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import Response

from xtyl_engine.errors import BackendError, WorkflowException
from xtyl_engine.queries.pages import Page
from xtyl_engine.queries.wire import name_images, to_json

T = TypeVar("T")
log = logging.getLogger("xtyl")
LOOKS, WORKS = 16, 8
START_SECONDS = 3.0
READ_SECONDS = 20.0
WORK_SECONDS = 60.0
LARGE_BYTES = 1024 * 1024


class Desk:
    """Two pools of threads, and the deadlines by which their work is waited for; and one thread for large bodies, of which only
    one at a time is in memory as values."""

    def __init__(self) -> None:
        self._looks = ThreadPoolExecutor(LOOKS, thread_name_prefix="xtyl-look")
        self._works = ThreadPoolExecutor(WORKS, thread_name_prefix="xtyl-work")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="xtyl-large")

    async def look(self, work: Callable[[], Any], *, headers: Mapping[str, str] | None = None) -> Response:
        """Answer with what a read gives, as JSON."""
        return await self.run(lambda: respond(work(), 200, headers))

    async def page(self, name: str, read: Callable[[], Page[Any]]) -> Response:
        """Answer with a page that a read gives, its items under this name."""

        def listed() -> dict[str, Any]:
            page = read()
            return {name: to_json([name_images(each) for each in page.items]), "next": page.next}

        return await self.look(listed)

    async def run(self, work: Callable[[], T]) -> T:
        """What a short piece of work gives. Raises BackendError if it is not done in time."""
        return await _waited(self._looks.submit(_readable, work), START_SECONDS, READ_SECONDS)

    async def work(self, work: Callable[[], T], size: int = 0) -> T:
        """What a long piece of work gives, on a body of `size` bytes. Raises BackendError if it is not done in time: then it may
        be done later."""
        if size > LARGE_BYTES:
            return await _waited(self._large.submit(_readable, work), WORK_SECONDS, WORK_SECONDS)
        return await _waited(self._works.submit(_readable, work), START_SECONDS, WORK_SECONDS)

    def close(self) -> None:
        """Begin nothing more; what runs is not waited for."""
        for pool in (self._looks, self._works, self._large):
            pool.shutdown(wait=False, cancel_futures=True)


def respond(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Values of ours as JSON; images by name."""
    value = value if isinstance(value, (dict, list)) else to_json(name_images(value))
    data = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return Response(data, status, headers, "application/json")


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
    """Take note of what came too late, or asyncio would complain that nobody did."""
    if not late.cancelled() and (error := late.exception()) is not None:
        log.warning("work that nobody waited for any more failed: %s", error)


def _readable(work: Callable[[], T]) -> T:
    """What a piece of work gives. The request itself was understood before, or refused in our words: what cannot be read now is
    stored so, by hand or by another release, and that is the back end's fault."""
    try:
        return work()
    except WorkflowException:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        log.exception("what is stored cannot be read")
        raise BackendError(f"what is stored cannot be read: {type(error).__name__}") from error
