"""The main workflow from frame to frame, on the embedded and on the shared back end: draft, draw, pick, package."""

from __future__ import annotations

import uuid
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import xtyl_nb as xt
from servers import wait_until

pytestmark = pytest.mark.usefixtures("either")
BRIEFS = pd.DataFrame(
    {"product": ["Aurora lamp", "Tidal mug", "Moss rug"], "tone": ["playful", "calm", "bold"]},
    index=["lamp", "mug", "rug"],
)


def launch(**review):
    """The workflow of the documentation."""
    return (
        xt.Workflow("summer-launch")
        .generate_copy("headline", prompt="A {{ tone }} headline for {{ product }}", n=3)
        .generate_image("poster", prompt="{{ product }}: {{ headline.text }}", size="64x64", over="headline")
        .review("pick", of="poster", choose=1, **review)
        .attach("kit", title="{{ pick.headline.text }}", image="{{ pick.poster.image }}")
    )


def test_approving_ahead_decides_every_row_when_it_waits(elsewhere):
    """`approve` right after `run` blocks until each row waits and decides it; all frames are equal in another process."""
    run = launch().run(BRIEFS)
    run.approve("pick", choose=[1], timeout=60).wait(60)
    frame = run.frame()
    assert run.state == "completed"
    assert run.progress == 100
    assert run.waiting_for is None
    assert list(frame.columns) == ["product", "tone", "headline", "poster", "pick", "kit", "status", "error"]
    assert frame.index.equals(BRIEFS.index)
    assert list(frame["status"]) == ["completed"] * 3
    assert frame["status"].cat.ordered
    assert frame["error"].isna().all()
    assert [len(texts) for texts in frame["headline"]] == [3, 3, 3]
    for row in frame.itertuples():
        assert row.kit == row.headline[1]
        assert row.pick == row.poster[1]
        assert Path(row.pick).read_bytes().startswith(b"\x89PNG")
    calls = ("frame()", "outputs('poster')", "outputs('pick')", "outputs('kit')", "jobs()", "events()")
    theirs = elsewhere(f"[{', '.join(f'xt.attach({run.id!r}).{call}' for call in calls)}, xt.runs()]")
    ours = [frame, *(run.outputs(node) for node in ("poster", "pick", "kit")), run.jobs(), run.events()]
    for there, here in zip(theirs, ours, strict=False):
        assert_frame_equal(there, here, check_frame_type=False)
    assert run.id in theirs[-1].index


def test_the_result_frames_have_their_shapes_and_types():
    """outputs, jobs and events have the documented rows, columns, index and dtypes."""
    run = launch(auto="first").run(BRIEFS).wait(60)
    posters = run.outputs("poster")
    assert list(posters.index.names) == ["row", "item"]
    assert list(posters.index) == [(row, item) for row in BRIEFS.index for item in range(3)]
    assert {"image", "width", "height", "provider", "model"} <= set(posters.columns)
    assert run.outputs("kit").index.equals(pd.Index(BRIEFS.index, name="row"))
    assert list(run.outputs("kit").columns) == ["title", "image"]
    jobs = run.jobs()
    assert len(jobs) == 3 * 8
    assert list(jobs.columns) == [
        *("node", "row", "item", "type", "status", "attempts", "started", "finished", "duration", "cached"),
        *("provider", "model", "tokens", "input_tokens", "cached_tokens", "output_tokens", "image_tokens"),
        *("cost", "price", "unpriced", "error_class", "error", "warning"),
    ]
    kinds = {name: str(dtype) for name, dtype in jobs.dtypes.items()}
    assert kinds["attempts"] == kinds["tokens"] == "Int64"
    assert kinds["started"].startswith("datetime64[")
    assert kinds["started"].endswith("UTC]")
    assert kinds["duration"].startswith("timedelta64")
    assert kinds["cached"] == "boolean"
    assert kinds["cost"] == "Float64"
    assert jobs["status"].cat.ordered
    assert (jobs["attempts"] == 1).all()
    events = run.events()
    assert list(events.columns) == ["sequence", "time", "kind", "node", "row", "item"]
    assert list(events["sequence"]) == list(range(1, len(events) + 1))
    assert events["kind"].iloc[-1] == "completed"
    assert (jobs["started"] <= jobs["finished"]).all()


def test_rows_are_decided_by_label_with_edits_and_rejected_alone():
    """One row is edited, one rejected, one approved; each ends accordingly, and decisions stand."""
    run = launch(edit=True).run(BRIEFS)
    run.approve("pick", choose=[2], edits={2: {"headline": "Mine <b>"}}, row="mug", timeout=60)
    assert set(run.frame()["status"][["lamp", "rug"]]) <= {"pending", "running", "waiting"}
    run.reject("pick", reason="none fits", row="rug", timeout=60)
    wait_until(lambda: len(run.reviews()) == 3)
    reviews = run.reviews()
    assert list(reviews.index.names) == ["node", "row", "option"]
    assert set(reviews.index.get_level_values("row")) == {"lamp"}
    assert list(reviews.columns) == ["text", "image", "choose"]
    wait_until(lambda: run.waiting_for == "a person: 1 decision at pick")
    with pytest.raises(xt.DecisionRefused, match="already decided"):
        run.approve("pick", choose=[0], row="mug")
    with pytest.raises(xt.DecisionRefused, match="no option 7"):
        run.approve("pick", choose=[7], row="lamp")
    with pytest.raises(xt.FrameError, match="no row with the label 'lamb'"):
        run.approve("pick", choose=[0], row="lamb")
    with pytest.raises(xt.DecisionRefused, match="pick"):
        run.approve("pik", choose=[0])
    run.approve("pick", choose=[0], row="lamp").wait(60)
    frame = run.frame()
    assert frame["kit"]["mug"] == "Mine <b>"
    assert dict(frame["status"]) == {"lamp": "completed", "mug": "completed", "rug": "rejected"}
    assert "none fits" in frame["error"]["rug"]
    assert pd.isna(frame["kit"]["rug"]) or frame["kit"]["rug"] is None
    assert run.state == "completed"


def test_a_second_run_takes_cached_results_and_plan_foretells_it():
    """A text generated once is taken again at no cost, and `plan` says so before."""
    flow, word = launch(auto="first"), uuid.uuid4().hex[:8]
    briefs = BRIEFS.assign(product=[f"{name} {word}" for name in BRIEFS["product"]])
    before = flow.plan(briefs)
    assert dict(before["jobs"]) == {"headline": 9, "poster": 9, "pick": 3, "kit": 3}
    assert before["cached"].sum() == 0
    flow.run(briefs).wait(60)
    after = flow.plan(briefs)
    assert (after["cached"][["headline", "poster"]] == 9).all()
    jobs = flow.run(briefs).wait(60).jobs()
    assert jobs[jobs["type"].str.startswith("generate")]["cached"].all()


def test_a_run_without_a_frame_has_one_row():
    """Keywords alone make one row, and keywords beside a frame hold for every row."""
    alone = xt.Workflow("one").generate_copy("line", prompt="{{ product }}").run(product="Lamp").wait(60).frame()
    assert len(alone) == 1
    assert isinstance(alone["line"][0], str)
    both = (
        xt.Workflow("both").attach("kit", title="{{ tone }} {{ season }}").run(BRIEFS, season="fall").wait(60).frame()
    )
    assert list(both["kit"]) == ["playful fall", "calm fall", "bold fall"]
