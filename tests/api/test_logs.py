"""What attempts printed, over HTTP: in pages, for those who may read the execution."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench import RUNS, Desk, submit
from engine_driver import completed, retrying
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.values.prints import Printed

FLOW = {
    "name": "printing",
    "nodes": [
        {"id": "size", "type": "call", "config": {"function": "builtins:len", "arguments": {"obj": "{{ product }}"}}},
        {"id": "again", "type": "call", "config": {"function": "builtins:len", "arguments": {"obj": "{{ product }}"}}},
    ],
}


def printing(desk: Desk, texts: dict[tuple[str, str], str]) -> str:
    """An execution over five rows whose jobs printed these texts, and that of `size` at row 1 once more before."""
    products = ["Aurora lamp", "Tidal mug", "Moss chair", "Ember kettle", "Fern desk"]
    id = submit(desk, document=FLOW, inputs=[{"product": each} for each in products])
    recorder = Recorder(desk.service.engine.database, "bench", 10.0, lambda events: None, PlanCache().load)
    outcomes: list[Any] = []
    while claims := recorder.record(outcomes, id, 10).claims:
        outcomes = []
        for claim in claims:
            if (claim.node, claim.item, claim.number) == ("size", "1", 1):
                outcomes.append(replace(retrying(claim), printed=Printed(text="first try", done=1, of=3)))
                continue
            said = texts.get((claim.node, claim.item))
            outcomes.append(replace(completed(claim), printed=Printed(text=said) if said else None))
    return id


def test_logs_are_listed_by_job_and_attempt(desk: Desk) -> None:
    """They are those of all jobs, of a node, of an item, or of both; silent attempts are left out."""
    id = printing(desk, {("size", "0"): "zero", ("size", "1"): "one", ("again", "1"): "more"})

    def told(**asked: str) -> list[tuple[str, str, int, str]]:
        answer = desk.ask("GET", f"{RUNS}/{id}/logs", "press-read", params=asked)
        assert answer.json()["next"] is None
        return [(log["node"], log["item"], log["number"], log["text"]) for log in answer.json()["logs"]]

    size = [("size", "0", 1, "zero"), ("size", "1", 1, "first try"), ("size", "1", 2, "one")]
    assert sorted(told()) == sorted([*size, ("again", "1", 1, "more")])
    assert told(node="size") == size
    assert sorted(told(item="1")) == sorted([*size[1:], ("again", "1", 1, "more")])
    assert told(node="size", item="1") == size[1:]
    assert told(node="size", item="3") == []
    (log, _) = desk.ask("GET", f"{RUNS}/{id}/logs?node=size&item=1").json()["logs"]
    assert (log["label"], log["outcome"], log["done"], log["of"]) == ("Tidal mug", "retrying", 1, 3)


def test_logs_come_in_pages(desk: Desk) -> None:
    """A page has at most `limit`, and at most some 8 MB of text; the cursor leads to the rest, and another text is refused."""
    id = printing(desk, {("size", str(row)): str(row) * 2_000_000 for row in range(5)})
    seen: list[tuple[str, int]] = []
    cursor = None
    while cursor is not None or not seen:
        asked = {"limit": 4} | ({"after": cursor} if cursor else {})
        answer = desk.ask("GET", f"{RUNS}/{id}/logs", params=asked).json()
        assert len(answer["logs"]) <= 4
        assert sum(len(log["text"]) for log in answer["logs"]) <= 8_000_000
        seen += [(log["item"], log["number"]) for log in answer["logs"]]
        cursor = answer["next"]
    assert seen == [("0", 1), ("1", 1), ("1", 2), ("2", 1), ("3", 1), ("4", 1)]
    refused = desk.ask("GET", f"{RUNS}/{id}/logs?after=nonsense")
    assert (refused.status_code, refused.json()["code"]) == (422, "api/cursor")


def test_logs_of_another_project_are_not_found(desk: Desk) -> None:
    """A token of another project learns nothing, and one without any is refused."""
    id = printing(desk, {("size", "0"): "secret plans"})
    assert desk.ask("GET", f"{RUNS}/{id}/logs", "shop-write").status_code == 404
    assert desk.ask("GET", f"{RUNS}/{id}/logs", None).status_code == 401


def test_the_details_of_a_job_have_what_each_attempt_printed(desk: Desk) -> None:
    """Each attempt has its own text, one that was silent none."""
    id = printing(desk, {("size", "1"): "one"})
    job = desk.ask("GET", f"{RUNS}/{id}/jobs/size/1").json()
    assert [(each["printed"], each["done"], each["of"]) for each in job["attempts"]] == [
        ("first try", 1, 3),
        ("one", None, None),
    ]
    silent = desk.ask("GET", f"{RUNS}/{id}/jobs/size/2").json()
    assert [each["printed"] for each in silent["attempts"]] == [None]
