"""The stream of events over real connections: complete, resumable, refused with a code, and released when either side is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench import RUNS, Desk, open_desk, serving
from servers import wait_until
from teller import Teller
from xtyl_engine.api.routes import stream
from xtyl_engine.api.streaming import channel
from xtyl_engine.api.streaming.broadcaster import Broadcaster
from xtyl_engine.broker.live_events import Publisher
from xtyl_engine.events import EventKind


@dataclass(frozen=True, kw_only=True)
class Served:
    """An API at a port of this machine, and the teller that makes its events."""

    desk: Desk
    teller: Teller
    port: int

    @property
    def hub(self) -> Broadcaster:
        hub: Broadcaster = self.desk.client.app.state.ours.hub  # type: ignore[attr-defined]
        return hub

    @contextmanager
    def listening(self, id: str, after: int | None = None, who: str = "all", **given: str) -> Iterator[httpx.Response]:
        query = "" if after is None else f"?after={after}"
        headers = {"Authorization": f"Bearer {self.desk.secrets[who]}", **given}
        url = f"http://127.0.0.1:{self.port}{RUNS}/{id}/stream{query}"
        with httpx.stream("GET", url, headers=headers, timeout=30, trust_env=False) as answer:
            yield answer


@pytest.fixture
def served(tmp_path: Path, database_url: str, broker: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr("xtyl_engine.api.streaming.broadcaster.TOKENS_SECONDS", 0.2)
    desk = open_desk(tmp_path / "home", database_url, broker, XTYL_API_STREAMS="12")
    publisher = Publisher(broker)
    with serving(desk) as port:
        yield Served(desk=desk, teller=Teller(desk.service.engine.database, publisher.publish), port=port)
    publisher.close()


def frames(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Parse these lines as a browser's EventSource does."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields.get("id") or fields["event"], json.loads(fields["data"])
            fields = {}


def test_a_run_that_is_over_is_told_from_anywhere(served: Served) -> None:
    """Every event as `/events` shows it arrives, then `done`, then the connection ends. A browser's header wins over
    the address."""
    id = served.teller.submit()
    last = served.teller.tell(id, times=3) and served.teller.tell(id, EventKind.COMPLETED)
    done = ("done", {"state": "completed", "sequence": last})
    listed = httpx.get(
        f"http://127.0.0.1:{served.port}{RUNS}/{id}/events",
        headers={"Authorization": f"Bearer {served.desk.secrets['all']}"},
        trust_env=False,
    ).json()["events"]
    with served.listening(id) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert list(frames(answer.iter_lines())) == [*((str(each["sequence"]), each) for each in listed), done]
    for after, given, first in ((2, {}, 3), (0, {"Last-Event-ID": "4"}, 5), (last, {}, last + 1), (999, {}, last + 1)):
        with served.listening(id, after, **given) as answer:
            names = [name for name, _ in frames(answer.iter_lines())]
        assert names == [*map(str, range(first, last + 1)), "done"]


def test_a_listener_that_has_everything_is_told_to_stay_away(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back with the last number, or one beyond, it gets 204 and holds no place; while the run goes on it listens, and is
    told so before anything happens."""
    monkeypatch.setattr("xtyl_engine.api.streaming.subscriber.KEEP_ALIVE_SECONDS", 3600.0)
    id = served.teller.submit()
    last = served.teller.tell(id, times=2)
    with served.listening(id, 0, **{"Last-Event-ID": str(last)}) as answer:
        assert answer.status_code == 200
        last = served.teller.tell(id, EventKind.COMPLETED)
        assert [name for name, _ in frames(answer.iter_lines())] == [str(last), "done"]
    for given in (last, last + 1):
        with served.listening(id, 0, **{"Last-Event-ID": str(given)}) as answer:
            assert (answer.status_code, answer.read()) == (204, b"")
    wait_until(lambda: len(served.hub) == 0)


def test_what_cannot_be_listened_to_is_refused(served: Served) -> None:
    """An unknown run, another project's run, an invalid number and one listener too many are problems with a code each."""
    id = served.teller.submit()
    refused: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("no-such-run", "all", {}, 404, "run/not-found"),
        (id, "shop-write", {}, 404, "run/not-found"),
        (id, "all", {"Last-Event-ID": "x"}, 422, "api/invalid"),
    ]
    for name, who, given, status, code in refused:
        with served.listening(name, who=who, **given) as answer:
            assert (answer.status_code, json.loads(answer.read())["code"]) == (status, code)
    with served.listening(id), served.listening(id), served.listening(id), served.listening(id) as answer:
        assert (answer.status_code, json.loads(answer.read())["code"]) == (503, "stream/too-many")
        assert answer.headers["retry-after"]
    wait_until(lambda: len(served.hub) == 0)


def test_a_removed_token_hears_no_more(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream ends with a problem, seconds after the token was removed."""
    monkeypatch.setattr("xtyl_engine.api.streaming.broadcaster.TOKENS_SECONDS", 0.1)
    id = served.teller.submit()
    with served.listening(id) as answer:
        found = frames(answer.iter_lines())
        assert next(found)[0] == "1"
        served.desk.tokens.remove("all")
        name, problem = next(found)
        assert (name, problem["code"], problem["status"]) == ("error", "api/unauthorized", 401)
        assert list(found) == []


def connected(served: Served, id: str) -> socket.socket:
    """A listener that has asked and reads nothing; its buffers are small."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", served.port))
    token = served.desk.secrets["all"]
    client.sendall(
        f"GET {RUNS}/{id}/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    wait_until(lambda: len(served.hub) == 1)
    return client


def test_a_slow_reader_is_cut_off_and_goes_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream says so, and it connects again with the last id that arrived."""
    monkeypatch.setattr(channel, "BACKLOG_BYTES", 100_000)
    id = served.teller.submit()
    with connected(served, id) as client:
        (feed,) = served.hub._feeds
        while not feed.is_over:
            last = served.teller.tell(id, times=20, note="x" * 10_000)
            wait_until(lambda last=last: (feed.channel.position or 0) >= last)  # type: ignore[misc]
        with client.makefile("rb") as data:
            lines = [line.decode().rstrip("\r\n") for line in iter(data.readline, b"0\r\n")]
    blocks = "\n".join(lines[lines.index("") :])
    assert '"code":"stream/too-slow"' in blocks
    cursor = max(int(line.removeprefix("id: ")) for line in lines if line.startswith("id: "))
    assert 1 < cursor < last
    last = served.teller.tell(id, EventKind.COMPLETED)
    with served.listening(id, cursor) as answer:
        assert [name for name, _ in frames(answer.iter_lines())] == [*map(str, range(cursor + 1, last + 1)), "done"]


def test_a_stuck_reader_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that takes nothing at all does not hold its place for ever."""
    monkeypatch.setattr(stream, "STALL_SECONDS", 0.3)
    id = served.teller.submit()
    served.teller.tell(id, times=1500, note="x" * 5_000)
    with connected(served, id):
        wait_until(lambda: len(served.hub) == 0)


def test_streams_end_with_the_server(tmp_path: Path, broker: str) -> None:
    """`xtyl api` ends at once and in order when told to, even while a listener is connected."""
    desk = open_desk(tmp_path / "home", f"sqlite:///{tmp_path / 'xtyl.db'}", broker)
    teller = Teller(desk.service.engine.database, lambda events: None)
    id = teller.submit()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [str(Path(sys.executable).with_name("xtyl")), "api", "--port", str(port)]
    process = subprocess.Popen(command, env=desk.settings.child_environ(os.environ), stdout=subprocess.DEVNULL)
    try:
        served = Served(desk=desk, teller=teller, port=port)
        wait_until(lambda: is_open(port))
        with served.listening(id) as answer:
            found_frames = frames(answer.iter_lines())
            assert next(found_frames)[0] == "1"
            process.send_signal(signal.SIGTERM)
            assert list(found_frames) == []
        assert process.wait(20) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
        desk.service.engine.close()


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
