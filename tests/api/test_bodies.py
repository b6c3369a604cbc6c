"""Refused bodies: too large, too slow, not JSON, or JSON that no database can store. Never a 500."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.requests import Request

from bench import FLOW, PLAIN, RUNS, Desk, submit, work_off
from xtyl_engine.api.bodies import LARGE, MAX_BRACKETS, MAX_COMMAS, MAX_DEPTH, MIDDLE, SMALL, parse, read_body
from xtyl_engine.api.problems import RequestRefused
from xtyl_engine.api.thread_pools import LARGE_BYTES
from xtyl_engine.api.thread_pools import ThreadPools as Threads
from xtyl_engine.queries.pages import PAGE_CHARACTERS

DEEP = "[" * (MAX_DEPTH + 5) + "]" * (MAX_DEPTH + 5)


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        (b"", "not JSON", "double quotes"),
        (b'{"a": canary}', "line 1, column 7", "double quotes"),
        (b"\xff\xfe", "not UTF-8", "UTF-8"),
        (b'{"a": NaN}', "NaN", "null"),
        (b'{"a": -Infinity}', "Infinity", "null"),
        (b'{"a": 1e999}', "too large", "null"),
        (b'{"a": 18446744073709551616}', "beyond 64 bits", "as a text"),
        (b'{"a": 9223372036854775808}', "beyond 64 bits", "as a text"),
        (b"9" * 5_000, "beyond 64 bits", "as a text"),
        (b'{"a": "\\u0000"}', "NUL", "u0000"),
        (b'{"a\\u0000": 1}', "NUL", "u0000"),
        (b'{"a": "\\ud800"}', "surrogate", "whole character"),
        (b'{"a": ["b", {"\\udfff": 1}]}', "surrogate", "whole character"),
        (DEEP.encode(), "deeper", "Flatten"),
        (b"[" * 200_000, "deeper", "Flatten"),
        (b"[" + b"1," * (MAX_COMMAS + 1) + b"1]", "parts", "in parts"),
        (b"[" + b"[" * (MAX_BRACKETS // 2) + b"{" * (MAX_BRACKETS // 2), "parts", "in parts"),
    ],
)
def test_json_that_is_refused(text: bytes, words: str, hint: str) -> None:
    """Each refusal has the fault and the remedy, and none of the body."""
    with pytest.raises(RequestRefused, match=words) as caught:
        parse(text)
    assert hint in (caught.value.hint or "")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", RUNS, '{"workflow": canary}'),
        (
            "POST",
            RUNS,
            '{"workflow": "canary", "inputs": "canary", "rows": ["canary"], "config": {"max_parallel": "canary"}}',
        ),
        (
            "POST",
            RUNS,
            '{"template": {"name": "x", "version": "canary"}, "functions": {"f": {"name": 5, "blob": "canary?"}}}',
        ),
        ("POST", RUNS, '{"workflow": {}, "shape": {"dtypes": {"a": {"ordered": "canary"}}}, "project_id": "canary/"}'),
        ("GET", f"{RUNS}?limit=canary&state=canary&project_id=canary/", None),
        ("GET", f"{RUNS}/x/jobs/node/canary", None),
    ],
)
def test_no_value_that_was_sent_is_repeated(shared: Desk, method: str, path: str, body: str | None) -> None:
    """A refusal names the place of the fault, never the value."""
    answer = shared.ask(method, path, content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "api/invalid")
    assert "canary" not in answer.text


def test_json_that_is_taken() -> None:
    """The whole of Unicode, 64 bits and some depth are accepted."""
    value = {"a": ["ä😀", -(2**63), 2**63 - 1, 1.5, None, True], "b": {"c": [[[]]]}}
    assert parse(json.dumps(value).encode()) == value


def test_a_large_table_is_taken() -> None:
    """A table of 100,000 labelled rows of eight columns is accepted."""
    row = json.dumps({"label": "x", "values": {f"column{number}": "x" for number in range(8)}}).encode()
    assert len(parse(b"[" + b",".join([row] * 100_000) + b"]")) == 100_000


@pytest.mark.parametrize(
    "body",
    [
        [],
        5,
        {},
        {"workflow": []},
        {"workflow": PLAIN, "template_id": "x"},
        {"workflow": PLAIN, "rows": [], "inputs": []},
        {"workflow": PLAIN, "unknown": 1},
        {"workflow": PLAIN, "project_id": "*"},
        {"workflow": PLAIN, "project_id": "a b"},
        {"workflow": PLAIN, "rows": [{"label": {"a": 1}, "values": {}}]},
        {"workflow": PLAIN, "rows": [{"values": []}]},
        {"workflow": PLAIN, "config": {"max_parallel": 0}},
        {"workflow": PLAIN, "shape": {"index": 5}},
        {"workflow": PLAIN, "functions": {"a": {}}},
        {"template": {"name": ""}},
        {"template": {"name": "x", "version": 2**40}},
        {"template_id": "x" * 500},
        {"workflow": {"nodes": "x"}},
        {"workflow": {"name": 5, "nodes": []}},
        {"workflow": {"nodes": [{"id": "a", "type": "call", "config": {"function": [1]}}]}},
        {"workflow": {"version": 7}},
    ],
)
def test_submissions_that_are_refused(shared: Desk, body: Any) -> None:
    """Each is a 422 that names the place, and nothing is written; a forecast refuses the same."""
    for path in (RUNS, "/api/workflows/forecast"):
        answer = shared.ask("POST", path, "shop-write", json=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] in ("api/invalid", "workflow/invalid")
    assert shared.ask("GET", RUNS, "shop-write").json()["executions"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"choose": "0"},
        {"choose": [True]},
        {"choose": [-1]},
        {"choose": [2**70]},
        {"choose": [0], "edits": {"9" * 500: "x"}},
        {"choose": [0], "edits": {"٣": "x"}},
        {"choose": [0], "edits": {"0": 5}},
        {"choose": [0], "edits": {"0": {"x" * 500: "y"}}},
        {"choose": [0], "comment": "x" * 10_001},
        {"choose": [0], "by": "x" * 101},
        {"choose": [0] * 6_000},
    ],
)
def test_decisions_that_are_refused(shared: Desk, body: Any) -> None:
    """An invalid decision is 422, and the review stays open."""
    id = submit(shared, document=FLOW)
    work_off(shared, id)
    answer = shared.ask("POST", f"{RUNS}/{id}/reviews/pick/0/approve", content=json.dumps(body))
    assert (answer.status_code, answer.json()["code"]) == (422, "api/invalid")
    assert len(shared.ask("GET", f"{RUNS}/{id}/reviews").json()["reviews"]) == 1


QUERIES = [
    "limit=0",
    "limit=x",
    f"limit={10**30}",
    "after=",
    "after=nonsense",
    f"after={'9' * 900}",
    "after=WzFlOTk5LCAieCJd",
    "after=WzEsICJcdWQ4MDAiXQ",
    "after=W1tdLCB7fV0",
    "state=sleeping",
    "project_id=a/b",
]


def test_lists_that_cannot_be_asked_for(desk: Desk) -> None:
    """Invalid limits, cursors and filters are 422 on both databases."""
    id = submit(desk)
    pages = [*(f"{RUNS}/{id}/{name}" for name in ("jobs", "rows", "events")), "/api/workflows/templates/plain/versions"]
    for query in QUERIES:
        for path in [RUNS, *pages] if query.startswith(("limit", "after")) else [RUNS]:
            assert desk.ask("GET", f"{path}?{query}").status_code == 422, (path, query)


def test_bodies_that_are_too_large(shared: Desk) -> None:
    """A body beyond the limit of its route is 413, whether it states its length or comes in parts."""

    def parts(size: int) -> Iterator[bytes]:
        for _ in range(size // 2**20 + 1):
            yield b" " * 2**20

    place = f"{RUNS}/x/reviews/pick/0/approve"
    for answer in (
        shared.ask("POST", place, content=b" " * (SMALL + 1)),
        shared.ask("POST", place, content=parts(SMALL)),
        shared.ask("POST", "/api/artifacts", content=parts(LARGE)),
        shared.ask("POST", RUNS, content=b"{", headers={"Content-Length": "9" * 30}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (413, "api/too-large")


def test_a_forecast_for_who_may_only_look(shared: Desk) -> None:
    """It takes 4 MB from a token that may not submit, and more from one that may."""
    body = json.dumps({"workflow": PLAIN, "inputs": {"product": "x" * MIDDLE}})
    refused = shared.ask("POST", "/api/workflows/forecast", "press-review", content=body)
    assert (refused.status_code, refused.json()["code"]) == (413, "api/too-large")
    assert "4 MB" in refused.json()["detail"]
    assert shared.ask("POST", "/api/workflows/forecast", "press-write", content=body).status_code == 200


def test_large_bodies_take_turns() -> None:
    """One body over a megabyte at a time becomes values, while smaller ones pass."""
    began, let_go, inside = threading.Event(), threading.Event(), []

    def first() -> None:
        began.set()
        assert let_go.wait(20)
        inside.append("first")

    async def test() -> None:
        threads = Threads()
        large = asyncio.create_task(threads.work(first, LARGE_BYTES + 1))
        assert await asyncio.to_thread(began.wait, 20)
        later = asyncio.create_task(threads.work(lambda: inside.append("later"), LARGE_BYTES + 1))
        await threads.work(lambda: inside.append("small"), LARGE_BYTES)
        let_go.set()
        await asyncio.gather(large, later)
        threads.close()

    asyncio.run(test())
    assert inside == ["small", "first", "later"]


def test_the_length_of_rows_is_known_before_they_are_read(desk: Desk) -> None:
    """The longest row of a page is known before the page is read, and a page ends before a row that is too long for it."""
    id = submit(desk, inputs=[{"product": "x"}, {"product": "y" * (PAGE_CHARACTERS + 1)}])
    found = desk.service.reader.of("press", id)
    assert found.longest_row(after=None, limit=1) < 100
    assert found.longest_row(after=None, limit=2) > PAGE_CHARACTERS
    read = desk.ask("GET", f"{RUNS}/{id}/rows").json()
    assert [len(row["values"]["product"]) for row in read["rows"]] == [1]
    rest = desk.ask("GET", f"{RUNS}/{id}/rows?after={read['next']}").json()
    assert [len(row["values"]["product"]) for row in rest["rows"]] == [PAGE_CHARACTERS + 1]


def requested(parts: AsyncIterator[dict[str, Any]]) -> Request:
    return Request({"type": "http", "method": "POST", "headers": []}, receive=lambda: anext(parts))


def test_a_body_that_does_not_come() -> None:
    """A client that sends one byte and then nothing is cut off at the deadline."""

    async def one_byte() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": b"{", "more_body": True}
        await asyncio.Event().wait()

    with pytest.raises(RequestRefused, match="1 bytes of the body arrived") as caught:
        asyncio.run(read_body(requested(one_byte()), SMALL, seconds=0.05))
    assert caught.value.status == 408


def test_a_body_that_comes_slowly() -> None:
    """Each received byte extends the deadline, so a large body on a slow line arrives after the deadline of a small one."""

    async def dripping() -> AsyncIterator[dict[str, Any]]:
        for _ in range(4):
            yield {"type": "http.request", "body": b"x" * 1000, "more_body": True}
            await asyncio.sleep(0.1)
        yield {"type": "http.request", "body": b"x", "more_body": False}

    assert len(asyncio.run(read_body(requested(dripping()), SMALL, seconds=0.2, rate=50.0))) == 4001
    with pytest.raises(RequestRefused, match="bytes of the body arrived"):
        asyncio.run(read_body(requested(dripping()), SMALL, seconds=0.2, rate=1e9))
