"""News over HTTP: who waits is woken, streams are shared, taken up where they broke, and let go."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

import xtyl_nb.listening
from servers import wait_until
from web import Answer, Asked, Web, problem, web
from xtyl_nb.calls import Calls
from xtyl_nb.listening import Streams


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
    """What the stream says."""
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[Web]:
    """A server of event streams."""
    with web(script.answer) as made:
        yield made
        script.lines.put(None)


def test_whoever_waits_is_woken_by_an_event(server: Web, script: Script) -> None:
    """All who wait share one stream, and one that came between looking and waiting counts."""
    streams = Streams(Calls(server.url, "token"))
    first, second = streams.listen("run", 4), streams.listen("run", 4)
    script.event(5)
    assert first.wait(20)
    assert second.wait(20)
    first.mark()
    assert not first.wait(0.01)
    assert [asked.headers["last-event-id"] for asked in server.asked] == ["4"]
    streams.close()


def test_a_broken_stream_is_taken_up_where_it_broke(server: Web, script: Script) -> None:
    """The next one asks for what follows the last event that came."""
    streams = Streams(Calls(server.url, "token"))
    listener = streams.listen("run", 0)
    script.event(1)
    assert listener.wait(20)
    listener.mark()
    script.lines.put(None)
    script.event(2)
    assert listener.wait(20)
    assert [asked.headers["last-event-id"] for asked in server.asked] == ["0", "1"]
    streams.close()


def test_a_stream_that_is_refused_is_tried_again(server: Web, script: Script) -> None:
    """Meanwhile a wait ends in time with no news."""
    server.answer = lambda asked: problem(503, "backend/unreachable", "no")
    streams = Streams(Calls(server.url, "token"))
    listener = streams.listen("run", 0)
    wait_until(lambda: server.asked)
    assert not listener.wait(0.01)
    server.answer = script.answer
    script.event(1)
    wait_until(lambda: listener.wait(1))
    streams.close()


def test_the_end_of_a_run_ends_its_stream(server: Web, script: Script) -> None:
    """A later listener gets a new one."""
    streams = Streams(Calls(server.url, "token"))
    listener = streams.listen("run", 0)
    script.lines.put(b"event: done\ndata: {}\n\n")
    wait_until(lambda: not streams.known("run"))
    listener.close()
    streams.listen("run", 3)
    wait_until(lambda: len(server.asked) == 2)
    assert server.asked[1].headers["last-event-id"] == "3"
    streams.close()


def test_a_stream_that_nobody_waits_for_is_let_go(server: Web, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread ends at the next keep-alive, so that a kernel that lives for weeks holds none."""
    monkeypatch.setattr(xtyl_nb.listening, "IDLE_SECONDS", 0.0)
    streams = Streams(Calls(server.url, "token"))
    streams.listen("left", 0).close()
    script.lines.put(b": keep-alive\n\n")
    wait_until(lambda: "xtyl-news-left" not in [thread.name for thread in threading.enumerate()])
    assert not streams.known("left")
