"""Live events in a broker: bounded in number and in time, whatever was sent last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from servers import valkey_server, wait_until
from xtyl_engine.events import Event, EventKind
from xtyl_engine.stream import STREAM_SECONDS, Publisher, forget_streams, read_memory, stream_key


@pytest.fixture
def broker() -> Iterator[tuple[str, redis.Redis]]:
    with valkey_server() as url, redis.Redis.from_url(url) as client:
        yield url, client


def event(sequence: int, kind: EventKind) -> Event:
    return Event(execution_id="run", sequence=sequence, time=0.0, kind=kind)


@pytest.mark.parametrize("kind", list(EventKind))
def test_a_stream_ends_a_day_after_its_last_entry(broker: tuple[str, redis.Redis], kind: EventKind) -> None:
    """Whatever the event, also after an end and where an earlier stream of the run has gone already."""
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


def test_streams_are_counted_and_forgotten(broker: tuple[str, redis.Redis]) -> None:
    """Only those of the executions that are named go; a broker that is gone is no reason to fail."""
    url, client = broker
    for name in ("one", "two", "three"):
        client.xadd(stream_key(name), {"event": "{}"})
    assert read_memory(url).streams == 3
    forget_streams(url, [])
    forget_streams(url, ["one", "two"])
    assert list(client.scan_iter(match="xtyl:events:*")) == [b"xtyl:events:three"]
    forget_streams("unix:///nowhere/redis.sock", ["three"])
