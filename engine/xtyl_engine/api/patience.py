"""How long a connection may be open without a whole request, and how many connections may be open: one that says nothing, or that
sends its headers byte by byte, is ended. uvicorn itself ends only connections that are idle after an answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0
LINGER_SECONDS = 30.0
# What a connection may keep here of a request's headers.
MOST_HEADER_BYTES = 16 * 1024


class Room:
    """How many connections may be open, and which of them wait for a request, the one that waits for longest first."""

    def __init__(self, most: int):
        self.most = most
        self._waiting: OrderedDict[PatientProtocol, None] = OrderedDict()

    def wait(self, connection: PatientProtocol) -> None:
        self._waiting[connection] = None
        self._waiting.move_to_end(connection)

    def leave(self, connection: PatientProtocol) -> None:
        self._waiting.pop(connection, None)

    def longest(self) -> PatientProtocol:
        """The connection that waits for longest. It waits no more."""
        return self._waiting.popitem(last=False)[0]


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, with a deadline for the headers of each request, and for the last bytes to one that is closed. Of more
    connections than there is room for, the one ends that has been without a request for longest; a new one, where all others have
    a request."""

    header_seconds: ClassVar[float] = HEADER_SECONDS

    def __init__(self, *given: Any, room: Room, **named: Any):
        super().__init__(*given, **named)
        self._room = room

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._room.wait(self)
        if len(self.connections) > self._room.most:
            self._room.longest().abort()
        self._expected: asyncio.TimerHandle | None = None
        self._expect()
        self._looked = self.loop.call_later(LINGER_SECONDS, self._look)

    def abort(self) -> None:
        """End at once."""
        self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_idle() and not self.transport.is_closing():
            self._room.wait(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._room.leave(self)
        self._looked.cancel()
        self._unexpect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_idle():
            self._room.leave(self)
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

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete
