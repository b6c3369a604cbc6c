"""What jobs print, on the node's card and in the details of a job: as plain JSON for the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scripted_run import STARTED, ScriptedRun, node_overview, overview_of, summer_plan
from servers import wait_until
from xtyl_engine.queries.views import Attempt, JobDetail
from xtyl_engine.states import JobState
from xtyl_nb.drawing.words import progress
from xtyl_nb.widget.follower import Follower
from xtyl_nb.widget.job_panel import TEXT_SHOWN, detail_json
from xtyl_nb.widget.state import describe, difference

PLAN = summer_plan()


def card(**fields: Any) -> Any:
    """The state of the function's card."""
    return describe(overview_of(PLAN, nodes={"score": node_overview(running=1, started=STARTED, **fields)}))["nodes"][
        "score"
    ]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, ""),
        ({"printed": "epoch 3"}, "epoch 3"),
        ({"progress_done": 1200.0, "progress_of": 5000.0}, "1,200 of 5,000"),
        ({"progress_done": 0.5, "printed": "loss <b>0.2</b>"}, "0.50 · loss <b>0.2</b>"),
    ],
)
def test_a_card_says_how_far_its_jobs_are_and_what_they_print(fields: dict[str, Any], says: str) -> None:
    """It is one line: how far first, then the last line that was printed."""
    assert card(**fields)["says"] == says


def test_the_same_line_again_is_news() -> None:
    """A page whose panel shows the job reads it again, for there are more such lines by now."""
    before, after = (
        describe(overview_of(PLAN, nodes={"score": node_overview(running=1, printed="tick", printed_at=at)}))
        for at in (5.0, 6.0)
    )
    assert list(difference(before, after)["nodes"]) == ["score"]


def detail(*attempts: Attempt) -> Any:
    job = JobDetail(
        node="score", item="0", label="x", state=JobState.RUNNING, attempts_made=2, because="first", attempts=attempts
    )
    return detail_json(job, STARTED)["attempts"]


def test_the_details_have_the_prints_of_each_attempt() -> None:
    """A silent attempt has none; of a long text there is the end, and where the rest is."""
    long = "x" * 2 * TEXT_SHOWN + "end"
    first, second, third = detail(
        Attempt(1, "first", STARTED, STARTED + 1, "lost", None, "one", 3.0, 10.0),
        Attempt(2, "lost", STARTED, STARTED + 1, "retrying", "busy"),
        Attempt(3, "retry", STARTED, None, None, None, long),
    )
    assert (first["printed"], first["reached"]) == ("one", "3 of 10")
    assert (second["printed"], second["reached"]) == (None, None)
    assert third["printed"].startswith("… run.logs() shows all\nxxx")
    assert third["printed"].endswith("end")
    assert len(third["printed"]) < TEXT_SHOWN + 100


@pytest.mark.parametrize(
    ("done", "of", "words"), [(3, 10, "3 of 10"), (3.25, None, "3.25"), (12345, 1e6, "12,345 of 1,000,000")]
)
def test_progress_is_said_in_words(done: float, of: float | None, words: str) -> None:
    """Whole numbers have no point."""
    assert progress(done, of) == words


def test_while_a_function_runs_it_is_looked_at_every_second() -> None:
    """What it prints is no event; a run without a function is left alone for longer."""

    def waits_before_second_look(node: str) -> int:
        running = {node: node_overview(running=1, started=STARTED)}
        live = ScriptedRun(PLAN, overview_of(PLAN, nodes=running), overview_of(PLAN, "completed"))
        seen: list[int] = []
        follower = Follower(live, seen=lambda _: seen.append(live.waits), failed=print, is_watched=lambda: True)
        follower.start()
        wait_until(lambda: len(seen) > 1)
        live.step()
        assert follower.join(20)
        return seen[1]

    assert waits_before_second_look("score") == 1
    assert waits_before_second_look("headline") > 1


def test_a_card_and_the_head_say_what_was_spent() -> None:
    """Sums over the jobs so far; a step that cost nothing says nothing of money."""
    nodes = {
        "score": node_overview(running=1, spent=250_000_000, unpriced=1, from_cache=2, saved=0),
        "headline": node_overview(completed=1, spent=0, unpriced=0, from_cache=0, saved=0),
    }
    state = describe(replace(overview_of(PLAN, nodes=nodes), nodes=nodes))
    assert [state["nodes"][id]["money"] for id in nodes] == ["$0.25", ""]
    assert state["money"] == "$0.25 spent · 1 of unknown cost · 2 from the cache"


def test_the_details_say_what_each_attempt_cost() -> None:
    """The provider's name of the request, its cost, and its notes; for the job the sums, and the source of the price."""
    attempts = (
        Attempt(
            1, "first", STARTED, STARTED + 1, "retrying", "cut", request_id="r-0", notes=("Cut.",), cost_kind="unknown"
        ),
        Attempt(2, "retry", STARTED, None, "completed", None, request_id="r-1", cost=0.25, cost_kind="known"),
        Attempt(3, "retry", STARTED, None, None, None),
    )
    found = detail(*attempts)
    assert [(each["request"], each["notes"]) for each in found] == [
        ("r-0 · of unknown cost", ["Cut."]),
        ("r-1 · $0.25", []),
        ("", []),
    ]
    job = JobDetail(
        node="score",
        item="0",
        label="x",
        state=JobState.COMPLETED,
        attempts_made=2,
        because="first",
        tokens=1_100,
        input_tokens=1_000,
        cached_tokens=10,
        output_tokens=100,
        cost=0.25,
        price="a list, 2026-12-01",
        unpriced=1,
    )
    assert detail_json(job, STARTED)["paid"] == (
        "1,000 in, 10 of these cached, 100 out tokens · $0.25 · 1 of unknown cost · a list, 2026-12-01"
    )
    told = detail_json(replace(job, input_tokens=None, cached_tokens=None, output_tokens=None, cost=0.0), STARTED)
    assert told["paid"] == "1,100 tokens · $0 · 1 of unknown cost"
