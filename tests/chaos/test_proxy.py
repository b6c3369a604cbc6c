"""Each thing that a proxy can do to the traffic, against a server that echoes every message."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.proxy import Mode, Proxy, proxy_loop
from servers import wait_until


class Echo:
    """Answers every message with itself; `heard` holds everything it received."""

    def __init__(self, path: Path):
        self.heard = b""
        self.path = path
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError):
                while data := connection.recv(65536):
                    self.heard += data
                    connection.sendall(data)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with tempfile.TemporaryDirectory(prefix="xtyl-") as folder:
        server = Echo(Path(folder) / "echo.sock")
        yield server
        server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with proxy_loop() as loop:
        made = Proxy(loop, echo.path)
        yield made
        made.set(Mode.PASS)
        made.close()


@contextlib.contextmanager
def client(proxy: Proxy, seconds: float = 10) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=seconds) as made:
        yield made


def test_traffic_passes(proxy):
    """Traffic passes both ways, unchanged."""
    with client(proxy) as there:
        there.sendall(b"hello")
        assert there.recv(100) == b"hello"


def test_what_is_refused_cannot_connect_and_is_cut(proxy):
    """New connections are refused and open ones end; afterwards the proxy works as before, at the same port."""
    with client(proxy) as there:
        there.sendall(b"hello")
        there.recv(100)
        proxy.set(Mode.REFUSE)
        with pytest.raises(ConnectionRefusedError), client(proxy):
            pass
        assert ends(there)
    proxy.set(Mode.PASS)
    with client(proxy) as there:
        there.sendall(b"again")
        assert there.recv(100) == b"again"


def test_what_is_held_arrives_later(proxy, echo):
    """No data passes and no connection closes; afterwards the data sent meanwhile arrives."""
    with client(proxy, 0.2) as there:
        proxy.set(Mode.HOLD)
        there.sendall(b"hello")
        with pytest.raises(TimeoutError):
            there.recv(100)
        assert echo.heard == b""
        proxy.set(Mode.PASS)
        there.settimeout(10)
        assert there.recv(100) == b"hello"


def test_what_is_delayed_comes_late(proxy):
    """Each direction takes the given time."""
    with client(proxy, 0.2) as there:
        proxy.set(Mode.DELAY, 0.3)
        there.sendall(b"hello")
        with pytest.raises(TimeoutError):
            there.recv(100)
        there.settimeout(10)
        assert there.recv(100) == b"hello"


def test_a_connection_is_cut_after_so_many_bytes(proxy, echo):
    """The first bytes arrive, the rest does not, and both ends see the connection end."""
    with client(proxy) as there:
        proxy.set(Mode.CUT, 3)
        there.sendall(b"hello")
        assert ends(there)
    wait_until(lambda: echo.heard == b"hel")
    assert proxy.harmed == 1


def test_an_answer_is_swallowed(proxy, echo):
    """The server receives the message and its answer is lost, once only: the next connection works."""
    with client(proxy) as there:
        proxy.set(Mode.SWALLOW)
        there.sendall(b"hello")
        assert ends(there)
    assert echo.heard == b"hello"
    with client(proxy) as there:
        there.sendall(b"again")
        assert there.recv(100) == b"again"


def test_a_connection_that_comes_as_all_is_closed_is_ended(echo):
    """A client that connects at the last moment is not left with a socket that is never served."""
    with proxy_loop() as loop:
        made = Proxy(loop, echo.path)
        there = [socket.create_connection(("127.0.0.1", made.port), timeout=10) for _ in range(20)]
        made.close()
        assert all(ends(each) for each in there)
    for each in there:
        each.close()


def ends(there: socket.socket) -> bool:
    """Whether the connection ends without more data."""
    try:
        return there.recv(100) == b""
    except ConnectionError:
        return True
