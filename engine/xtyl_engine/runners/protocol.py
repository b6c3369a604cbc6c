"""What a worker, its launchers and their runners say to each other: frames of a message in JSON and raw bytes behind it, over a
unix socket, with open files beside them. It knows no message.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from array import array
from collections.abc import Sequence
from typing import Any

PROTOCOL = 1
Message = dict[str, Any]

_HEAD = struct.Struct("!II")
# A larger buffer costs more than the call: the allocator asks the system for it each time.
_READ_BYTES = 64 * 1024
_HANDLES_BYTES = socket.CMSG_SPACE(8 * array("i").itemsize)
_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


class RunnerLine:
    """One end of a connection. `handles` are the open files that came with the frames, in their order, if it takes any."""

    def __init__(self, connected: socket.socket, *, takes_handles: bool = False):
        self.socket = connected
        self._takes_handles = takes_handles
        self.handles: list[int] = []
        self._came = bytearray()
        self._sending = threading.Lock()

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        self.socket.close()

    def send(self, message: Message, body: bytes = b"", handles: Sequence[int] = ()) -> None:
        """Send one frame. Raises OSError when the other side is gone."""
        text = _encode(message).encode()
        head = _HEAD.pack(len(text), len(body))
        # Threads of a function say how far it is, or wait for room on a disk.
        with self._sending:
            frame = head + text + body
            if handles:
                # They go with the first byte, and with as much as there is room for: the other side wakes up once.
                frame = frame[socket.send_fds(self.socket, [frame], handles) :]
            self.socket.sendall(frame)

    def receive(self) -> tuple[Message, bytes]:
        """Wait for the next frame. Raises EOFError when the other side is gone."""
        while (frame := self.taken()) is None:
            self.fill()
        return frame

    def fill(self) -> None:
        """Read once from the socket, which blocks unless it is readable. Raises EOFError when the other side is gone."""
        try:
            data = self._with_handles() if self._takes_handles else self.socket.recv(_READ_BYTES)
        except ConnectionError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        self._came += data

    def _with_handles(self) -> bytes:
        # `socket.recv_fds` takes twice as long, and most frames bring none.
        data, came, _, _ = self.socket.recvmsg(_READ_BYTES, _HANDLES_BYTES)
        for _, _, sent in came:
            handles = array("i", sent)
            for handle in handles:
                os.set_inheritable(handle, False)
            self.handles += handles
        return data

    def taken(self) -> tuple[Message, bytes] | None:
        """The next frame of what was read, None while it is not whole."""
        if len(self._came) < _HEAD.size:
            return None
        text, body = _HEAD.unpack_from(self._came)
        begin, end = _HEAD.size + text, _HEAD.size + text + body
        if len(self._came) < end:
            return None
        message, rest = _decode(self._came[_HEAD.size : begin].decode()), bytes(self._came[begin:end])
        del self._came[:end]
        return message, rest


def wire_pair() -> tuple[RunnerLine, socket.socket]:
    """A connection: this process's end, and the one to hand over."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return RunnerLine(ours), theirs
