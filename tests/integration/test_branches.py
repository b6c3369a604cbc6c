"""Conditions, parallel branches, joins and documents, on the real worker."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import xtyl_nb as xt
from payloads import PAYLOADS
from servers import html_of

TONES = pd.DataFrame({"tone": ["calm", "bold", "calm"]}, index=["a", "b", "c"])


def attach(name, title, **more):
    return lambda flow: flow.attach(name, title=title, **more)


def test_each_row_goes_its_own_way_and_joins():
    """Per row one branch runs and the other is skipped; the step that joins them runs for every row."""
    flow = (
        xt.Workflow("ways")
        .conditional("which", when="tone == 'calm'", then=attach("soft", "soft"), otherwise=attach("loud", "loud"))
        .attach("kit", title="{{ soft.title or loud.title }}")
    )
    run = flow.run(TONES).wait(60)
    frame = run.frame()
    assert list(frame["kit"]) == ["soft", "loud", "soft"]
    assert list(frame["status"]) == ["completed"] * 3
    assert list(frame["soft"].isna()) == [False, True, False]
    jobs = run.jobs().set_index(["node", "row"])["status"]
    assert jobs["loud", "a"] == jobs["soft", "b"] == "skipped"


def test_a_condition_without_otherwise_skips_and_goes_on():
    """Where the condition does not hold, no step of the branch runs, and the join does."""
    flow = (
        xt.Workflow("maybe")
        .conditional("which", when="tone == 'bold'", then=attach("extra", "x"))
        .attach("kit", title="k")
    )
    frame = flow.run(TONES).wait(60).frame()
    assert list(frame["extra"].isna()) == [True, False, True]
    assert list(frame["kit"]) == ["k"] * 3


def test_branches_within_branches_end_once():
    """Nested conditions inside parallel branches: every join waits for all that ran, and runs once."""
    flow = (
        xt.Workflow("nested")
        .parallel(
            "both",
            left=lambda flow: flow.conditional(
                "inner",
                when="tone == 'calm'",
                then=lambda flow: flow.attach("one", title="1").attach("two", title="{{ one.title }}2"),
                otherwise=attach("three", "3"),
            ).attach("left_end", title="[{{ two.title or three.title }}]"),
            right=attach("four", "4"),
        )
        .attach("kit", title="{{ left_end.title }}{{ four.title }}")
    )
    run = flow.run(TONES).wait(60)
    assert list(run.frame()["kit"]) == ["[12]4", "[3]4", "[12]4"]
    assert (run.jobs().query("status == 'completed'")["attempts"] <= 1).all()


def test_a_condition_over_items_is_taken_item_by_item():
    """Inside a list each item goes its own way, aligned with its list."""
    flow = (
        xt.Workflow("items")
        .call("numbers", lambda: [1, 2, 3])
        .conditional(
            "odd",
            when="{{ numbers % 2 == 1 }}",
            over="numbers",
            then=lambda flow: flow.call("double", lambda n: n * 2, n="{{ numbers }}", over="numbers"),
        )
        .call("all", lambda doubled: doubled, doubled="{{ double }}")
    )
    frame = flow.run().wait(60).frame()
    assert list(frame["error"].dropna()) == []
    assert frame["all"][0] == [2, 6]


def test_a_document_with_start_and_end_runs_as_the_builder_s():
    """JSON with explicit start and end nodes gives what the fluent workflow gives, and survives a round trip."""
    document = {
        "version": 1,
        "name": "written",
        "nodes": [
            {"id": "start", "type": "start"},
            {"id": "line", "type": "generate_copy", "config": {"prompt": "A {{ tone }} line", "n": 2}},
            {"id": "pick", "type": "review", "config": {"of": "line", "auto": "first"}},
            {"id": "kit", "type": "attach", "config": {"assets": {"title": "{{ pick.line.text }}"}}},
            {"id": "end", "type": "end"},
        ],
        "edges": [{"source": "start", "target": "line"}, {"source": "kit", "target": "end"}],
    }
    written = xt.Workflow.from_json(document)
    built = (
        xt.Workflow("written")
        .generate_copy("line", prompt="A {{ tone }} line", n=2)
        .review("pick", of="line", auto="first")
        .attach("kit", title="{{ pick.line.text }}")
    )
    expected = list(built.run(TONES).wait(60).frame()["kit"])
    for flow in (written, xt.Workflow.from_json(written.to_json()), xt.Workflow.from_json(json.loads(built.to_json()))):
        assert list(flow.run(TONES).wait(60).frame()["kit"]) == expected


def test_a_failure_in_one_branch_leaves_the_other_complete():
    """The step that joins after a failed branch is skipped; results of the other branches are kept."""

    def fail():
        raise ValueError("no")

    flow = (
        xt.Workflow("half")
        .parallel("both", left=lambda flow: flow.call("bad", fail), right=attach("good", "fine"))
        .attach("kit", title="{{ good.title }}")
    )
    run = flow.run(TONES).wait(60)
    frame = run.frame()
    assert run.state == "failed"
    assert list(frame["good"]) == ["fine"] * 3
    assert frame["kit"].isna().all()
    assert list(frame["status"]) == ["failed"] * 3


@pytest.mark.parametrize("payload", PAYLOADS[:2])
def test_no_script_gets_out_of_a_table_a_picture_or_an_error(payload):
    """Payloads in cells, columns, labels, outputs and errors are text in every frame, in the picture and in the problems."""
    from xtyl_nb.drawing.run_picture import run_html

    def fail(cell):
        raise ValueError(cell)

    frame = pd.DataFrame({"cell": [payload], payload: [payload]}, index=pd.Index([payload], name=payload))
    flow = xt.Workflow(payload).attach("kit", title="{{ cell }}").call("bad", fail, cell="{{ cell }}")
    run = flow.run(frame).wait(60)
    shown = [run.frame(), run.outputs("kit"), run.jobs(), run.events(), xt.runs(), flow.plan(frame)]
    texts = [html_of(table) for table in shown]
    texts.append(run_html(run._plan, run.overview()))
    texts.append(flow._repr_html_())
    review = xt.Workflow("r").generate_copy("line", prompt="{{ cell }}").review("pick", of="line", instructions=payload)
    waiting = review.run(frame)
    waiting.approve("pick", choose=[0], timeout=60)
    texts.append(html_of(waiting.reviews()))
    with pytest.raises(xt.WorkflowError) as caught:
        xt.Workflow("bad").attach(payload, title="{{ nothing }}").attach("kit", title="{{ missing }}").run(frame)
    texts.append(html_of(caught.value))
    for text in texts:
        assert "<script" not in text
        assert "<img src=x" not in text
    assert any("hit()" in text for text in texts)
