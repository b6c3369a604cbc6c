"""Answers that strangers can make costly, computed by two processes that the system bounds: they never hold up the API. A process
that the system has ended is replaced. The processes' own side is in `bounded_child`.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi import Response

from xtyl_engine.api.allowance import Allowance
from xtyl_engine.api.bounded_child import LENGTH, Limits, framed
from xtyl_engine.api.problems import answer
from xtyl_engine.api.thread_pools import LARGE_BYTES, WORK_SECONDS
from xtyl_engine.errors import BackendError
from xtyl_engine.settings import Settings

CHILDREN, WAITING = 2, 8
START_SECONDS = 20.0
PART = 256 * 1024
AS_USUAL = Limits()
COMMAND = (sys.executable, "-P", "-m", "xtyl_engine.api.bounded_child")


class BoundedProcesses:
    """Two answers at a time, one that is large or to a large body, while eight more wait; half of these places for one token."""

    def __init__(self, settings: Settings, limits: Limits = AS_USUAL):
        self._settings = settings
        self._limits = limits
        self._places = Allowance(CHILDREN + WAITING, of="answers at a time that take long")
        self._turns = asyncio.Semaphore(CHILDREN)
        self._large = asyncio.Lock()
        self._idle: list[asyncio.subprocess.Process] = []
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Start the processes ahead of the first question."""
        self._warming = asyncio.create_task(self._warm())

    async def ask(self, holder: str, of: str, data: bytes, *, size: int = 0, **asked: Any) -> Response:
        """The answer, of some `size`, to a question that `bounded_child` knows, or its problem. Raises RequestRefused where too
        many wait already, LimitExceeded for an answer that takes too long or grows too large, BackendError."""
        question = json.dumps({"of": of, **asked}).encode()
        with self._places.held(holder, 1):
            if max(len(data), size) <= LARGE_BYTES:
                return await self._answered(question, data)
            async with self._large:
                return await self._answered(question, data)

    async def close(self) -> None:
        """End all processes."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait({self._warming})
        while self._idle:
            await _end(self._idle.pop())

    async def _warm(self) -> None:
        with suppress(BackendError):
            while len(self._idle) < CHILDREN:
                self._idle.append(await self._started())

    async def _answered(self, question: bytes, data: bytes) -> Response:
        async with self._turns:
            while self._idle and self._idle[-1].returncode is not None:
                self._idle.pop()
            child = self._idle.pop() if self._idle else await self._started()
            try:
                async with asyncio.timeout(WORK_SECONDS):
                    found = json.loads(await _exchanged(child, question, data))
                    body = await _read_body(child)
            except TimeoutError:
                await _end(child)
                raise BackendError(f"a bounded process gave no answer within {WORK_SECONDS:g} s") from None
            except (asyncio.IncompleteReadError, ConnectionError):
                await _end(child)
                raise self._limits.exceeded() from None
            except BaseException:
                await _end(child)
                raise
            if found["is_grown"]:
                await _end(child)
            else:
                self._idle.append(child)
        if found["status"] != HTTPStatus.OK:
            return answer(json.loads(bytes(body)))
        return Response(body, media_type="application/json")

    async def _started(self) -> asyncio.subprocess.Process:
        # In a session of its own: a Ctrl-C is for the API, which ends its children.
        child = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await _exchanged(child, pickle.dumps((self._settings, self._limits)))
        except BaseException as error:
            await _end(child)
            if isinstance(error, (TimeoutError, asyncio.IncompleteReadError, ConnectionError)):
                raise BackendError("a bounded process did not start") from None
            raise
        return child


async def _exchanged(child: asyncio.subprocess.Process, *messages: bytes) -> bytes:
    assert child.stdin is not None
    for message in messages:
        child.stdin.write(framed(message))
    await child.stdin.drain()
    return await _read(child)


async def _read(child: asyncio.subprocess.Process) -> bytes:
    assert child.stdout is not None
    (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    return await child.stdout.readexactly(length)


async def _read_body(child: asyncio.subprocess.Process) -> memoryview:
    """What may be as long as a body, in memory once and not twice."""
    assert child.stdout is not None
    (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    found, at = memoryview(bytearray(length)), 0
    while at < length:
        part = await child.stdout.read(min(length - at, PART))
        if not part:
            raise asyncio.IncompleteReadError(b"", length)
        found[at : at + len(part)] = part
        at += len(part)
    return found


async def _end(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()
    with suppress(ConnectionError):
        # Until its pipes are closed too.
        await child.communicate()
