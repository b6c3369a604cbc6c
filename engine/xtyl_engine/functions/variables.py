"""The variables of a kernel on their way to the worker that needs them, over a private unix socket. They may be secrets: they are
in no file, no table, no log and no command line. What keeps them for a while is `embedded.variables`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xtyl_engine.errors import BackendError, LimitExceeded
from xtyl_engine.machine import peer_user

# Shorter than the name of the server's socket, whose length was checked.
NAME = "keys.sock"
OURS = "XTYL_"
# Of ours, what is the notebook's own: the file of its prices.
LENT = ("XTYL_PRICES",)
MOST_BYTES = 1024 * 1024
LONGEST_ANSWER = 64 * 1024 * 1024
ANSWER_SECONDS = 2.0
# The supervisor makes its sockets anew when their folder was removed.
PATIENCE_SECONDS = 5.0
AGAIN_SECONDS = 0.01
_HEAD = struct.Struct("!I")


def socket_beside(redis_url: str) -> Path | None:
    """The socket for variables beside the server of an embedded back end; None for a server that has no socket."""
    scheme, _, path = redis_url.partition("://")
    return Path(path).with_name(NAME) if scheme in ("unix", "redis+socket") else None


def variables_of(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a kernel lends: all but the settings of ours, which are each process's own; but for `LENT`, whose paths are meant from
    its folder. Raises LimitExceeded."""
    found = {name: value for name, value in environ.items() if not name.startswith(OURS)}
    named = {name: path for name in LENT if (path := environ.get(name, "").strip())}
    found |= {name: str(Path(path).expanduser().absolute()) for name, path in named.items()}
    if (size := len(json.dumps(found))) > MOST_BYTES:
        largest = max(found, key=lambda name: len(found[name]))
        raise LimitExceeded(
            f"the environment variables of this process take {size:,} bytes; at most {MOST_BYTES:,}",
            hint=f"Put what is in {largest} into a file: `del os.environ[{largest!r}]`.",
        )
    return found


def with_settings(variables: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """A kernel's variables together with this process's own settings of ours."""
    own = {name: value for name, value in environ.items() if name.startswith(OURS) and name not in LENT}
    return {**variables, **own}


def put(
    place: Path, run: str, variables: Mapping[str, str], *, replace: bool = True, patience: float = PATIENCE_SECONDS
) -> None:
    """Lend variables to a run; without `replace` only if none are lent to it. Raises BackendError."""
    deadline = time.monotonic() + patience
    while True:
        try:
            ask(place, {"put": run, "variables": dict(variables), "replace": replace})
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise BackendError(
                    f"the back end does not take this process's environment variables at {place}: {error.strerror or error}",
                    hint="Run `xtyl doctor`; it looks for the cause.",
                ) from error
        time.sleep(AGAIN_SECONDS)


def get(place: Path, run: str) -> dict[str, str] | None:
    """The variables that are lent to a run; None if there are none, or no answer."""
    try:
        found = ask(place, {"get": run})
    except OSError:
        return None
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else None


def stamp(place: Path) -> tuple[int, int]:
    """What changes whenever variables are lent here; it costs a microsecond to read."""
    try:
        found = place.stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def lent(place: Path) -> dict[str, float]:
    """The runs that variables are lent to, each with the seconds since then; none if there is no answer."""
    try:
        found = ask(place, {"lent": True})
    except OSError:
        return {}
    return {str(run): float(seconds) for run, seconds in found.items()}


def drop(place: Path, runs: Iterable[str]) -> None:
    """Forget the variables of these runs. Raises OSError."""
    ask(place, {"drop": list(runs)})


def ask(place: Path, message: Mapping[str, Any]) -> Any:
    """Send one message and return its answer. Raises OSError, also where another user listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(place))
        check_peer(connection)
        send(connection, message)
        return receive(connection, LONGEST_ANSWER)


def send(connection: socket.socket, value: Any) -> None:
    """Send a value, with its length before it."""
    text = json.dumps(value).encode()
    connection.sendall(_HEAD.pack(len(text)) + text)


def receive(connection: socket.socket, most: int) -> Any:
    """The value that was sent. Raises OSError if it is longer than `most`, cut off, or no JSON."""
    (length,) = _HEAD.unpack(_read(connection, _HEAD.size))
    if length > most:
        raise OSError(f"a message of {length:,} bytes; at most {most:,}")
    try:
        return json.loads(_read(connection, length))
    except ValueError:
        # `from None`: the error would quote what was sent.
        raise OSError("the message is no JSON") from None


def _read(connection: socket.socket, count: int) -> bytes:
    came = bytearray()
    while len(came) < count:
        if not (part := connection.recv(min(count - len(came), 65_536))):
            raise ConnectionResetError("the other side hung up")
        came += part
    return bytes(came)


def check_peer(connection: socket.socket) -> None:
    """Raise PermissionError unless the process at the other end belongs to the user of this one."""
    if (uid := peer_user(connection)) != os.geteuid():
        raise PermissionError(f"the other side belongs to user {uid}")
