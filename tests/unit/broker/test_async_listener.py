"""News of executions: what is told of good entries, and of entries that are none of ours."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
import redis

from servers import PATIENT_SECONDS, valkey_server
from xtyl_engine.broker.async_listener import News
from xtyl_engine.broker.live_events import Listener
from xtyl_engine.broker.redis_client import stream_key

ODD: list[dict[Any, Any]] = [
    {"other": "field"},
    {"event": "not json"},
    {"event": "[1]"},
    {"event": '{"sequence": null}'},
    {"event": b"\xff\xfe"},
    {b"\xff": b"\x80"},
    {"event": "[" * 100_000},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd)[:30])
def test_a_malformed_entry_does_not_end_the_news(odd: dict[Any, Any], caplog: pytest.LogCaptureFixture) -> None:
    """It counts as news without a number, with a warning, and the next good entry is told as ever."""

    async def listen(url: str, client: redis.Redis) -> list[tuple[str, int | None]]:
        heard: asyncio.Queue[tuple[str, int | None]] = asyncio.Queue()
        news = News(url, lambda id, sequence: heard.put_nowait((id, sequence)))
        news.start()
        news.watch("run")
        told = []
        try:
            entries: tuple[dict[Any, Any], ...] = ({}, odd, {"event": '{"sequence": 7}'})
            for entry in entries:
                if entry:
                    client.xadd(stream_key("run"), entry)
                told.append(await asyncio.wait_for(heard.get(), PATIENT_SECONDS))
        finally:
            await news.close()
        return told

    with valkey_server() as url, redis.Redis.from_url(url) as client, caplog.at_level(logging.WARNING, "xtyl"):
        assert asyncio.run(listen(url, client)) == [("run", None), ("run", None), ("run", 7)]
    assert f"of {stream_key('run')} is none of ours" in caplog.text


@pytest.mark.parametrize("is_there_first", [True, False])
def test_a_key_that_holds_no_stream_silences_its_own_run_alone(
    is_there_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Another run's news go on, whether the key was there before the watch or came while it went on; one warning names it."""

    async def listen(url: str, client: redis.Redis) -> set[tuple[str, int | None]]:
        heard: asyncio.Queue[tuple[str, int | None]] = asyncio.Queue()
        news = News(url, lambda id, sequence: heard.put_nowait((id, sequence)))
        news.start()
        told: set[tuple[str, int | None]] = set()

        async def until(*wanted: tuple[str, int | None]) -> None:
            while not told.issuperset(wanted):
                told.add(await asyncio.wait_for(heard.get(), PATIENT_SECONDS))

        try:
            if is_there_first:
                client.set(stream_key("spoilt"), "text")
            for name in ("spoilt", "run"):
                news.watch(name)
            await until(("spoilt", None), ("run", None))
            for number in (7, 8, 9):
                if number == 8:
                    client.set(stream_key("spoilt"), "text")
                client.xadd(stream_key("run"), {"event": json.dumps({"sequence": number})})
                await until(("run", number))
        finally:
            await news.close()
        return told

    with valkey_server() as url, redis.Redis.from_url(url) as client, caplog.at_level(logging.WARNING, "xtyl"):
        assert asyncio.run(listen(url, client)) == {("spoilt", None), *(("run", number) for number in (None, 7, 8, 9))}
    assert [stream_key("spoilt") in record.getMessage() for record in caplog.records] == [True]


def test_bytes_that_are_no_text_do_not_end_a_wait() -> None:
    """A program that waits for a run returns from its wait, and knows the place of the entry."""
    with valkey_server() as url, redis.Redis.from_url(url) as client:
        added = client.xadd(stream_key("run"), {b"\xff": b"\xfe"})
        listener = Listener(url)
        listener.wait("run", "0-0", 4.0)
        assert listener.place("run") == added.decode()
        listener.close()
