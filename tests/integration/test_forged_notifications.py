"""A program that reaches the queue can put anything there: to the worker it is a notification at most, and the worker goes on."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import xtyl_nb as xt
from backend import QUICK, wait_ready
from servers import embedded_home, wait_until
from xtyl_engine.broker.celery_app import QUEUE, TASK, make_app
from xtyl_engine.embedded.client import ensure
from xtyl_engine.embedded.status import status
from xtyl_engine.settings import Settings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A back end for this file alone, whose queue is harmed."""
    with embedded_home(tmp_path_factory.mktemp("forged"), **QUICK) as settings:
        ensure(settings)
        wait_ready(settings)
        yield settings


@pytest.fixture
def broker(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """A client of the broker of the back end in use, as any program that reaches its socket can have."""
    for name, value in home.to_environ().items():
        monkeypatch.setenv(name, value)
    with redis.Redis.from_url(ensure(home).redis_url) as client:
        yield client


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def envelope(body: bytes, content_type: str = "application/json", **headers: Any) -> str:
    """A message as Celery writes it."""
    given = {"lang": "py", "task": TASK, "id": "forged", "root_id": "forged", "argsrepr": "()", "kwargsrepr": "{}"}
    properties = {
        "correlation_id": "forged",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": QUEUE},
        "delivery_tag": "forged",
        "body_encoding": "base64",
    }
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "binary" if "python" in content_type else "utf-8",
        "content-type": content_type,
        "headers": given | headers,
        "properties": properties,
    }
    return json.dumps(message)


def arguments(*values: Any, **keywords: Any) -> bytes:
    return json.dumps([values, keywords, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()


def forged(bomb: Bomb) -> dict[str, str | bytes]:
    """Messages of every wrong kind."""
    pickled = pickle.dumps(((bomb,), {}, {}))
    return {
        "other task": envelope(arguments("touch"), task="os.system"),
        "no task": envelope(arguments("x"), task=None),
        "pickled": envelope(pickled, "application/x-python-serialize"),
        "pickled, called JSON": envelope(pickled),
        "yaml": envelope(b"!!python/object/apply:os.system [exit]", "application/x-yaml"),
        "compressed": envelope(b"\x00" * 64, compression="application/x-gzip"),
        "half a body": envelope(arguments("x")[:-7]),
        "no arguments": envelope(arguments()),
        "many arguments": envelope(arguments("x", "y", 3)),
        "keywords": envelope(arguments(evil=1)),
        "null": envelope(arguments(None)),
        "object": envelope(arguments({"$artifact": "../x"})),
        "number": envelope(arguments(10**400)),
        "huge": envelope(arguments("x" * 2_000_000)),
        "nul": envelope(arguments("a\0b")),
        "surrogate": envelope(arguments("\ud800")),
        "no execution": envelope(arguments("summer-launch-zzzzzz-00000000")),
        "traversal": envelope(arguments("../../etc/passwd")),
        "next year": envelope(arguments("x"), eta="2199-01-01T00:00:00+00:00"),
        "long ago": envelope(arguments("x"), expires="1999-01-01T00:00:00+00:00"),
        "bad date": envelope(arguments("x"), eta="soon"),
        "chain": envelope(json.dumps([["x"], {}, {"chain": [{"task": "os.system", "args": ["exit"]}]}]).encode()),
        "time limit": envelope(arguments("x"), timelimit=["a", {}]),
        "doubled": envelope(arguments("x")),
    }


@pytest.mark.parametrize("kind", forged(Bomb(Path())))
def test_a_forged_notification_changes_nothing(kind: str, broker: redis.Redis, home: Settings, tmp_path: Path) -> None:
    """Nothing in a forged message is unpickled, called or imported; the same worker does the next real run."""
    before = status(home).worker_pid
    message = forged(Bomb(tmp_path / "bomb"))[kind]
    broker.lpush(QUEUE, *[message] * (100 if kind == "doubled" else 3))
    wait_until(lambda: broker.llen(QUEUE) == 0)
    run = xt.Workflow("real").call("shout", lambda name: name.upper(), name="{{ name }}").run(name=kind).wait(60)
    assert list(run.frame()["shout"]) == [kind.upper()]
    assert status(home).worker_pid == before
    assert not (tmp_path / "bomb").exists()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"not JSON",
        b"{}",
        b"[]",
        b"7",
        b"\xff\xfe",
        b'{"body": 1}',
        b'{"body": 1, "properties": {}, "headers": 7}',
        b"[" * 100000,
    ],
)
def test_what_is_no_message_is_dropped(message: bytes, broker: redis.Redis, home: Settings) -> None:
    """An entry that is not a message may cost the connection or the worker, never a run: the next run completes."""
    before = status(home).worker_pid
    broker.lpush(QUEUE, message)
    run = xt.Workflow("real").attach("kit", title="{{ name }}").run(name="x").wait(60)
    assert list(run.frame()["kit"]) == ["x"]
    assert status(home).worker_pid == before


def test_notifications_of_a_run_that_is_over_redo_nothing(broker: redis.Redis, home: Settings) -> None:
    """A hundred old notifications of a completed run start nothing."""
    run = xt.Workflow("over").attach("kit", title="x").run().wait(60)
    app = make_app(ensure(home).celery_url)
    for _ in range(100):
        app.send_task(TASK, (run.id,))
    app.close()
    wait_until(lambda: broker.llen(QUEUE) == 0)
    xt.Workflow("next").attach("kit", title="x").run().wait(60)
    assert list(run.jobs()["attempts"]) == [1]
    assert list(run.events()["kind"]).count("job_started") == 1


def test_who_takes_all_from_the_broker_has_no_result(broker: redis.Redis, home: Settings) -> None:
    """While a run goes on and after it no key of the broker holds what it read or made; with all keys gone it ends as ever, and
    its results are there."""
    seen: list[str] = []

    def make(name: str) -> str:
        return f"made-of-{name}"

    flow = xt.Workflow("held").call("first", make, name="{{ name }}").call("second", make, name="{{ first }}")
    run = flow.run([{"name": f"canary-{n}"} for n in range(20)])
    for _ in range(30):
        keys = list(broker.scan_iter())
        seen += [repr(broker.dump(key)) for key in keys]
        if keys:
            broker.delete(*keys)
    run.wait(60)
    assert list(run.frame()["second"]) == [f"made-of-made-of-canary-{n}" for n in range(20)]
    seen += [repr(broker.dump(key)) for key in broker.scan_iter()]
    assert seen != []
    assert [text for text in seen if "canary" in text] == []
