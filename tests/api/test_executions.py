"""Submissions, controls and reads over HTTP, on both databases."""

from __future__ import annotations

import base64
import json
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cloudpickle
import pytest
from sqlalchemy import text

from bench import FLOW, PLAIN, RUNS, Desk, open_desk, submit, work_off
from xtyl_engine.functions.packed_function import PYTHON
from xtyl_engine.queries.views import Execution, JobDetail, JobPage, Overview
from xtyl_engine.queries.wire import from_json


def test_a_submission_becomes_an_execution(desk: Desk) -> None:
    """It is 201 with the execution and its address; once worked off, overview, jobs, rows, plan and events show it."""
    answer = desk.ask("POST", RUNS, json={"workflow": PLAIN, "inputs": [{"product": "Lamp"}, {"product": "Mug"}]})
    assert answer.status_code == 201
    made = from_json(Execution, answer.json())
    assert (made.project, made.rows, made.total) == ("press", 2, 4)
    place = answer.headers["location"]
    work_off(desk, made.id)
    assert desk.ask("GET", place).json()["state"] == "completed"
    seen = from_json(Overview, desk.ask("GET", f"{place}/overview").json())
    assert seen.progress == 100
    assert desk.ask("GET", f"{place}/rows").json()["rows"] == [
        {"label": 0, "values": {"product": "Lamp"}},
        {"label": 1, "values": {"product": "Mug"}},
    ]
    jobs = desk.ask("GET", f"{place}/jobs?outputs=true").json()["jobs"]
    assert [job["item"] for job in jobs] == ["0.0", "0.1", "1.0", "1.1"]
    assert all("Lamp" in job["output"]["text"] for job in jobs[:2])
    assert {job["output"] is None for job in desk.ask("GET", f"{place}/jobs").json()["jobs"]} == {True}
    assert from_json(JobDetail, desk.ask("GET", f"{place}/jobs/headline/0.1").json()).asked["prompt"].endswith("Lamp")
    assert from_json(JobPage, desk.ask("GET", f"{place}/nodes/headline/jobs?count=3").json()).total == 4
    assert desk.ask("GET", f"{place}/plan").json()["name"] == "plain"
    kinds = [event["kind"] for event in desk.ask("GET", f"{place}/events").json()["events"]]
    assert (kinds[0], kinds[-1]) == ("submitted", "completed")


def test_what_a_submission_runs_over(desk: Desk) -> None:
    """It takes labelled rows, one object for all rows, or nothing, which is one row; each stores a shape that restores
    a frame."""
    rows = [{"label": "lamp", "values": {"product": "Lamp"}}, {"label": ["a", 1], "values": {"product": "Mug"}}]
    flow = {
        "name": "w",
        "nodes": [{"id": "h", "type": "generate_copy", "config": {"prompt": "{{ product }} {{ tone }}"}}],
    }
    id = submit(desk, document=flow, inputs={"tone": "calm"}, rows=rows)
    found = desk.ask("GET", f"{RUNS}/{id}/rows").json()["rows"]
    assert found == [
        {"label": "lamp", "values": {"product": "Lamp", "tone": "calm"}},
        {"label": ["a", 1], "values": {"product": "Mug", "tone": "calm"}},
    ]
    assert desk.ask("GET", f"{RUNS}/{id}").json()["shape"] == {"columns": ["product"], "dtypes": {}, "inputs": ["tone"]}
    shape = {
        "columns": ["product"],
        "dtypes": {"product": "str"},
        "index": {"names": ["sku"], "dtypes": ["int64"]},
        "inputs": [],
    }
    shaped = submit(desk, shape=shape)
    assert desk.ask("GET", f"{RUNS}/{shaped}").json()["shape"] == shape
    bare = {"name": "w", "nodes": [{"id": "h", "type": "generate_copy", "config": {"prompt": "hello"}}]}
    assert desk.ask("POST", RUNS, json={"workflow": bare}).json()["rows"] == 1
    none = desk.ask("POST", RUNS, json={"workflow": bare, "rows": []}).json()
    assert (none["rows"], none["state"]) == (0, "completed")


def test_a_key_makes_one_execution(desk: Desk) -> None:
    """The same submission again is 200 with the same execution; another body with the key is refused; another project
    has keys of its own."""
    body, key = {"workflow": PLAIN, "inputs": {"product": "Lamp"}}, {"Idempotency-Key": "once"}
    first = desk.ask("POST", RUNS, json=body, headers=key)
    again = desk.ask("POST", RUNS, json=dict(reversed(body.items())), headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = desk.ask("POST", RUNS, json={**body, "inputs": {"product": "Mug"}}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "run/key-reused")
    assert desk.ask("POST", RUNS, "shop-write", json=body, headers=key).status_code == 201


def test_a_key_raced_by_many_makes_one_execution(desk: Desk) -> None:
    """Of simultaneous submissions one is 201 and the others are 200, all with the same execution."""
    barrier, found = threading.Barrier(6), []
    body, key = {"workflow": PLAIN, "inputs": {"product": "Lamp"}}, {"Idempotency-Key": "raced"}

    def send() -> None:
        barrier.wait(20)
        found.append(desk.ask("POST", RUNS, json=body, headers=key))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(each.status_code for each in found) == [200] * 5 + [201]
    assert len({each.json()["id"] for each in found}) == 1


def test_a_wrong_workflow_is_told_whole(desk: Desk) -> None:
    """All its problems are reported at once, each with code, node, message and hint."""
    flow = {
        "name": "w",
        "nodes": [
            {"id": "a", "type": "generate_copy", "config": {"prompt": "{{ b.text }} {{ product }}"}},
            {"id": "c", "type": "no_such_type"},
        ],
    }
    answer = desk.ask("POST", RUNS, json={"workflow": flow, "inputs": [{"product": 1}]})
    told = answer.json()
    assert (answer.status_code, told["code"]) == (422, "workflow/invalid")
    assert answer.headers["content-type"] == "application/problem+json"
    assert {each["code"] for each in told["problems"]} >= {"workflow/unknown-reference", "workflow/unknown-type"}
    ragged = desk.ask("POST", RUNS, json={"workflow": PLAIN, "inputs": [{"product": "x"}, {"produkt": "y"}]})
    assert [each["code"] for each in ragged.json()["problems"]] == ["workflow/unknown-reference"]


def test_controls(desk: Desk) -> None:
    """Each answers with the new state of the execution; one that the state does not allow is 400 and names the state."""
    id = submit(desk)
    states = [desk.ask("POST", f"{RUNS}/{id}/{verb}").json()["state"] for verb in ("pause", "resume", "stop", "resume")]
    assert states == ["paused", "pending", "stopped", "pending"] or states[1] in ("pending", "running")
    refused = desk.ask("POST", f"{RUNS}/{id}/retry")
    assert (refused.status_code, refused.json()["code"]) == (400, "run/refused")
    assert refused.json()["state"] in ("pending", "running")


def test_who_did_it_is_kept(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Submissions and controls are events with the token's name; every write is a line of the log with it."""
    caplog.set_level("INFO", "xtyl")
    id = submit(desk, "all", document=FLOW, project_id="press")
    for verb in ("pause", "resume", "stop", "resume"):
        desk.ask("POST", f"{RUNS}/{id}/{verb}")
    work_off(desk, id)
    desk.ask("POST", f"{RUNS}/{id}/reviews/pick/0/another", "press-review", json={"by": "ana"})
    work_off(desk, id)
    desk.ask("POST", f"{RUNS}/{id}/reviews/pick/0/reject", "press-review", json={"reason": "no"})
    kept = desk.ask("POST", "/api/workflows/templates", json={"workflow": FLOW}).json()
    stored = desk.ask("POST", "/api/artifacts", content=b"x").json()
    events = desk.ask("GET", f"{RUNS}/{id}/events").json()["events"]
    assert [(each["kind"], each["data"]["by"]) for each in events if "by" in each["data"]] == [
        ("submitted", "all"),
        ("paused", "press-write"),
        ("resumed", "press-write"),
        ("stopped", "press-write"),
        ("reopened", "press-write"),
        ("another_asked", "ana (press-review)"),
        ("job_decided", "press-review"),
    ]
    assert [line for line in caplog.messages if " by " in line] == [
        f"submit by all: {id}",
        *(f"{verb} by press-write: {id}" for verb in ("pause", "resume", "stop", "resume")),
        f"another by press-review: {id}, pick 0",
        f"reject by press-review: {id}, pick 0",
        f"keep by press-write: 'launch' {kept['version']} of press",
        f"store by press-write: {stored['$artifact']}",
    ]


def test_pages(desk: Desk) -> None:
    """Every list can be read to its end by `next`, each thing once, filters included."""
    ids = [submit(desk) for _ in range(5)]
    named = submit(desk, document={**PLAIN, "name": "other"})
    desk.ask("POST", f"{RUNS}/{ids[0]}/stop")

    def turned(path: str, name: str) -> list[Any]:
        found, after = [], None
        while True:
            page = desk.ask(
                "GET", f"{path}{'&' if '?' in path else '?'}limit=2" + (f"&after={after}" if after else "")
            ).json()
            found += page[name]
            if (after := page["next"]) is None:
                return found
            assert len(page[name]) == 2

    assert [each["id"] for each in turned(RUNS, "executions")] == [named, *reversed(ids)]
    assert [each["id"] for each in turned(f"{RUNS}?state=stopped", "executions")] == [ids[0]]
    assert [each["id"] for each in turned(f"{RUNS}?name=other&state=pending", "executions")] == [named]
    work_off(desk, ids[1])
    assert [each["item"] for each in turned(f"{RUNS}/{ids[1]}/jobs?node=headline&state=completed", "jobs")] == [
        "0.0",
        "0.1",
    ]
    numbers = [each["sequence"] for each in turned(f"{RUNS}/{ids[1]}/events", "events")]
    assert numbers == list(range(1, len(numbers) + 1))
    wide = submit(desk, inputs=[{"product": f"p{place}"} for place in range(5)])
    assert [each["label"] for each in turned(f"{RUNS}/{wide}/rows", "rows")] == [0, 1, 2, 3, 4]
    for prompt in ("one", "two", "three"):
        flow = {"name": "kept", "nodes": [{"id": "h", "type": "generate_copy", "config": {"prompt": prompt}}]}
        desk.ask("POST", "/api/workflows/templates", json={"workflow": flow})
    assert [each["version"] for each in turned("/api/workflows/templates/kept/versions", "templates")] == [3, 2, 1]
    assert [each["name"] for each in turned("/api/workflows/templates", "templates")] == ["kept", "other", "plain"]


@pytest.mark.parametrize("path", ["jobs?outputs=true", "rows", "events"])
def test_long_texts_make_short_pages(desk: Desk, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A page with long texts ends before `limit`, the next continues, and one text that is too long for a page goes alone."""
    id = submit(desk, inputs=[{"product": f"{place}"} for place in range(60)])
    lengths = [100 if place < 40 else 9_000 if place != 50 else 30_000 for place in range(60)]
    name = path.partition("?")[0]
    with desk.service.engine.database.engine.begin() as connection:
        for place, length in enumerate(lengths):
            at = {"id": id, "place": place, "text": json.dumps({"text": "x" * length})}
            connection.execute(text(LENGTHEN[name]), {**at, "item": f"{place}.0"})
    monkeypatch.setattr("xtyl_engine.queries.pages.PAGE_CHARACTERS", 25_000)
    pages: list[list[Any]] = []
    after: str | None = ""
    while after is not None:
        asked = f"{path}{'&' if '?' in path else '?'}limit=1000{after and f'&after={after}'}"
        answer = desk.ask("GET", f"{RUNS}/{id}/{asked}")
        pages.append(answer.json()[name])
        assert len(answer.content) < 25_000 + 400 * len(pages[-1]) or len(pages[-1]) == 1
        after = answer.json()["next"]
    whole = [each for page in pages for each in page]
    monkeypatch.undo()
    assert whole == desk.ask("GET", f"{RUNS}/{id}/{path}{'&' if '?' in path else '?'}limit=1000").json()[name]
    assert len(pages) > 10
    assert [len(page) for page in pages if "x" * 30_000 in json.dumps(page)] == [1]


LENGTHEN = {
    "jobs": "UPDATE agent_jobs SET output = :text WHERE execution_id = :id AND item = :item",
    "rows": """UPDATE execution_rows SET "values" = :text WHERE execution_id = :id AND position = :place""",
    "events": """INSERT INTO execution_events (execution_id, sequence, time, kind, data)
        VALUES (:id, :place + 2, 0, 'job_started', :text)""",
}


def test_templates_are_kept_and_run(desk: Desk) -> None:
    """A workflow is stored once under its name and number; it runs by name, by version and by id, and the answer says
    which inputs are missing."""
    first = desk.ask("POST", "/api/workflows/templates", json={"workflow": PLAIN})
    again = desk.ask("POST", "/api/workflows/templates", json={"workflow": PLAIN})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    kept = desk.ask("GET", "/api/workflows/templates/plain?version=1").json()
    assert kept["workflow"]["nodes"] == PLAIN["nodes"]
    for named in (
        {"template": {"name": "plain"}},
        {"template": {"name": "plain", "version": 1}},
        {"template_id": kept["id"]},
    ):
        made = desk.ask("POST", RUNS, json={**named, "inputs": {"product": "Lamp"}})
        assert (made.status_code, made.json()["template_id"]) == (201, kept["id"])
    lacking = desk.ask("POST", RUNS, json={"template": {"name": "plain"}, "inputs": {"tone": "calm"}})
    assert {each["code"] for each in lacking.json()["problems"]} == {
        "workflow/missing-column"
    } or lacking.status_code == 422
    assert desk.ask("POST", RUNS, json={"template": {"name": "plain", "version": 7}}).status_code == 404
    assert desk.ask("GET", "/api/workflows/templates/none/versions").status_code == 404


@pytest.mark.parametrize("name", ["spring/launch", "a b/ü?#%", "/x/", "versions"])
def test_any_name_of_a_template_can_be_read(lite: Desk, name: str) -> None:
    """A name with slashes can be read, listed and run, whether stored by itself or with a submission."""
    submit(lite, document={**PLAIN, "name": name})
    assert lite.ask("POST", "/api/workflows/templates", json={"workflow": {**PLAIN, "name": name}}).status_code == 200
    place = f"/api/workflows/templates/{quote(name, safe='')}"
    assert lite.ask("GET", place).json()["name"] == name
    assert [each["name"] for each in lite.ask("GET", f"{place}/versions").json()["templates"]] == [name]
    made = lite.ask("POST", RUNS, json={"template": {"name": name}, "inputs": {"product": "Lamp"}})
    assert made.status_code == 201


def test_a_forecast_writes_nothing(desk: Desk) -> None:
    """It counts the jobs that would run, cached ones apart, and says why and for how much."""
    body = {"workflow": PLAIN, "inputs": [{"product": "Lamp"}]}
    id = submit(desk, inputs=body["inputs"])
    work_off(desk, id)
    nodes = desk.ask("POST", "/api/workflows/forecast", "press-read", json=body).json()["nodes"]
    costs = {"why": "in the cache", "cost_low": 0, "cost_high": 0}
    assert nodes == [{"node": "headline", "type": "generate_copy", "jobs": 2, "cached": 2, **costs}]
    assert len(desk.ask("GET", RUNS).json()["executions"]) == 1


def test_decisions(desk: Desk) -> None:
    """Approval with an edit works, with the token's name on it; a second decision is 409, as is an invalid choice."""
    id = submit(desk, document=FLOW)
    work_off(desk, id)
    waiting = desk.ask("GET", f"{RUNS}/{id}/reviews", "press-read").json()["reviews"]
    assert [(each["node"], each["item"], len(each["options"])) for each in waiting] == [("pick", "0", 2)]
    place = f"{RUNS}/{id}/reviews/pick/0"
    wrong = desk.ask("POST", f"{place}/approve", "press-review", json={"choose": [9]})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "review/refused")
    body = {"choose": [1], "edits": {"1": "Light"}, "by": "ana", "comment": "shorter"}
    assert desk.ask("POST", f"{place}/approve", "press-review", json=body).status_code == 200
    decision = desk.ask("GET", f"{RUNS}/{id}/jobs/pick/0").json()["decision"]
    assert (decision["by"], decision["choice"], decision["comment"]) == ("ana (press-review)", [1], "shorter")
    assert decision["edits"][0][2] == "Light"
    assert desk.ask("POST", f"{place}/reject", json={"reason": "late"}).status_code == 409
    assert desk.ask("POST", f"{RUNS}/{id}/reviews/pick/7/reject", json={"reason": "x"}).status_code == 404


def test_another_option_and_a_rejection(desk: Desk) -> None:
    """Another option is requested, then all are rejected, both under the token's name."""
    id = submit(desk, document=FLOW)
    work_off(desk, id)
    place = f"{RUNS}/{id}/reviews/pick/0"
    assert desk.ask("POST", f"{place}/another", json={"comment": "warmer"}).status_code == 200
    work_off(desk, id)
    assert len(desk.ask("GET", f"{RUNS}/{id}/reviews").json()["reviews"][0]["options"]) == 3
    assert desk.ask("POST", f"{place}/reject", json={"reason": "off brand"}).status_code == 200
    decision = desk.ask("GET", f"{RUNS}/{id}/jobs/pick/0").json()["decision"]
    assert (decision["action"], decision["by"]) == ("reject", "press-write")


def doubled(x: int) -> int:
    return x * 2


def packed(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A workflow that calls a function of a notebook, and the function in the form that is sent."""
    blob = cloudpickle.dumps((lambda product: product + "!", "", ()))
    stored = {"digest": sha256(blob).hexdigest(), "name": "loud", "python": PYTHON}
    flow = {
        "name": "w",
        "nodes": [
            {"id": "f", "type": "call", "config": {"function": stored, "arguments": {"product": "{{ product }}"}}}
        ],
    }
    return flow, {"f": {"name": "loud", "python": PYTHON, "blob": base64.b64encode(blob).decode()} | changes}


def test_functions_of_a_notebook(desk: Desk) -> None:
    """A packed function is signed for its execution and runs."""
    flow, functions = packed()
    id = submit(desk, document=flow, functions=functions)
    work_off(desk, id)
    (job,) = desk.ask("GET", f"{RUNS}/{id}/jobs?outputs=true").json()["jobs"]
    assert job["output"] == {"value": "Aurora lamp!"}
    assert "blob" not in json.dumps(desk.ask("GET", f"{RUNS}/{id}/plan").json())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"python": "3.1"}, "function/rejected"),
        ({"blob": base64.b64encode(b"x" * (11 * 2**20)).decode()}, "limit/exceeded"),
        ({"blob": "?"}, "api/invalid"),
        ({"name": "a\0b"}, "api/invalid"),
        ({"name": ""}, "api/invalid"),
    ],
)
def test_functions_that_are_refused(lite: Desk, changes: dict[str, Any], code: str) -> None:
    """Another Python, too many bytes, no base64, or a name with NUL is 422, and nothing is written."""
    flow, functions = packed(**changes)
    answer = lite.ask("POST", RUNS, json={"workflow": flow, "inputs": {"product": "x"}, "functions": functions})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert lite.ask("GET", RUNS).json()["executions"] == []


@pytest.mark.parametrize("digest", ["", "0" * 63, "G" * 64, "0" * 65, f"{'0' * 64}\n", 5, None])
def test_a_digest_of_a_function_is_64_hex_digits(lite: Desk, digest: Any) -> None:
    """Another one is refused with the node's name: functions of one run are told apart by it, and cached results found."""
    flow, functions = packed()
    flow["nodes"][0]["config"]["function"]["digest"] = digest
    answer = lite.ask("POST", RUNS, json={"workflow": flow, "inputs": {"product": "x"}, "functions": functions})
    assert (answer.status_code, answer.json()["problems"][0]["node"]) == (422, "f")


def test_equal_digests_are_equal_code(desk: Desk) -> None:
    """A client says which code is the same: with `cache`, another blob of the same digest takes the first one's result."""
    flow, functions = packed()
    flow["nodes"][0]["config"]["cache"] = True
    flow["nodes"][0]["config"]["function"]["digest"] = "a" * 64
    work_off(desk, submit(desk, document=flow, functions=functions))
    functions["f"]["blob"] = base64.b64encode(cloudpickle.dumps((lambda product: "other", "", ()))).decode()
    id = submit(desk, document=flow, functions=functions)
    work_off(desk, id)
    (job,) = desk.ask("GET", f"{RUNS}/{id}/jobs?outputs=true").json()["jobs"]
    assert (job["output"], job["cached"]) == ({"value": "Aurora lamp!"}, True)


def test_functions_by_name_that_are_not_opened(tmp_path: Path, broker: str) -> None:
    """A token that may write names no code of its choice: a submission, a forecast and a template that do are refused with
    the variable that the operator sets, and so is a template that was kept before the list changed."""
    database = f"sqlite:///{tmp_path / 'xtyl.db'}"
    ways = ("posixpath:basename", "subprocess:getoutput", {"reference": "posixpath:os.system", "digest": "a" * 64})
    nodes = [
        {"id": f"f{at}", "type": "call", "config": {"function": way, "arguments": {"p": "a"}}}
        for at, way in enumerate(ways)
    ]
    opened = {"XTYL_ACCEPT_FUNCTIONS": "0", "XTYL_FUNCTIONS": "posixpath:*"}
    lite = open_desk(tmp_path / "home", database, broker, **opened)
    with lite.client:
        for path in (RUNS, "/api/workflows/forecast", "/api/workflows/templates"):
            answer = lite.ask("POST", path, json={"workflow": {"name": "w", "nodes": nodes}})
            assert answer.status_code == 422
            told = [(each["code"], each["node"]) for each in answer.json()["problems"]]
            assert told == [("workflow/function-not-open", "f1"), ("workflow/function-not-open", "f2")]
            assert all("XTYL_FUNCTIONS" in each["hint"] for each in answer.json()["problems"])
        flow = {"name": "kept", "nodes": nodes[:1]}
        kept = lite.ask("POST", "/api/workflows/templates", json={"workflow": flow}).json()
        work_off(lite, submit(lite, document=flow))
    closed = open_desk(tmp_path / "other", database, broker, XTYL_ACCEPT_FUNCTIONS="0")
    with closed.client:
        answer = closed.ask("POST", RUNS, json={"template_id": kept["id"]})
        assert answer.status_code == 422, answer.text
    assert [each["code"] for each in answer.json()["problems"]] == ["workflow/function-not-open"]


def test_functions_that_are_not_sent_or_not_kept(lite: Desk) -> None:
    """A workflow may name only functions that come with it, and a template none from a notebook."""
    flow, functions = packed()
    missing = lite.ask("POST", RUNS, json={"workflow": flow, "inputs": {"product": "x"}})
    assert missing.json()["problems"][0]["code"] == "workflow/bad-parameter"
    extra = lite.ask("POST", RUNS, json={"workflow": PLAIN, "inputs": {"product": "x"}, "functions": functions})
    assert extra.json()["problems"][0]["code"] == "workflow/bad-parameter"
    kept = lite.ask("POST", "/api/workflows/templates", json={"workflow": flow})
    assert kept.json()["problems"][0]["code"] == "workflow/function-not-portable"


@pytest.mark.parametrize("column", ["output", "values"])
def test_what_is_stored_and_cannot_be_read(desk: Desk, column: str) -> None:
    """A row that was damaged by hand is the back end's fault: 503, never with the words of a parser."""
    id = submit(desk)
    work_off(desk, id)
    table = "agent_jobs" if column == "output" else "execution_rows"
    with desk.service.engine.database.engine.begin() as connection:
        connection.execute(text(f"""UPDATE {table} SET "{column}" = '{{broken'"""))
    for path in ("jobs?outputs=true", "rows", "overview", "nodes/headline/jobs", "jobs/headline/0.0"):
        answer = desk.ask("GET", f"{RUNS}/{id}/{path}")
        assert answer.status_code in (200, 503), path
        assert "Expecting" not in answer.text
    assert desk.ask("GET", f"{RUNS}/{id}/artifacts/{'0' * 64}").status_code in (404, 503)


def test_a_decision_about_what_cannot_be_read(desk: Desk) -> None:
    """Options of a review that were damaged by hand make a decision 503, and the review stays open."""
    broken = submit(desk, document=FLOW)
    work_off(desk, broken)
    with desk.service.engine.database.engine.begin() as connection:
        connection.execute(text("UPDATE agent_jobs SET output = '{broken' WHERE node = 'pick'"))
    assert desk.ask("POST", f"{RUNS}/{broken}/reviews/pick/0/approve", json={"choose": [0]}).status_code == 503
