"""The widget sends the graph once, then only changes, and answers every click."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scripted_run import STARTED, ScriptedRun, draw_image, node_overview, overview_of, plan_of, review_of, summer_plan
from servers import wait_until
from xtyl_engine.errors import DecisionRefused
from xtyl_engine.queries.views import Decision, JobDetail, JobPage, Overview
from xtyl_nb.drawing.folding import fold
from xtyl_nb.drawing.thumbnail import thumbnail
from xtyl_nb.drawing.timeline import Bar
from xtyl_nb.drawing.words import node_state
from xtyl_nb.widget import widget as widget_module
from xtyl_nb.widget.job_panel import bars_json
from xtyl_nb.widget.state import asked_lines, describe, difference, draw_graph, mark
from xtyl_nb.widget.widget import RunWidget, wake

PLAN = summer_plan()
DEADLINE_SECONDS = 20


class Recorder(RunWidget):
    """A widget whose messages to the page are kept."""

    def __init__(self, live: ScriptedRun):
        self.sent: list[dict[str, Any]] = []
        super().__init__(live)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(json.loads(json.dumps(content)))

    def click(self, kind: str, **details: Any) -> dict[str, Any]:
        self._handle_custom_msg({"kind": kind, "ask": "1", **details}, [])
        return next(message for message in reversed(self.sent) if message["kind"] != "patch")


def scripted(*states: str) -> ScriptedRun:
    return ScriptedRun(PLAN, *(overview_of(PLAN, state) for state in states))


def caught_up(shown: Recorder) -> dict[str, Any]:
    """The state in a page that was open from the beginning."""
    state: dict[str, Any] = json.loads(json.dumps(describe(overview_of(PLAN)) | {"number": 0}))
    for message in shown.sent:
        if message["kind"] == "patch":
            assert message["number"] == state["number"] + 1
            patch = dict(message["patch"])
            nodes = state["nodes"] | patch.pop("nodes", {})
            gone = patch.pop("gone", [])
            reviews = {key: value for key, value in state["reviews"].items() if key not in gone}
            state = state | patch | {"nodes": nodes, "reviews": reviews | patch.get("reviews", {})}
            state["number"] = message["number"]
    return state


def test_a_run_without_news_is_looked_at_again() -> None:
    """That its worker died is no event: the page is told all the same."""
    live = scripted("running", "completed")
    shown = Recorder(live)
    shown.click("opened", view="page")
    wait_until(lambda: live.waits)
    live.become(waiting_for="a worker")
    wait_until(lambda: caught_up(shown)["waiting_for"] == "a worker")
    live.step()
    assert shown.join(DEADLINE_SECONDS)


@pytest.mark.parametrize("asked", ["headline", "nowhere", ["headline"], {"headline": 1}, 3, None])
def test_a_page_opens_stacks_and_nothing_else(asked: Any) -> None:
    """Any other name folds the opened ones."""
    shown = Recorder(scripted("running"))
    assert shown.click("fold", node=asked)["kind"] == "state"
    assert (shown.graph["opened"], len(shown.graph["nodes"])) == (0, len(PLAN.nodes))


def test_the_graph_has_a_card_for_each_node_and_a_wire_for_each_edge() -> None:
    """Cards have places and parameters; wires have paths."""
    graph = draw_graph(PLAN, "key", fold(PLAN))
    assert [node["id"] for node in graph["nodes"]] == list(PLAN.nodes)
    assert ["prompt", "A {{ tone }} headline for {{ product }}"] in [list(pair) for pair in graph["nodes"][0]["asked"]]
    assert len(graph["wires"]) == 6


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({}, "pending"),
        ({"blocked": 2}, "pending"),
        ({"blocked": 1, "completed": 1}, "open"),
        ({"ready": 1, "completed": 1}, "ready"),
        ({"running": 1, "waiting": 1, "failed": 1}, "waiting"),
        ({"running": 1, "failed": 1}, "running"),
        ({"waiting": 1, "blocked": 1}, "waiting"),
        ({"failed": 1, "completed": 9}, "failed"),
        ({"quarantined": 1}, "failed"),
        ({"stopped": 1, "completed": 1}, "stopped"),
        ({"skipped": 1, "completed": 1}, "completed"),
        ({"skipped": 3}, "skipped"),
    ],
)
def test_a_node_has_one_word_for_all_its_jobs(counts: dict[str, int], state: str) -> None:
    """A job that waits for a person comes first, then running, open and failed ones."""
    assert node_state(node_overview(**counts)) == state


def test_only_what_changed_is_sent() -> None:
    """A patch holds only the nodes that changed; no change is no patch."""
    before = describe(overview_of(PLAN))
    after = describe(overview_of(PLAN, nodes={"headline": node_overview(running=1, blocked=1)}))
    assert set(difference(before, after)["nodes"]) == {"headline"}
    assert difference(before, before | {"elapsed": before["elapsed"] + 1}) == {}


def test_a_review_that_ended_is_taken_away(tmp_path: Path) -> None:
    """Reviews come and go one by one."""
    image = draw_image(tmp_path / "a.png", top="red", bottom="blue")
    first, second = review_of([image], item="0"), review_of([image], item="1")
    before, after = (describe(overview_of(PLAN, reviews=reviews)) for reviews in ((first, second), (second,)))
    patch = difference(before, after)
    assert patch["gone"] == ["pick/0"]
    assert "reviews" not in patch
    assert before["reviews"]["pick/0"]["options"][0]["image"].startswith("data:image/jpeg")


def test_patches_add_up_to_the_state_of_a_page_just_opened() -> None:
    """A page that was open from the start and one that opens at the end show the same."""
    nodes = {"headline": node_overview(completed=2, text="Hello")}
    live = ScriptedRun(
        PLAN, overview_of(PLAN), overview_of(PLAN, nodes=nodes), overview_of(PLAN, "completed", nodes=nodes)
    )
    shown = Recorder(live)
    live.step()
    live.step()
    assert shown.join(DEADLINE_SECONDS)
    assert caught_up(shown) == json.loads(json.dumps(shown.get_state("state")["state"]))
    assert shown.get_state("state")["state"]["state"] == "completed"


def test_controls_reach_the_run_and_are_answered() -> None:
    """Pause, resume and stop arrive in order, each answered under its own number."""
    live = scripted("running")
    shown = Recorder(live)
    assert [shown.click(kind) for kind in ("pause", "resume", "stop")] == [
        {"kind": "answer", "ask": "1", "ok": True}
    ] * 3
    assert live.controls == [("pause",), ("resume",), ("stop",)]
    assert shown.join(DEADLINE_SECONDS)


def test_a_refusal_is_answered_with_reason_and_hint() -> None:
    """A control that the state does not allow comes back with both."""
    answer = Recorder(scripted("completed")).click("pause")
    assert answer["ok"] is False
    assert answer["error"] == "a completed run cannot pause"
    assert answer["hint"]


def test_decisions_carry_choice_edits_and_item(tmp_path: Path) -> None:
    """Approve and reject name the node and the item in view."""
    live = ScriptedRun(PLAN, overview_of(PLAN), overview_of(PLAN), overview_of(PLAN, "completed"))
    shown = Recorder(live)
    shown.click("approve", node="pick", item="0", choose=[2], edits={"2": "Dusk"})
    shown.click("reject", node="pick", item="1", reason="too dark")
    assert live.controls == [("approve", "pick", "0", [2], {2: "Dusk"}), ("reject", "pick", "1", "too dark")]


def test_nonsense_from_the_page_is_refused_or_ignored() -> None:
    """Malformed messages neither raise nor change anything."""
    live = scripted("completed")
    shown = Recorder(live)
    assert shown.click("approve", node="pick")["ok"] is False
    nonsense: Any
    for nonsense in (None, "pause", [], {"kind": ["pause"]}, {"kind": "__init__"}):
        shown._handle_custom_msg(nonsense, [])
    assert live.controls == []


def test_a_page_that_missed_a_patch_gets_everything() -> None:
    """On request, the widget sends its whole state again."""
    answer = Recorder(scripted("completed")).click("sync")
    assert answer["kind"] == "state"
    assert set(answer["state"]["nodes"]) == set(PLAN.nodes)


def test_a_page_cannot_write_the_state() -> None:
    """State written from the page side is dropped."""
    shown = Recorder(scripted("completed"))
    shown.set_state({"state": {"state": "running"}})
    assert shown.get_state("state")["state"]["state"] == "completed"


def test_following_ends_when_the_last_view_closes_and_begins_again_with_the_next() -> None:
    """Without a view there is no thread."""
    live = scripted("running", "completed")
    shown = Recorder(live)
    for message in ({"kind": "opened", "view": "a"}, {"kind": "closed", "view": "a"}):
        shown._handle_custom_msg(message, [])
    assert shown.join(DEADLINE_SECONDS)
    live.step()
    assert shown.full_state()["state"] == "running"
    shown._handle_custom_msg({"kind": "opened", "view": "b"}, [])
    assert shown.join(DEADLINE_SECONDS)
    assert shown.full_state()["state"] == "completed"


def test_a_run_that_goes_on_can_be_followed_again() -> None:
    """After a retry elsewhere, `wake` makes the widget follow it again."""
    live = scripted("failed", "completed")
    shown = Recorder(live)
    assert shown.join(DEADLINE_SECONDS)
    live.step()
    wake(live.id)
    assert shown.join(DEADLINE_SECONDS)
    assert shown.full_state()["state"] == "completed"


class Flaky(ScriptedRun):
    """Fails to show itself once, in the middle."""

    failures = 1

    def overview(self) -> Overview:
        if self._at == 1 and self.failures:
            self.failures -= 1
            raise ConnectionError("the database went away")
        return super().overview()


def test_trouble_while_following_is_shown_and_goes_away() -> None:
    """An error reaches the page as a message; the next good read clears it."""
    live = Flaky(PLAN, overview_of(PLAN), overview_of(PLAN, "completed"))
    shown = Recorder(live)
    live.step()
    assert shown.join(DEADLINE_SECONDS)
    troubles = [message["patch"]["trouble"] for message in shown.sent if "trouble" in message.get("patch", {})]
    assert troubles == ["ConnectionError: the database went away. Trying again.", None]


def test_the_repr_is_short_and_stable() -> None:
    """Two reads of the same run give the same, and the bundle has a picture for pages without a kernel."""
    shown = Recorder(scripted("completed"))
    data, _ = shown._repr_mimebundle_()
    assert repr(shown) == data["text/plain"] == "RunWidget(summer-launch)"
    assert "<script" not in data["text/html"]
    assert data[widget_module.VIEW_MIME]["model_id"] == shown.model_id


def test_the_page_side_is_small_and_writes_only_text() -> None:
    """It makes no markup from data, and loads nothing from elsewhere."""
    source = RunWidget._esm
    assert not any(word in source for word in ("innerHTML", "insertAdjacentHTML", "document.write", "import "))
    assert re.findall(r"https?://[^\"]*", source) == ["http://www.w3.org/2000/svg"]
    assert len(source) < 110_000


def test_a_node_opens_its_jobs() -> None:
    """It gives a page of them, those that wait for a person first, each with a short text."""
    answer = Recorder(scripted("running")).click("jobs", node="headline", start=0)
    assert (answer["ok"], answer["total"], answer["start"]) == (True, 2, 0)
    failed, done = answer["jobs"]
    assert (failed["item"], failed["state"], failed["line"]) == ("1", "failed", "it broke")
    assert (done["line"], done["start"], done["end"]) == ("Hello <script>alert(1)</script>", 0.0, 2.0)


def test_a_job_opens_with_all_that_is_known_of_it() -> None:
    """It has the parameters, the output, every attempt with its reason, the error with its traceback, and the cost."""
    shown = Recorder(scripted("running"))
    done = shown.click("job", node="headline", item="0")["job"]
    assert done["asked"] == [["prompt", "A headline for <i>Aurora</i>"]]
    assert (done["text"], done["tokens"], done["cost"]) == ("Hello\n<script>alert(1)</script>", 12, 0.01)
    failed = shown.click("job", node="headline", item="1")["job"]
    assert failed["traceback"] == "Traceback: <b>here</b>"
    assert [(each["because"], each["outcome"], each["seconds"]) for each in failed["attempts"]] == [
        ("first", "retrying", 1.0),
        ("retry", "running", None),
    ]


def test_events_are_read_newest_first() -> None:
    """Each has its number, its place and its words."""
    first, second = Recorder(scripted("running")).click("events")["events"]
    assert (first["number"], first["kind"], first["where"], first["says"]) == (
        2,
        "job started",
        "headline 0",
        "attempt 1",
    )
    assert second["number"] == 1


def test_a_question_that_cannot_be_answered_says_why() -> None:
    """An unknown node, or nonsense from the page, is answered with an error."""
    shown = Recorder(scripted("running"))
    answer = shown.click("jobs", node="unknown")
    assert (answer["ok"], answer["error"]) == (False, "there is no node 'unknown' in this run")
    assert shown.click("job", node="headline")["ok"] is False


def test_a_thousand_nodes_are_a_small_message() -> None:
    """The graph and the state of 1,000 nodes stay well below a megabyte."""
    ids = [f"n{i}" for i in range(1000)]
    plan = plan_of({id: ("call", {}) for id in ids}, [(a, b, None) for a, b in pairwise(ids)])
    assert len(json.dumps([draw_graph(plan, "k", fold(plan, plan.nodes)), describe(overview_of(plan))])) < 800_000


@pytest.mark.parametrize("content", [b"<html>", b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"<svg onload='x'/>"])
def test_files_that_are_no_images_have_no_thumbnail(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be decoded is not shown, and does no harm."""
    (tmp_path / "poster.png").write_bytes(content)
    assert thumbnail(str(tmp_path / "poster.png"), 64) is None


def test_a_card_names_the_rows_that_wait_and_the_branches_taken(tmp_path: Path) -> None:
    """Three rows by name, the rest by number; branches by how often they were taken."""
    image = draw_image(tmp_path / "a.png", top="red", bottom="blue")
    waiting = tuple(review_of([image], item=str(row), label=f"Lamp {row}") for row in range(5))
    nodes = {
        "pick": node_overview(waiting=400),
        "premium": node_overview(completed=24, branches={"otherwise": 15, "then": 9}),
    }
    shown = describe(overview_of(summer_plan(), nodes=nodes, reviews=waiting))["nodes"]
    assert shown["pick"]["waits"] == "Lamp 0, Lamp 1, Lamp 2 and 397 more"
    assert shown["premium"]["branches"] == "9 then, 15 otherwise"
    assert (shown["kit"]["waits"], shown["kit"]["branches"]) == ("", "")
    kinds = {node["id"]: node["kind"] for node in draw_graph(PLAN, "key", fold(PLAN))["nodes"]}
    assert (kinds["premium"], kinds["score"], kinds["kit"]) == ("conditional", "then: call", "attach")


def test_bars_too_short_to_be_told_apart_are_one() -> None:
    """Each job long enough to be seen has a bar, even where the next begins as it ends; tiny ones share one that looks
    like the most pressing of them."""
    tiny = [Bar(node="a", item=str(n), state="completed", start=n / 1000, end=(n + 1) / 1000) for n in range(500)]
    tiny += [Bar(node="a", item="x", state="failed", start=0.5, end=0.501)]
    long = [Bar(node="a", item=f"l{n}", state="completed", start=2.0 + n, end=3.0 + n) for n in range(7)]
    drawn = bars_json([*tiny, *long, Bar(node="a", item="z", state="running", start=9.0, end=10.0)])["a"]
    assert drawn[-8:] == [[2.0 + n, 3.0 + n, "completed", 0] for n in range(7)] + [[9.0, None, "running", 0]]
    together = drawn[:-8]
    assert len(together) < 10
    assert [state for *_, state, _ in together] == ["completed"] * (len(together) - 1) + ["failed"]
    assert (together[0][0], together[-1][1]) == (0.0, 0.501)


def test_bars_that_work_at_once_lie_in_lanes() -> None:
    """No two bars of one lane overlap, and a free lane is used again."""
    times = [(0, 4), (0, 2), (1, 3), (2, 5), (3, 6), (4, 7)]
    bars = [Bar(node="a", item=str(n), state="completed", start=a, end=b) for n, (a, b) in enumerate(times)]
    drawn = bars_json(bars)["a"]
    assert {lane for *_, lane in drawn} == {0, 1, 2}
    for start, end, _, lane in drawn:
        assert not [each for each in drawn if each[3] == lane and start < each[0] < end]


def test_a_ping_brings_a_page_up_to_date_and_leaves_no_trace() -> None:
    """A page that is behind gets everything, another one an answer; a saved notebook keeps none of it."""
    shown = Recorder(scripted("completed"))
    assert shown.join(DEADLINE_SECONDS)
    before = shown.get_state()
    assert shown.click("ping", view="a", number=shown.full_state()["number"]) == {
        "kind": "answer",
        "ask": "1",
        "ok": True,
    }
    shown.sent.clear()
    shown.click("ping", view="a", number=-1)
    assert [message["kind"] for message in shown.sent] == ["state", "answer"]
    assert shown.get_state() == before


class Decided(ScriptedRun):
    """Another person decides at the moment of the click, and the widget does not hear of it."""

    def _changed(self, after: int, timeout: float) -> bool:
        threading.Event().wait(timeout)
        return False

    def approve(self, node: str, **decision: Any) -> None:
        self._at = 1
        raise DecisionRefused("pick was already decided: approve by ana, choose=[1]", hint="The first decision stands.")

    def inspect(self, node: str, *, item: str) -> JobDetail:
        decision = Decision(action="approve", by="ana", time=STARTED + 4, choice=(1,))
        return replace(super().inspect(node, item="0"), decision=decision)


def test_a_review_that_does_not_wait_any_more_is_taken_away_when_it_is_clicked(tmp_path: Path) -> None:
    """The widget reads again by itself, and names the person and the decision."""
    image = draw_image(tmp_path / "a.png", top="red", bottom="blue")
    first, second = review_of([image], item="0"), review_of([image], item="1")
    live = Decided(PLAN, overview_of(PLAN, reviews=(first, second)), overview_of(PLAN, reviews=(second,)))
    shown = Recorder(live)
    answer = shown.click("approve", node="pick", item="0", choose=[0])
    assert (answer["ok"], answer["waits"]) == (False, False)
    assert (answer["decision"]["by"], answer["decision"]["choice"]) == ("ana", [1])
    states = [message["state"] for message in shown.sent if message["kind"] == "state"]
    assert list(states[-1]["reviews"]) == ["pick/1"]
    assert states[-1]["waiting"] == ["pick/1"]
    shown.close()


def test_what_is_looked_at_is_not_pushed_out_by_what_waits_before_it(tmp_path: Path) -> None:
    """A page loses only a review that waits no more."""
    image = draw_image(tmp_path / "a.png", top="red", bottom="blue")
    rows = [review_of([image], item=str(row)) for row in range(9)]
    late = describe(overview_of(PLAN, reviews=tuple(rows[3:])))
    assert late["waiting"] == list(late["reviews"]) == [f"pick/{row}" for row in range(3, 9)]
    early = describe(overview_of(PLAN, reviews=tuple(rows)), late["reviews"])
    assert early["waiting"] == [f"pick/{row}" for row in range(6)]
    assert "gone" not in difference(late, early)
    over = describe(overview_of(PLAN, reviews=tuple(rows[:8])), early["reviews"])
    assert difference(early, over)["gone"] == ["pick/8"]


def test_reviews_are_leafed_to_in_order(tmp_path: Path) -> None:
    """They are those after the named one; reviews that the page has come without images."""
    image = draw_image(tmp_path / "a.png", top="red", bottom="blue")
    rows = tuple(review_of([image], item=str(row)) for row in range(60))
    shown = Recorder(ScriptedRun(PLAN, overview_of(PLAN, "paused", reviews=rows)))
    answer = shown.click(
        "reviews", after="pick/52", count=3, have={"pick/54": mark(rows[54].options), "pick/55": "another"}
    )
    assert answer["keys"] == ["pick/53", "pick/54", "pick/55"]
    assert list(answer["reviews"]) == ["pick/53", "pick/55"]


class Many(ScriptedRun):
    """A node of 120 jobs, fifty to a page."""

    def _job_page(self, node: str, start: int = 0) -> JobPage:
        jobs = [replace(self.inspect(node, item="0"), item=str(item)) for item in range(start, min(start + 50, 120))]
        return JobPage(total=120, start=start, jobs=tuple(jobs))


def test_a_list_is_read_again_as_long_as_it_is() -> None:
    """It reads as many pages as were shown, and no more than there are."""
    shown = Recorder(Many(PLAN, overview_of(PLAN)))
    assert len(shown.click("jobs", node="headline", start=0)["jobs"]) == 50
    assert len(shown.click("jobs", node="headline", start=0, count=100)["jobs"]) == 100
    again = shown.click("jobs", node="headline", start=0, count=1000)["jobs"]
    assert [job["item"] for job in again] == [str(item) for item in range(120)]


def test_what_may_be_tried_again_is_told_from_what_was() -> None:
    """The limits of `retry=` have a line of their own, so that nothing else is called attempts."""
    asked = asked_lines({"prompt": "Hi", "retry": {"attempts": 5, "base_seconds": 2.0}, "arguments": {"text": "a"}})
    assert asked == [["prompt", "Hi"], ["retry", "attempts 5, base seconds 2.0"], ["text", "a"]]


def test_a_file_among_the_parameters_is_told_by_its_kind() -> None:
    """The panel of a job shows no hash where a parameter is a stored file, or holds some."""
    file = {"$artifact": "0" * 64, "media_type": "image/png", "size": 5}
    asked = asked_lines({"arguments": {"photo": file, "more": [file]}, "assets": {"spec": {"front": file}}})
    assert asked == [["photo", "image/png"], ["more", '["image/png"]'], ["front", "image/png"]]


def test_a_pause_between_jobs_is_no_work() -> None:
    """Waiting for a person in between does not count; simultaneous work counts once; running work grows."""
    apart = node_overview(completed=2, started=100.0, finished=4_000.0, worked=3.0)
    assert apart.seconds_at_work(9_999.0) == 3.0
    together = node_overview(completed=8, started=100.0, finished=104.0, worked=30.0)
    assert together.seconds_at_work(9_999.0) == 4.0
    going = node_overview(completed=1, running=1, started=100.0, worked=2.0, at_work=1, starts=200.0)
    assert going.seconds_at_work(205.0) == 7.0
    assert node_overview(blocked=1).seconds_at_work(1.0) is None


def test_a_card_ticks_until_the_next_beat_is_missing() -> None:
    """The page is told how far it may count by itself; a stack counts as far as its last node does."""
    going = node_overview(running=1, started=100.0, busy_seconds=2.0, busy_since=104.0, busy_until=113.0)
    assert [going.seconds_at_work(now) for now in (106.0, 113.0, 9_999.0)] == [4.0, 11.0, 11.0]
    shown = describe(overview_of(PLAN, started=100.0, nodes={"headline": going}))["nodes"]["headline"]
    assert (shown["worked"], shown["at_work"], shown["starts"], shown["until"]) == (2.0, 1, 4.0, 13.0)
    still = node_overview(running=1, started=100.0, busy_seconds=11.0)
    assert describe(overview_of(PLAN, started=100.0, nodes={"headline": still}))["nodes"]["headline"]["at_work"] == 0
