"""Every verb of a run on the embedded back end, on the shared one from the inside, and over HTTP: the same answers."""

from __future__ import annotations

import asyncio
import threading
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

import xtyl_nb as xt
from servers import wait_until
from xtyl_engine.functions.packed_function import PYTHON
from xtyl_engine.states import ExecutionState
from xtyl_nb.backends.connect import backend

pytestmark = pytest.mark.usefixtures("either")
BRIEFS = pd.DataFrame({"product": ["Aurora lamp", "Tidal mug"], "tone": ["playful", "calm"]}, index=["lamp", "mug"])


def size_of(path: str) -> tuple[int, int]:
    """The digest of a whole image."""
    with Image.open(path) as image:
        image.load()
        return image.size


def drafts(**review: Any) -> xt.Workflow:
    """A workflow with two headlines a row, of which a person picks one."""
    return (
        xt.Workflow("drafts")
        .generate_copy("headline", prompt="A {{ tone }} headline for {{ product }}", n=2)
        .review("pick", of="headline", choose=1, **review)
        .attach("kit", title="{{ pick.headline.text }}")
    )


def posters() -> xt.Workflow:
    """A workflow with one small image a row."""
    return xt.Workflow("posters").generate_image("poster", prompt="{{ product }}", size="64x64")


def held(effects: object) -> xt.Workflow:
    """A job that waits until the file of effects is there, then another."""
    gate = str(effects.path)  # type: ignore[attr-defined]

    def work(word: str) -> str:
        from pathlib import Path

        event = threading.Event()
        while not Path(gate).exists():
            event.wait(0.02)
        return word.upper()

    def more(word: str) -> str:
        return word + "!"

    return xt.Workflow("held").call("work", work, word="{{ word }}").call("more", more, word="{{ work }}")


def test_a_run_goes_from_submission_to_frame() -> None:
    """State, progress, `waiting_for` and frames are right from the first look to the last."""
    run = drafts().run(BRIEFS)
    wait_until(lambda: len(run.reviews()) == 4)
    assert run.state == "running"
    assert 0 < run.progress < 100
    assert "decision" in str(run.waiting_for) or "person" in str(run.waiting_for) or "pick" in str(run.waiting_for)
    run.approve("pick", choose=[1], timeout=60).wait(60)
    assert (run.state, run.progress, run.waiting_for) == ("completed", 100, None)
    frame = run.frame()
    assert list(frame.index) == ["lamp", "mug"]
    assert list(frame["kit"]) == [headlines[1] for headlines in frame["headline"]]
    assert len(run.outputs("headline")) == 4
    assert len(run.jobs()) == 8
    assert run.cost()[["jobs", "cost", "unpriced"]].to_numpy().tolist() == [[4, 0.0, 0]] * 2
    assert list(xt.runs().loc[run.id, ["cost", "unpriced"]]) == [0.0, 0]
    assert list(run.events()["sequence"]) == list(range(1, len(run.events()) + 1))


def test_await_ends_with_the_run() -> None:
    """A notebook's event loop can await the end of a run."""

    async def whole() -> xt.Run:
        return await drafts(auto="first").run(BRIEFS)

    assert asyncio.run(whole()).state == "completed"


def test_a_wait_has_an_end() -> None:
    """After `timeout` seconds the error says how far the run is, and that it goes on."""
    run = drafts().run(BRIEFS)
    with pytest.raises(xt.WaitTimeout, match="of 8 jobs are over"):
        run.wait(0.2)
    run.stop()


def test_events_are_watched_without_a_gap() -> None:
    """`watch` gives every event from the first to the last, each once, in order."""
    run = drafts(auto="first").run(BRIEFS)
    assert [event.sequence for event in run.watch()] == list(range(1, len(run.events()) + 1))


def test_pause_and_resume(effects: object) -> None:
    """Nothing new starts while a run is paused, and it goes on from there."""
    run = held(effects).run(word="tide")
    wait_until(lambda: (run.jobs()["status"] == "running").any())
    assert run.pause().state == "paused"
    effects.note("go")  # type: ignore[attr-defined]
    wait_until(lambda: run.jobs().set_index("node")["status"]["work"] == "completed")
    assert run.jobs().set_index("node")["status"]["more"] == "ready"
    assert run.resume().wait(60).state == "completed"


def test_stop_keeps_what_is_done_and_resume_goes_on() -> None:
    """A resumed run does not write its texts again."""
    run = drafts().run(BRIEFS)
    wait_until(lambda: len(run.reviews()) == 4)
    assert run.stop().state == "stopped"
    with pytest.raises(xt.ControlRefused, match="cannot be paused"):
        run.pause()
    run.resume().approve("pick", choose=[0], timeout=60).wait(60)
    jobs = run.jobs()
    assert (jobs[jobs["node"] == "headline"]["attempts"] == 1).all()


def test_retry_tries_what_failed(effects: object) -> None:
    """A failure keeps its message and traceback; the next attempt can succeed."""
    path = str(effects.path)  # type: ignore[attr-defined]

    def fragile(word: str) -> str:
        from pathlib import Path

        if not Path(path).exists():
            raise ValueError("the kiln is cold")
        return word.upper()

    run = xt.Workflow("fragile").call("fire", fragile, word="{{ word }}").run(word="mug").wait(60)
    assert run.state == "failed"
    assert "the kiln is cold" in str(run.frame()["error"].iloc[0])
    job = run.inspect("fire")
    assert "ValueError" in str(job.traceback)
    effects.note("warm")  # type: ignore[attr-defined]
    assert run.retry().wait(60).state == "completed"
    assert run.frame()["fire"].iloc[0] == "MUG"
    assert [attempt.outcome for attempt in run.inspect("fire").attempts] == ["failed", "completed"]


def test_a_decision_edits_and_comments() -> None:
    """The person, the decision, and the texts before and after are kept."""
    run = drafts(edit=True).run(BRIEFS)
    run.approve("pick", choose=[0], edits={0: "Ours"}, comment="shorter", row="lamp", timeout=60)
    run.approve("pick", choose=[1], row="mug", timeout=60).wait(60)
    assert run.frame()["kit"]["lamp"] == "Ours"
    decision = run.inspect("pick", row="lamp").decision
    assert decision is not None
    assert (decision.action, decision.comment, decision.choice) == ("approve", "shorter", (0,))
    assert decision.edits[0][2] == "Ours"


def test_a_second_decision_is_told_the_first() -> None:
    """The first decision counts, and the refusal of a second one names it."""
    run = drafts().run(BRIEFS)
    run.approve("pick", choose=[1], row="lamp", timeout=60)
    with pytest.raises(xt.DecisionRefused, match=r"already decided: approve by .*choose=\[1\]"):
        run.approve("pick", choose=[0], row="lamp", timeout=60)
    run.stop()


def test_what_may_not_be_chosen_is_refused() -> None:
    """The refusal says what may be chosen."""
    run = drafts().run(BRIEFS)
    with pytest.raises(xt.DecisionRefused, match="option"):
        run.approve("pick", choose=[7], row="lamp", timeout=60)
    run.stop()


def test_reject_skips_what_hangs_on_it() -> None:
    """After a rejection in one row the other row goes on."""
    run = drafts().run(BRIEFS)
    run.reject("pick", reason="off brand", row="lamp", timeout=60)
    run.approve("pick", choose=[0], row="mug", timeout=60).wait(60)
    frame = run.frame()
    assert list(frame["status"]) == ["rejected", "completed"]
    assert "off brand" in frame["error"]["lamp"]


def test_another_option_may_be_asked_for() -> None:
    """The list of options becomes longer, and the former options stay."""
    run = drafts().run(BRIEFS.iloc[:1])
    wait_until(lambda: len(run.reviews()) == 2)
    before = list(run.reviews()["text"])
    run.another("pick", comment="bolder")
    wait_until(lambda: len(run.reviews()) == 3)
    assert list(run.reviews()["text"])[:2] == before
    run.approve("pick", choose=[2], timeout=60).wait(60)


def test_images_come_to_the_notebook() -> None:
    """Frames and the gallery hold whole image files, with the same bytes everywhere."""
    run = posters().run(BRIEFS).wait(60)
    paths = list(run.frame()["poster"])
    assert all(size_of(path) == (64, 64) for path in paths)
    assert [Path(path).read_bytes() for path in run.gallery().paths] == [Path(path).read_bytes() for path in paths]
    assert list(run.outputs("poster")["image"]) == paths
    assert "data:image" in run.gallery()._repr_html_()
    assert all(Path(path).exists() for node in run.overview().nodes.values() for path in node.images)


def test_an_image_of_the_notebook_goes_along() -> None:
    """A function on the worker gets an image from a cell of the frame, and its result brings it back."""

    def mirror(picture):
        from PIL import ImageOps

        return ImageOps.mirror(picture.open())

    half = Image.new("RGB", (8, 4), "white")
    half.paste("black", (0, 0, 4, 4))
    frame = pd.DataFrame({"picture": [half]})
    run = xt.Workflow("mirror").call("turned", mirror, picture="{{ picture }}").run(frame).wait(60)
    assert run.state == "completed", run.frame()["error"].iloc[0]
    with Image.open(run.frame()["turned"].iloc[0]) as turned:
        assert [turned.getpixel(at) for at in ((0, 0), (7, 0))] == [(255, 255, 255), (0, 0, 0)]


def test_a_large_result_comes_whole() -> None:
    """A result that is large enough to be stored as a file arrives whole."""

    def long(word: str) -> str:
        return word * 200_000

    run = xt.Workflow("long").call("text", long, word="{{ word }}").run(word="tide ").wait(60)
    assert run.frame()["text"].iloc[0] == "tide " * 200_000


def test_reviews_show_texts_and_whole_images() -> None:
    """A review has one row per option, with the option's image as a file."""
    flow = posters().review("pick", of="poster", choose=1)
    run = flow.run(BRIEFS)
    wait_until(lambda: len(run.reviews()) == 2)
    assert all(size_of(path) == (64, 64) for path in run.reviews()["image"])
    run.stop()


def test_results_are_saved_to_a_folder(tmp_path: Path) -> None:
    """`save` writes one folder a row, with texts and images as files."""
    flow = posters().attach("kit", title="{{ product }}", image="{{ poster.image }}")
    paths = flow.run(BRIEFS).wait(60).save(tmp_path / "out")
    assert sorted(path.suffix for path in paths) == [".png", ".png", ".txt", ".txt"]
    assert all(path.stat().st_size for path in paths)


def test_the_timeline_has_a_bar_for_each_job() -> None:
    """Each bar names its node, and none starts before the run."""
    run = drafts(auto="first").run(BRIEFS).wait(60)
    assert {bar.node for bar in run.timeline().bars} >= {"headline"}


def test_runs_are_listed_and_found_again() -> None:
    """Runs are listed by id, newest first, and chosen by state, a part of the name, and the beginning of the id."""
    run = drafts(auto="first").run(BRIEFS).wait(60)
    assert xt.runs(5).index[0] == run.id
    listed = backend().queries.executions
    found = listed(1, state=run.state, name=run.name[1:].upper(), prefix=run.id[:-1])
    assert [each.id for each in found] == [run.id]
    others = [
        *listed(5, state=ExecutionState.PAUSED),
        *listed(5, name="no such name"),
        *listed(5, prefix=run.id[1:]),
    ]
    assert run.id not in [each.id for each in others]
    assert xt.attach(run.id).frame().equals(run.frame())
    with pytest.raises(xt.RunNotFound, match="no run has the id"):
        xt.attach("no-such-run-0-0")


def test_a_dry_run_counts_jobs() -> None:
    """A dry run counts the jobs that would run, and those with a cached result."""
    flow = posters()
    flow.run(BRIEFS).wait(60)
    table = flow.plan(BRIEFS)
    assert list(table.loc["poster", ["jobs", "cached"]]) == [2, 2]


def test_what_is_wrong_is_told_before_anything_runs() -> None:
    """Every back end reports the same problems."""
    flow = xt.Workflow("wrong").generate_copy("headline", prompt="{{ prodct }}")
    with pytest.raises(xt.WorkflowError, match="prodct"):
        flow.run(BRIEFS)


def test_the_frame_comes_back_as_it_was() -> None:
    """Another handle gives the frame with the same index, dtypes and missing values."""
    days: Any = ["2026-01-01", None]
    frame = pd.DataFrame(
        {"product": ["a", None], "when": pd.to_datetime(days), "count": pd.array([1, None], "Int64")},
        index=pd.Index([10, 20], name="brief"),
    )
    run = _echo().run(frame).wait(60)
    again = xt.attach(run.id).frame()[list(frame.columns)]
    pd.testing.assert_frame_equal(pd.DataFrame(again), frame, check_frame_type=False)


def _echo() -> xt.Workflow:
    def version(word: object) -> str:
        import sys

        return f"{sys.version_info.major}.{sys.version_info.minor}"

    return xt.Workflow("kept").call("echo", version, word="{{ product }}")


def test_a_function_runs_on_the_same_python() -> None:
    """A worker runs a function under the Python version that packed it."""
    assert _echo().run(BRIEFS).wait(60).frame()["echo"]["lamp"] == PYTHON


def test_a_run_outlives_the_choice_of_a_back_end() -> None:
    """A handle keeps the back end that it was made with."""
    run = drafts(auto="first").run(BRIEFS).wait(60)
    before = run.frame()
    xt.connect()
    assert run.state == "completed"
    assert run.frame().equals(before)
    # The fixtures close only the back end in use, which is another by now.
    run._backend.close()


def test_models_that_settings_name_count_on_every_back_end(either: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the notebook: its run asks what a step that says the same asks, and finds the same results."""
    prompt = f"A line for {uuid.uuid4().hex}"
    monkeypatch.setenv("XTYL_TEXT_MODEL", "offline:offline/copy-1")
    assert list(xt.Workflow("silent").generate_copy("line", prompt=prompt).run().wait(60).jobs()["cached"]) == [False]
    monkeypatch.delenv("XTYL_TEXT_MODEL")
    said = xt.Workflow("said").generate_copy("line", prompt=prompt, provider="offline", model="offline/copy-1")
    assert list(said.run().wait(60).jobs()["cached"]) == [True]
