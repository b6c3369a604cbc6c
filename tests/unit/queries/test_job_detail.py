"""The details of one job: its parameters, its result, every attempt, and its cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.errors import FrameError, RunNotFound
from xtyl_engine.queries.overview import row_label

BRIEFS = pd.DataFrame({"name": ["Aurora", "Tidal"]}, index=["x", "y"])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def shout(text: str, name: str) -> str:
    if name == "Tidal":
        raise ValueError(f"no {name}")
    return text.upper()


FLOW = (
    xt.Workflow("two")
    .generate_copy("line", prompt="A line for {{ name }}", n=2)
    .generate_image("poster", prompt="{{ line.text }}", over="line")
    .call("loud", shout, text="{{ line[1].text }}", name="{{ name }}")
)


def test_what_a_job_was_asked_is_filled_in(bench: Workbench) -> None:
    """Values come from the row, from an earlier step, and from the job's item."""
    run = bench.done(FLOW, BRIEFS)
    line = run.inspect("line", row="y", item=1)
    assert (line.label, line.item, line.asked["prompt"]) == ("y", "1.1", "A line for Tidal")
    poster = run.inspect("poster", item="1.1")
    assert poster.asked["prompt"] == line.text
    assert Path(poster.images[0]).is_file()
    loud = run.inspect("loud")
    assert loud.asked["arguments"]["text"] == run.outputs("line")["text"]["x", 1]
    assert loud.text == str(loud.asked["arguments"]["text"]).upper()


def test_pictures_inside_values_are_shown(bench: Workbench) -> None:
    """A list of pictures has one on its card; the text of a value says what files it holds, and no hash."""

    def views(kind: str) -> object:
        view = Image.new("RGB", (2, 2))
        return [view, view] if kind == "Aurora" else {"name": "x", "views": {"front": view, "raw": b"a"}}

    run = bench.done(xt.Workflow("views").call("made", views, kind="{{ name }}"), BRIEFS)
    assert [len(node.images) for node in run.overview().nodes.values()] == [2]
    assert len(run.inspect("made", row="x").images) == 2
    text = run.inspect("made", row="y").text
    assert json.loads(text or "") == {"name": "x", "views": {"front": "image/png", "raw": "application/octet-stream"}}


def test_a_failed_job_has_its_error_its_traceback_and_its_attempts(bench: Workbench) -> None:
    """It has its first reason too, and comes first on the page of its node."""
    run = bench.done(FLOW, BRIEFS)
    failed = run.inspect("loud", row="y")
    assert "ValueError: no Tidal" in str(failed.error)
    assert 'raise ValueError(f"no {name}")' in str(failed.traceback)
    assert [(each.number, each.because, each.outcome) for each in failed.attempts] == [(1, "first", "failed")]
    page = run._job_page("loud")
    assert [job.item for job in page.jobs] == ["1", "0"]
    assert page.total == 2


def test_a_page_goes_on_where_the_last_one_ended(bench: Workbench) -> None:
    """This holds for any number of jobs, and past the end there are none."""
    run = bench.done(FLOW, BRIEFS)
    assert [job.item for job in run._job_page("line").jobs] == ["0.0", "0.1", "1.0", "1.1"]
    assert [job.item for job in run._job_page("line", 3).jobs] == ["1.1"]
    assert run._job_page("line", 4).jobs == ()


def test_a_job_that_has_not_begun_shows_what_it_will_be_asked_as_written(bench: Workbench) -> None:
    """Parameters are not rendered before their values are known."""
    run = FLOW.run(BRIEFS)
    waiting = run.inspect("poster", item="0.0")
    assert (waiting.state, waiting.text, waiting.attempts, waiting.asked) == ("blocked", None, (), {})


@pytest.mark.parametrize(
    ("node", "item", "words"), [("unknown", "0", "no node 'unknown'"), ("line", "9.9", "no job '9.9'")]
)
def test_what_is_not_there_is_said_to_be_missing(bench: Workbench, node: str, item: str, words: str) -> None:
    """A missing node and a missing job are named."""
    run = FLOW.run(BRIEFS)
    with pytest.raises(RunNotFound, match=words):
        run.inspect(node, item=item)


@pytest.mark.parametrize(
    ("node", "hint"), [("zz", "Use one of line, poster, loud."), ("postr", "Did you mean 'poster'?")]
)
def test_an_unknown_node_gets_one_hint_everywhere(bench: Workbench, node: str, hint: str) -> None:
    """A job and a table of outputs are asked for with the same names, and are refused in the same words."""
    run = FLOW.run(BRIEFS)
    for ask in (run.inspect, run.outputs):
        with pytest.raises((RunNotFound, FrameError)) as refused:
            ask(node)
        assert refused.value.hint == hint


def test_a_decided_review_tells_who_decided_what(bench: Workbench) -> None:
    """It has the person, the time, the chosen options, the comment, and each edited text before and after; and a
    rejection's reason."""
    flow = FLOW.review("pick", of="line", choose=1, edit=True)
    run = bench.done(flow, BRIEFS)
    before = run.outputs("line")["text"]["x", 1]
    run.approve("pick", row="x", choose=[1], edits={1: "By hand"}, comment="better")
    run.reject("pick", row="y", reason="too loud")
    decided = run.inspect("pick", row="x").decision
    assert decided is not None
    assert (decided.action, decided.choice, decided.comment) == ("approve", (1,), "better")
    assert decided.edits == (("line", before, "By hand"),)
    assert decided.by
    assert decided.time > 1e9
    refused = run.inspect("pick", row="y")
    assert refused.decision is not None
    assert (refused.decision.action, refused.decision.comment, refused.because) == ("reject", "too loud", "rejected")
    assert run.inspect("line", row="x", item=0).decision is None


def test_a_review_shows_the_text_that_it_is_about(bench: Workbench) -> None:
    """It does not show the text of another step upstream, or a number of an image."""
    flow = (
        xt.Workflow("toned")
        .generate_copy("tone", prompt="A tone for {{ name }}")
        .generate_copy("body", prompt="{{ tone.text }} about {{ name }}", n=2)
        .review("read", of="body", edit=True)
        .generate_image("poster", prompt="Only {{ name }}", n=2, after=[])
        .review("look", of="poster")
    )
    run = bench.done(flow, BRIEFS.head(1))
    shown = {review.node: [option.text for option in review.options] for review in run.overview().reviews}
    assert shown == {"read": list(run.outputs("body")["text"]), "look": [None, None]}


def test_an_overview_counts_the_branches_taken(bench: Workbench) -> None:
    """It counts the branches of each conditional, and names an error's row by its label."""
    flow = xt.Workflow("split").conditional(
        "is_x", when="{{ name == 'Aurora' }}", then=lambda w: w.call("loud", shout, text="a", name="Tidal")
    )
    nodes = bench.done(flow, BRIEFS).overview().nodes
    assert dict(nodes["is_x"].branches) == {"then": 1, "otherwise": 1}
    assert str(nodes["loud"].error).startswith("x: shout() raised ValueError")


@pytest.mark.parametrize(
    ("label", "values", "name"),
    [
        ('"x"', '{"name": "Aurora"}', "x"),
        ("4", '{"price": 3, "name": "Aurora", "more": "text"}', "Aurora"),
        ("4", '{"name": " ", "more": "text"}', "text"),
        ("4", '{"price": 3}', "row 4"),
        ('""', '{"name": ""}', 'row ""'),
        ('["a", 1]', "{}", 'row ["a", 1]'),
    ],
)
def test_a_row_is_called_by_a_name_that_can_be_seen(label: str, values: str, name: str) -> None:
    """The name is its label in the frame's index, or its first text, or its number."""
    assert row_label(label, values) == name
