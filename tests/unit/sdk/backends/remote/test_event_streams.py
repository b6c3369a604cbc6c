"""New events over HTTP: waiting threads are woken, and streams are shared, resumed where they broke, and closed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import xtyl_nb.backends.remote.event_streams
from servers import wait_until
from web import Answer, Asked, Web, problem, web
from xtyl_nb.backends.remote.event_streams import Streams
from xtyl_nb.backends.remote.http_client import Calls


class Script:
    """Sends each stream what the test puts into it, until it puts None."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def answer(self, asked: Asked) -> Answer:
        return Answer(media_type="text/event-stream", chunks=iter(self.lines.get, None))

    def event(self, number: int) -> None:
        self.lines.put(f"id: {number}\ndata: {{}}\n\n".encode())


@pytest.fixture
def script() -> Script:
    """The script of the stream."""
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[Web]:
    """A server of event streams."""
    with web(script.answer) as made:
        yield made
        script.lines.put(None)


def test_a_waiting_thread_is_woken_by_an_event(server: Web, script: Script) -> None:
    """All waiting threads share one stream, and an event between looking and waiting counts."""
    streams = Streams(Calls(server.url, "token"))
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(streams.wait, "run", 4, 20.0) for _ in range(2)]
        script.event(5)
        assert [each.result() for each in waits] == [True, True]
    assert streams.wait("run", 4, 20.0)
    assert not streams.wait("run", 5, 0.01)
    assert [asked.headers["last-event-id"] for asked in server.asked] == ["4"]
    streams.close()


def test_a_broken_stream_is_taken_up_where_it_broke(server: Web, script: Script) -> None:
    """The next one asks for the events after the last one that came."""
    streams = Streams(Calls(server.url, "token"))
    script.event(1)
    assert streams.wait("run", 0, 20.0)
    script.lines.put(None)
    script.event(2)
    assert streams.wait("run", 1, 20.0)
    assert [asked.headers["last-event-id"] for asked in server.asked] == ["0", "1"]
    streams.close()


def test_a_stream_that_is_refused_is_tried_again(server: Web, script: Script) -> None:
    """Meanwhile a wait ends in time without an event."""
    server.answer = lambda asked: problem(503, "backend/unreachable", "no")
    streams = Streams(Calls(server.url, "token"))
    assert not streams.wait("run", 0, 0.01)
    wait_until(lambda: server.asked)
    server.answer = script.answer
    script.event(1)
    wait_until(lambda: streams.wait("run", 0, 1.0))
    streams.close()


def test_the_end_of_a_run_ends_its_stream(server: Web, script: Script) -> None:
    """A later wait, after a retry, gets a new one."""
    streams = Streams(Calls(server.url, "token"))
    script.event(1)
    script.lines.put(b"event: done\ndata: {}\n\n")
    assert streams.wait("ended", 0, 20.0)
    wait_until(lambda: not reads("ended"))
    script.lines.put(None)
    script.event(3)
    assert streams.wait("ended", 2, 20.0)
    assert [asked.headers["last-event-id"] for asked in server.asked] == ["0", "2"]
    streams.close()


def test_a_stream_without_a_waiting_thread_is_closed(
    server: Web, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread ends at the next keep-alive, so that a kernel that lives for weeks holds none."""
    monkeypatch.setattr(xtyl_nb.backends.remote.event_streams, "IDLE_SECONDS", 0.0)
    streams = Streams(Calls(server.url, "token"))
    assert not streams.wait("left", 0, 0.01)
    script.lines.put(b": keep-alive\n\n")
    wait_until(lambda: not reads("left"))
    assert not streams.wait("next", 0, 0.01)
    assert list(streams._streams) == ["next"]


def reads(execution_id: str) -> bool:
    """Whether a thread reads the stream of this execution."""
    return f"xtyl-news-{execution_id}" in [thread.name for thread in threading.enumerate()]
