"""Live events in a broker: bounded in number and in time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest
import redis

from servers import foreign_server, valkey_server, wait_until
from xtyl_engine.broker.live_events import Listener, Publisher, forget_streams
from xtyl_engine.broker.redis_client import STREAM_SECONDS, read_memory, stream_key
from xtyl_engine.events import Event, EventKind


@pytest.fixture
def broker() -> Iterator[tuple[str, redis.Redis]]:
    with valkey_server() as url, redis.Redis.from_url(url) as client:
        yield url, client


def event(sequence: int, kind: EventKind) -> Event:
    return Event(execution_id="run", sequence=sequence, time=0.0, kind=kind)


@pytest.mark.parametrize("kind", list(EventKind))
def test_a_stream_ends_a_day_after_its_last_entry(broker: tuple[str, redis.Redis], kind: EventKind) -> None:
    """This holds for every event, even after an end and where an earlier stream of the run has expired already."""
    url, client = broker
    publisher = Publisher(url)
    for sequence in (1, 2):
        publisher.publish([event(sequence, kind)])
        wait_until(lambda sequence=sequence: client.xlen(stream_key("run")) == sequence)  # type: ignore[misc]
        assert 0 < client.ttl(stream_key("run")) <= STREAM_SECONDS
        client.expire(stream_key("run"), 60)
    publisher.publish([event(3, kind)])
    wait_until(lambda: client.ttl(stream_key("run")) > 60)
    publisher.close()


def test_a_key_that_holds_no_stream_is_told_once(
    broker: tuple[str, redis.Redis], caplog: pytest.LogCaptureFixture
) -> None:
    """The events of other runs, sent in the same batch, arrive, and the key is left as it is."""
    url, client = broker
    client.set(stream_key("run"), "text")
    publisher = Publisher(url)
    with caplog.at_level(logging.WARNING, "xtyl"):
        for sequence in (1, 2, 3):
            others = Event(execution_id="other", sequence=sequence, time=0.0, kind=EventKind.JOB_STARTED)
            publisher.publish([event(sequence, EventKind.JOB_STARTED), others])
            wait_until(lambda sequence=sequence: client.xlen(stream_key("other")) == sequence)  # type: ignore[misc]
        publisher.close()
    assert client.get(stream_key("run")) == b"text"
    assert [stream_key("run") in record.getMessage() for record in caplog.records] == [True]


def test_streams_are_counted_and_forgotten(broker: tuple[str, redis.Redis]) -> None:
    """Only those of the named executions go; a broker that is gone does not raise."""
    url, client = broker
    for name in ("one", "two", "three"):
        client.xadd(stream_key(name), {"event": "{}"})
    assert read_memory(url).streams == 3
    forget_streams(url, [])
    forget_streams(url, ["one", "two"])
    assert list(client.scan_iter(match="xtyl:events:*")) == [b"xtyl:events:three"]
    forget_streams("unix:///nowhere/redis.sock", ["three"])


def test_waits_share_connections() -> None:
    """One wait after another is on the same connection; at the same time each has its own, and hears of its run alone. What is
    closed while a wait goes on does not end it."""
    with foreign_server() as url, redis.Redis.from_url(url) as client:
        listener = Listener(url)
        before = client.info("clients")["connected_clients"]
        for _ in range(5):
            listener.wait("one", listener.place("one"), 0.001)
        assert client.info("clients")["connected_clients"] == before + 1
        names = ("one", "two")
        waits = {name: threading.Thread(target=listener.wait, args=(name, listener.place(name), 4.0)) for name in names}
        for wait in waits.values():
            wait.start()
        wait_until(lambda: client.info("clients")["blocked_clients"] == 2)
        listener.close()
        client.xadd(stream_key("two"), {"event": "{}"})
        waits["two"].join(4)
        assert (waits["one"].is_alive(), waits["two"].is_alive()) == (True, False)
        client.xadd(stream_key("one"), {"event": "{}"})
        waits["one"].join(4)
        assert not waits["one"].is_alive()
        listener.close()
        wait_until(lambda: client.info("clients")["connected_clients"] == before)
