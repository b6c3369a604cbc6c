"""Events to listeners: every one, once, in order, whatever is lost on the way and wherever a listener joins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from servers import valkey_server
from teller import Teller
from xtyl_engine.api.streaming import channel, subscriber
from xtyl_engine.api.streaming.broadcaster import Broadcaster
from xtyl_engine.api.streaming.subscriber import Feed
from xtyl_engine.broker.live_events import Publisher
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import PermanentError, RunNotFound, TooManyStreams
from xtyl_engine.events import EventKind

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(1, 7), st.booleans()),
        st.tuples(st.just("open"), st.integers(0, 40), st.booleans()),
        st.tuples(st.just("take"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("again"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("breathe"), st.integers(0, 20), st.booleans()),
    ),
    max_size=25,
)


class Counted:
    """The number of each kind of report from the hub."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.cuts = 0

    def observe_lag(self, seconds: float) -> None:
        self.lags.append(seconds)

    def cut_off(self) -> None:
        self.cuts += 1


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with valkey_server() as url:
        yield url


@pytest.fixture
def teller(database: Database, broker: str) -> Iterator[Teller]:
    publisher = Publisher(broker)
    yield Teller(database, publisher.publish)
    publisher.close()


@asynccontextmanager
async def hub_of(teller: Teller, broker: str | None, **options: Any) -> AsyncIterator[Broadcaster]:
    hub = Broadcaster(
        teller.driver.queries,
        broker,
        describe=lambda error: {"code": error.code},
        refuse=lambda: PermanentError("the token counts no more"),
        **options,
    )
    await hub.start()
    try:
        async with asyncio.timeout(30):
            yield hub
    finally:
        await hub.close()


def frames(data: bytes) -> list[tuple[str, Any]]:
    """The sent bytes as a client reads them: the number of an event with it, or the name of another frame."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields:
            found.append((fields.get("id") or fields["event"], json.loads(fields["data"])))
    return found


async def rest(listener: Feed) -> list[tuple[str, Any]]:
    """All that is still to come, until the end."""
    data = b""
    while (found := await listener.next()) is not None:
        data += found
    return frames(data)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


class Reader:
    """A listener, and the events that it has got since it joined or rejoined."""

    def __init__(self, hub: Broadcaster, id: str):
        self.hub, self.id = hub, id
        self.feed: Feed | None = None
        self.after, self.got = 0, b""

    async def open(self, after: int) -> None:
        self.feed = await self.hub.open(self.id, after)
        self.after, self.got = self.feed.cursor, b""

    async def take(self) -> None:
        """Take what is there, if there is anything."""
        assert self.feed is not None
        if self.feed.cursor < (self.feed.channel.position or 0):
            self.got += await self.feed.next() or b""

    async def again(self) -> None:
        """Lose the connection with all unread bytes, and join again from the last event read."""
        assert self.feed is not None
        self.hub.leave(self.feed)
        await self.open(self.feed.cursor)

    async def check(self, last: int) -> None:
        """From where it joined to the end: each event once and in order, and then how the run ended."""
        assert self.feed is not None
        found = frames(self.got) + await rest(self.feed)
        assert [name for name, _ in found] == [*map(str, range(self.after + 1, last + 1)), "done"]
        assert all(data["sequence"] == int(name) for name, data in found[:-1])
        assert found[-1][1] == {"state": "completed", "sequence": last}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_nothing_is_missed_and_nothing_comes_twice(teller: Teller, broker: str, steps: list[Any]) -> None:
    """This holds over any order of commits, lost notices, arrivals at any id, reads and reconnects."""

    async def test() -> None:
        id, last = teller.submit(), 1
        async with hub_of(teller, broker) as hub:
            readers = [Reader(hub, id)]
            await readers[0].open(0)
            for what, number, flag in steps:
                reader = readers[number % len(readers)]
                if what == "tell":
                    last = await asyncio.to_thread(teller.tell, id, times=number, lost=flag)
                elif what == "open" and len(readers) < 6:
                    readers.append(Reader(hub, id))
                    await readers[-1].open(number)
                    assert readers[-1].after <= last
                elif what == "take":
                    await reader.take()
                elif what == "again":
                    await reader.again()
                elif what == "breathe":
                    await asyncio.sleep(number / 1000)
            last = await asyncio.to_thread(teller.tell, id, EventKind.COMPLETED)
            await asyncio.gather(*(reader.check(last) for reader in readers))

    run(test)


def test_long_histories_come_page_by_page(teller: Teller, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier events are read from SQL; later ones follow seamlessly."""
    monkeypatch.setattr(channel, "PAGE", 7)
    monkeypatch.setattr("xtyl_engine.api.streaming.broadcaster.PAGE", 7)

    async def test() -> None:
        id = teller.submit()
        teller.tell(id, times=40)
        async with hub_of(teller, broker) as hub:
            reader = Reader(hub, id)
            await reader.open(3)
            await reader.take()
            teller.tell(id, times=20)
            await reader.check(await asyncio.to_thread(teller.tell, id, EventKind.COMPLETED))

    run(test)


def test_a_run_that_is_over_says_so_until_it_is_taken_up_again(teller: Teller, broker: str) -> None:
    """`done` comes after the last event; after a retry a new stream goes on. A number from the future counts as the last."""

    async def test() -> None:
        id = teller.submit()
        last = teller.tell(id, EventKind.FAILED)
        async with hub_of(teller, broker) as hub:
            other = await hub.open(id, 0)
            found = await rest(await hub.open(id, last + 1000))
            assert found == [("done", {"state": "failed", "sequence": last})]
            last = teller.tell(id, EventKind.REOPENED, lost=True)
            again = await hub.open(id, last - 1)
            assert frames(await again.next() or b"")[0][1]["kind"] == "reopened"
            last = teller.tell(id, EventKind.COMPLETED)
            assert (await rest(again))[-1] == ("done", {"state": "completed", "sequence": last})
            assert [name for name, _ in await rest(other)] == [*map(str, range(1, last + 1)), "done"]

    run(test)


def test_without_a_broker_sql_is_looked_at(teller: Teller) -> None:
    """Without a broker, or with one that cannot be reached, events come up to a second later."""

    async def test() -> None:
        for broker in (None, "unix:///nowhere/redis.sock"):
            id = teller.submit()
            async with hub_of(teller, broker) as hub:
                reader = Reader(hub, id)
                await reader.open(1)
                teller.tell(id, times=3)
                await reader.check(teller.tell(id, EventKind.COMPLETED))

    run(test)


def test_a_broker_may_go_and_come_back(teller: Teller, tmp_path: Path) -> None:
    """While it is away nothing is missed; when it is back notices are heard again, of new executions too."""

    async def test() -> None:
        with valkey_server() as url:
            async with hub_of(teller, url) as hub:
                first = Reader(hub, teller.submit())
                await first.open(0)
                path = Path(url.removeprefix("unix://"))
                path.rename(tmp_path / "away")
                await hub._news._client.connection_pool.disconnect()  # type: ignore[union-attr]
                teller.tell(first.id, times=2, lost=True)
                while (first.feed.channel.position or 0) < 3:  # type: ignore[union-attr]
                    await asyncio.sleep(0.01)
                second = Reader(hub, teller.submit())
                await second.open(0)
                (tmp_path / "away").rename(path)
                publisher = Publisher(url)
                for reader in (first, second):
                    teller.publish = publisher.publish
                    await reader.check(teller.tell(reader.id, EventKind.COMPLETED))
                publisher.close()

    run(test)


def test_one_look_serves_all_listeners(teller: Teller, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any number of listeners, a notice costs one read of SQL; one that is known already costs none."""
    reads: list[int | None] = []
    progress = teller.driver.queries.progress

    def counted(id: str, after: int | None, limit: int) -> Any:
        reads.append(after)
        return progress(id, after, limit)

    monkeypatch.setattr(teller.driver.queries, "progress", counted)

    async def test() -> None:
        id = teller.submit()
        async with hub_of(teller, broker) as hub:
            feeds = [await hub.open(id, 1) for _ in range(50)]
            await asyncio.gather(*(hub.open(id, 1) for _ in range(50)))
            waiting = [asyncio.create_task(subscriber.next()) for subscriber in feeds]
            while set(hub._news._unplaced):  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
            reads.clear()
            last = await asyncio.to_thread(teller.tell, id)
            assert {frames(await each or b"")[0][0] for each in waiting} == {str(last)}
            assert reads == [last - 1]
            teller.publish([teller.driver.queries.events(id)[-1]])
            await asyncio.to_thread(teller.tell, id)
            assert frames(await feeds[0].next() or b"")[0][0] == str(last + 1)
            assert reads == [last - 1, last]

    run(test)


def test_who_does_not_keep_up_is_cut_off(teller: Teller, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener gets a reason after its last event, and goes on from there; the others are not disturbed. Taken
    events are not kept."""
    monkeypatch.setattr(channel, "BACKLOG_BYTES", 3000)
    counted = Counted()

    async def test() -> None:
        id = teller.submit()
        async with hub_of(teller, broker, counts=counted) as hub:
            slow, quick = await hub.open(id, 0), await hub.open(id, 0)
            got = await slow.next() or b""
            while not slow.is_over:
                last = await asyncio.to_thread(teller.tell, id, times=2, note="x" * 200)
                while quick.cursor < last:
                    await quick.next()
            found = frames(got) + await rest(slow)
            assert found[-1] == ("error", {"code": "stream/too-slow"})
            assert slow.cursor == int(found[-2][0])
            await asyncio.to_thread(teller.tell, id)
            await quick.next()
            assert len(quick.channel.after(0)) <= 2
            again = Reader(hub, id)
            await again.open(slow.cursor)
            await again.check(await asyncio.to_thread(teller.tell, id, EventKind.COMPLETED))
        assert counted.cuts == 1
        assert counted.lags

    run(test)


def test_a_token_that_counts_no_more_ends_its_streams(
    teller: Teller, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of other tokens go on. Each token is checked once, and a database that does not answer ends no stream."""
    monkeypatch.setattr("xtyl_engine.api.streaming.broadcaster.TOKENS_SECONDS", 0.05)
    asked: list[str] = []
    valid = {"kept": True, "removed": True}

    def still_valid(name: str) -> bool:
        asked.append(name)
        if len(asked) < 3:
            raise ConnectionError("away")
        return valid[name]

    async def test() -> None:
        id = teller.submit()
        async with hub_of(teller, broker) as hub:
            kept = await hub.open(id, 1, credential="kept", still_valid=lambda: still_valid("kept"))
            ended = [
                await hub.open(id, 1, credential="removed", still_valid=lambda: still_valid("removed"))
                for _ in range(2)
            ]
            while len(asked) < 6:
                await asyncio.sleep(0.01)
            assert not any(subscriber.is_over for subscriber in (kept, *ended))
            valid["removed"] = False
            assert [await rest(subscriber) for subscriber in ended] == [[("error", {"code": "node/permanent"})]] * 2
            assert not kept.is_over
            assert asked.count("removed") <= asked.count("kept") + 1

    run(test)


def test_there_is_a_limit_and_an_end(teller: Teller, broker: str) -> None:
    """One listener too many is refused, until one has left; a hub that ends closes its streams at once and takes no more."""

    async def test() -> None:
        id = teller.submit()
        async with hub_of(teller, broker, limit=2) as hub:
            first, second = await hub.open(id), await hub.open(id, 1)
            with pytest.raises(TooManyStreams, match="2 event streams"):
                await hub.open(id)
            hub.leave(first)
            hub.leave(first)
            assert len(hub) == 1
            with pytest.raises(RunNotFound):
                await hub.open("no-such-run")
            assert len(hub) == 1
            waiting = asyncio.create_task(second.next())
            await asyncio.sleep(0)
            hub.end_streams()
            assert await waiting is None
            with pytest.raises(TooManyStreams, match="about to end"):
                await hub.open(id)

    run(test)


def test_one_credential_has_a_share(teller: Teller, broker: str) -> None:
    """It may have a quarter of all streams, at least one; then it is refused and others are not."""

    async def test() -> None:
        id = teller.submit()
        for limit, share in ((8, 2), (3, 1)):
            async with hub_of(teller, broker, limit=limit) as hub:
                feeds = [await hub.open(id, credential="greedy") for _ in range(share)]
                with pytest.raises(TooManyStreams, match=f"this token has {share} event streams"):
                    await hub.open(id, credential="greedy")
                await hub.open(id, credential="other")
                hub.leave(feeds[0])
                await hub.open(id, credential="greedy")

    run(test)


def test_silence_is_broken(teller: Teller, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that ends silent connections sees a comment in time."""
    monkeypatch.setattr(subscriber, "KEEP_ALIVE_SECONDS", 0.2)

    async def test() -> None:
        id = teller.submit()
        async with hub_of(teller, broker) as hub:
            listener = await hub.open(id, 1)
            assert await listener.next() == b": keep-alive\n\n"
            await asyncio.to_thread(teller.tell, id)
            assert frames(await listener.next() or b"")[0][0] == "2"

    run(test)


def test_a_run_that_is_removed_ends_its_streams(teller: Teller, broker: str) -> None:
    """Its listeners get the reason."""

    async def test() -> None:
        id = teller.submit()
        async with hub_of(teller, broker) as hub:
            listener = await hub.open(id, 1)
            with teller.driver.database.engine.begin() as connection:
                for table in ("execution_events", "agent_jobs", "execution_rows"):
                    connection.execute(text(f"DELETE FROM {table} WHERE execution_id = :id"), {"id": id})
                connection.execute(text("DELETE FROM workflow_executions WHERE id = :id"), {"id": id})
            assert await rest(listener) == [("error", {"code": "run/not-found"})]

    run(test)
