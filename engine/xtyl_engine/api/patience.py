"""How long a connection may be open without a whole request, and how many connections may be open: one that says nothing, or that
sends its headers byte by byte, is ended. uvicorn itself ends only connections that are idle after an answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0
LINGER_SECONDS = 30.0
# What a connection may keep here of a request's headers.
MOST_HEADER_BYTES = 16 * 1024


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, with a deadline for the headers of each request, and for the last bytes to one that is closed. Of more
    than `most` connections the one ends that has been without a request for longest."""

    header_seconds: ClassVar[float] = HEADER_SECONDS

    def __init__(self, *given: Any, most: int, **named: Any):
        super().__init__(*given, **named)
        self._most = most
        self._asked = self.loop.time()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._most:
            self._make_room()
        self._expected: asyncio.TimerHandle | None = None
        self._expect()
        self._looked = self.loop.call_later(LINGER_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._looked.cancel()
        self._unexpect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_idle():
            self._asked = self.loop.time()
            self._unexpect()
        elif self._expected is None:
            self._expect()

    def _expect(self) -> None:
        self._expected = self.loop.call_later(self.header_seconds, self._give_up)

    def _unexpect(self) -> None:
        if self._expected is not None:
            self._expected.cancel()
            self._expected = None

    def _give_up(self) -> None:
        self._expected = None
        self.transport.close()

    def _look(self) -> None:
        if self.transport.is_closing():
            # Its client takes nothing, and what was written to it would stay for as long as that.
            self.transport.abort()
        else:
            self._looked = self.loop.call_later(LINGER_SECONDS, self._look)

    def _make_room(self) -> None:
        """End the connection without a request whose last one is longest ago; this one, where all others have one."""
        idle = [
            each
            for each in self.connections
            if isinstance(each, PatientProtocol) and each._is_idle() and not each.transport.is_closing()
        ]
        min(idle, key=lambda each: each._asked).transport.abort()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete
