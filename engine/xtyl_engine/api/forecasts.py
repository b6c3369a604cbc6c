"""Forecasts, computed by two processes of their own: what strangers make them compute never holds up the API. A process that the
system has ended is replaced. The processes' own side is in `forecast_child`.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from contextlib import suppress
from typing import Any

from fastapi import Response

from xtyl_engine.api.allowance import Allowance
from xtyl_engine.api.forecast_child import LENGTH, Limits, framed
from xtyl_engine.api.problems import answer
from xtyl_engine.api.thread_pools import LARGE_BYTES, WORK_SECONDS, respond
from xtyl_engine.errors import BackendError
from xtyl_engine.settings import Settings

CHILDREN, WAITING = 2, 8
START_SECONDS = 20.0
AS_USUAL = Limits()
COMMAND = (sys.executable, "-P", "-m", "xtyl_engine.api.forecast_child")


class Forecaster:
    """Takes at most two forecasts at a time, one of a large body, and lets eight wait; half of these places for one token."""

    def __init__(self, settings: Settings, limits: Limits = AS_USUAL):
        self._settings = settings
        self._limits = limits
        self._places = Allowance(CHILDREN + WAITING, of="forecasts at a time")
        self._turns = asyncio.Semaphore(CHILDREN)
        self._large = asyncio.Lock()
        self._idle: list[asyncio.subprocess.Process] = []
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Start processes ahead of the first forecast."""
        self._warming = asyncio.create_task(self._warm())

    async def ask(self, scope: str | None, data: bytes, holder: str) -> Response:
        """The forecast for a submission's body, or its problem. Raises RequestRefused where too many wait already, LimitExceeded
        for one that takes too long or grows too large, BackendError."""
        with self._places.held(holder, 1):
            if len(data) <= LARGE_BYTES:
                return await self._taken(scope, data)
            async with self._large:
                return await self._taken(scope, data)

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

    async def _taken(self, scope: str | None, data: bytes) -> Response:
        async with self._turns:
            while self._idle and self._idle[-1].returncode is not None:
                self._idle.pop()
            child = self._idle.pop() if self._idle else await self._started()
            try:
                async with asyncio.timeout(WORK_SECONDS):
                    found = await _exchanged(child, json.dumps(scope).encode(), data)
            except TimeoutError:
                await _end(child)
                raise BackendError(f"a forecast had no answer within {WORK_SECONDS:g} s") from None
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
        return respond(found["value"]) if "value" in found else answer(found["problem"])

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
                raise BackendError("a process for forecasts did not start") from None
            raise
        return child


async def _exchanged(child: asyncio.subprocess.Process, *messages: bytes) -> Any:
    assert child.stdin is not None
    assert child.stdout is not None
    for message in messages:
        child.stdin.write(framed(message))
    await child.stdin.drain()
    (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    return json.loads(await child.stdout.readexactly(length))


async def _end(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()
    with suppress(ConnectionError):
        # Until its pipes are closed too.
        await child.communicate()
