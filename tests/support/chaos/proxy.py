"""A proxy in front of a server, which can harm the traffic as networks do: refuse it, hold it back, delay it, cut it after so
many bytes, or swallow an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

# Of the loop, until who is being accepted is known: a task for each, its transport, its protocol.
TURNS_TO_ACCEPT = 4


class Mode(StrEnum):
    """What the proxy does to the traffic."""

    PASS = "pass"
    REFUSE = "refuse"
    HOLD = "hold"
    DELAY = "delay"
    CUT = "cut"
    SWALLOW = "swallow"


class Proxy:
    """A proxy to one server's Unix socket. Listens on a loopback port, or on a socket file if `path` is given; `harmed` counts
    the cuts and swallowed answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: Path, path: Path | None = None):
        self.harmed = 0
        self._loop = loop
        self._target = target
        self._path = path
        self._mode = Mode.PASS
        self._amount = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self._call(self._listen())

    @property
    def port(self) -> int:
        return self._port

    def set(self, mode: Mode, amount: float = 0.0) -> None:
        """Treat traffic this way from now on. `amount` is seconds for a delay, bytes until a cut. A refusal also cuts the open
        connections."""
        self._call(self._set(mode, amount))

    def close(self) -> None:
        self._call(self._close())

    def _call(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _set(self, mode: Mode, amount: float) -> None:
        was, self._mode, self._amount = self._mode, mode, amount
        if mode is Mode.HOLD:
            self._flowing.clear()
        else:
            self._flowing.set()
        if mode is Mode.REFUSE:
            await self._close()
        elif was is Mode.REFUSE:
            await self._listen()

    async def _listen(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._server: asyncio.Server = await asyncio.start_unix_server(self._accept, self._path)
            return
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        # Connections still being accepted come first: asyncio leaves their sockets open when the server closes meanwhile.
        for listening in self._server.sockets:
            self._loop.remove_reader(listening.fileno())
        for _ in range(TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        self._server.close()
        self._abort(*self._open)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Without a task at first, so that every connection is known from its beginning."""
        self._open.add(writer)
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._done(writer))

    def _done(self, writer: asyncio.StreamWriter) -> Callable[[asyncio.Task[None]], None]:
        def end(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._open.discard(writer)
            self._abort(writer)

        return end

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            answers, asks = await asyncio.open_unix_connection(self._target)
            self._open.add(asks)
            try:
                await asyncio.gather(
                    self._pump(reader, asks, writer), self._pump(answers, writer, asks, is_answer=True)
                )
            finally:
                self._open.discard(asks)
                self._abort(asks)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
        *,
        is_answer: bool = False,
    ) -> None:
        while data := await source.read(65536):
            await self._flowing.wait()
            if self._mode is Mode.DELAY:
                await asyncio.sleep(self._amount)
            if self._mode is Mode.SWALLOW and is_answer:
                self._harm(target, other)
                return
            if self._mode is Mode.CUT:
                data, self._amount = data[: int(self._amount)], self._amount - len(data)
            target.write(data)
            await target.drain()
            if self._mode is Mode.CUT and self._amount <= 0:
                self._harm(target, other)
                return
        self._abort(target, other)

    def _harm(self, *writers: asyncio.StreamWriter) -> None:
        """Harm the traffic once; later traffic passes again, on a new connection."""
        self.harmed += 1
        self._mode = Mode.PASS
        self._abort(*writers)

    def _abort(self, *writers: asyncio.StreamWriter) -> None:
        for writer in writers:
            writer.transport.abort()


@contextlib.contextmanager
def proxy_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A thread that runs proxies."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
