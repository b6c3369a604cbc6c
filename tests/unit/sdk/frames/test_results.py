"""Frames out: one row per input row, plain cells, failed rows kept, even when no job or half of them has run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import xtyl_nb as xt
from scripted_run import draw_image
from servers import html_of
from workbench import Workbench, moving, workbench

BRIEFS = pd.DataFrame({"name": ["a", "b"]}, index=pd.Index(["x", "y"], name="key"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def shout(name: str) -> dict[str, object]:
    if name == "b":
        raise ValueError("no b")
    return {"text": name.upper(), "more": {"n": [1, 2]}}


def test_a_run_that_has_not_begun_has_whole_frames(bench: Workbench) -> None:
    """Every column is there and empty; nothing raises."""
    run = xt.Workflow("none").generate_copy("line", prompt="{{ name }}", n=2).attach("kit", title="x").run(BRIEFS)
    frame = run.frame()
    assert list(frame["line"]) == [[], []]
    assert frame["kit"].isna().all()
    assert list(frame["status"]) == ["pending", "pending"]
    assert run.outputs("line").empty
    assert list(run.outputs("line").index.names) == ["row", "item"]
    jobs = run.jobs()
    assert jobs["started"].isna().all()
    assert str(jobs["duration"].dtype).startswith("timedelta64")
    assert list(run.events()["kind"]) == ["submitted"]
    assert run.reviews().empty
    for table in (frame, jobs, run.events(), run.outputs("line"), run.reviews()):
        assert html_of(table)


def test_a_column_of_ones_own_paths_is_not_embedded(bench: Workbench, tmp_path: Path) -> None:
    """Only images that the run made are shown as pictures; a path in the briefs stays a path, with the frame at hand
    and after it."""
    own = str(draw_image(tmp_path / "passport.png", top="teal", bottom="navy"))
    flow = xt.Workflow("own").generate_image("poster", prompt="{{ file }}", size="64x64")
    run = bench.done(flow, pd.DataFrame({"file": [own]}))
    for frame in (run.frame(), xt.attach(run.id).frame()):
        assert html_of(frame).count("<img") == 1
        assert "passport.png" in html_of(frame)
    assert html_of(run.outputs("poster")).count("<img") == 1


def test_a_failed_row_stays_with_its_error(bench: Workbench) -> None:
    """The row's cells before the failure are kept, its error names the node, the other row is whole."""
    run = bench.done(
        xt.Workflow("half").call("made", shout, name="{{ name }}").attach("kit", title="{{ made.text }}"), BRIEFS
    )
    frame = run.frame()
    assert dict(frame["status"]) == {"x": "completed", "y": "failed"}
    assert frame["status"].max() == "failed"
    assert frame["error"]["y"].startswith("made: shout() raised ValueError: no b (line ")
    assert pd.isna(frame["error"]["x"])
    assert frame["kit"]["x"] == "A"
    assert list(run.outputs("made").index) == ["x"]


def test_no_cell_holds_bytes_or_a_dict(bench: Workbench) -> None:
    """Nested values are text or fields of their own; files are paths."""
    run = bench.done(
        xt.Workflow("deep").call("made", shout, name="{{ name }}").call("raw", lambda: b"\x00"), BRIEFS.head(1)
    )
    for table in (run.frame(), run.outputs("made"), run.outputs("raw"), run.jobs(), run.events()):
        for column in table:
            assert not [cell for cell in table[column] if isinstance(cell, (bytes, dict))]
    outputs = run.outputs("made")
    assert outputs["value.text"]["x"] == "A"
    assert Path(run.frame()["raw"]["x"]).read_bytes() == b"\x00"


def test_a_picture_deep_in_a_value_is_a_path_too(bench: Workbench) -> None:
    """No cell shows the hash of a file: not of one in a dict, nor in a dict in a list."""

    def views(kind: str) -> object:
        view = {"front": Image.new("RGB", (2, 2))}
        return {"name": "x", "views": view} if kind == "a" else [{"views": view}]

    run = bench.done(xt.Workflow("views").call("made", views, kind="{{ name }}"), BRIEFS)
    whole, (item,) = run.frame()["made"]
    path = json.loads(whole)["views"]["front"]
    assert Path(path).read_bytes().startswith(b"\x89PNG")
    assert json.loads(item) == {"views": {"front": path}}
    assert "$artifact" not in run.frame().to_csv() + run.outputs("made").to_csv()


def test_files_of_the_table_are_paths_to_another_kernel(bench: Workbench) -> None:
    """Pictures and bytes of the inputs come back as the paths of their files, and pictures are shown."""
    rows = [{"photo": Image.new("RGB", (2, 2)), "shots": [np.zeros((2, 2, 3), "uint8")], "raw": b"\x00"}]
    flow = xt.Workflow("seen").attach("kit", photo="{{ photo }}", shots="{{ shots }}", raw="{{ raw }}")
    frame = xt.attach(bench.done(flow, rows).id).frame()
    assert Path(frame["photo"][0]).read_bytes() == Path(frame["shots"][0][0]).read_bytes()
    assert Path(frame["raw"][0]).read_bytes() == b"\x00"
    assert html_of(frame[["photo", "shots"]]).count("<img") == 2


def test_frames_are_copies(bench: Workbench) -> None:
    """Changing the given frame, or a returned one, changes no other."""
    mine = BRIEFS.copy()
    run = xt.Workflow("copy").attach("kit", title="{{ name }}").run(mine)
    mine.loc["x", "name"] = "changed"
    mine["status"] = "mine"
    bench.work(run)
    first = run.frame()
    assert list(first["name"]) == ["a", "b"]
    assert list(first["kit"]) == ["a", "b"]
    first["name"] = "gone"
    assert list(run.frame()["name"]) == ["a", "b"]


def test_a_frame_with_labels_twice_is_shown_and_joined_by_position(bench: Workbench) -> None:
    """Equal labels are rows of their own, in order, in every frame and on the screen."""
    frame = pd.DataFrame({"name": ["a", "b", "c"]}, index=["x", "x", "x"])
    run = bench.done(xt.Workflow("twice").attach("kit", title="{{ name }}"), frame)
    assert list(run.frame()["kit"]) == ["a", "b", "c"]
    assert list(run.outputs("kit")["title"]) == ["a", "b", "c"]
    assert html_of(run.frame())
    assert html_of(run.outputs("kit"))


def test_results_leave_as_any_frame_does(bench: Workbench, tmp_path: Path) -> None:
    """They are written and read, grouped and merged like every DataFrame."""
    run = bench.done(xt.Workflow("leave").attach("kit", title="{{ name }}"), BRIEFS)
    run.frame().to_csv(tmp_path / "x.csv")
    assert list(pd.read_csv(tmp_path / "x.csv")["kit"]) == ["a", "b"]
    run.frame().to_pickle(tmp_path / "x.pickle")
    assert list(pd.read_pickle(tmp_path / "x.pickle")["kit"]) == ["a", "b"]
    assert dict(run.jobs().groupby("node")["attempts"].sum()) == {"kit": 2}
    assert len(run.frame().merge(run.outputs("kit"), left_index=True, right_index=True)) == 2


def test_a_frame_is_of_one_moment(tmp_path: Path, database_url: str) -> None:
    """Even if a job ends between any two reads of the database, a row has an error exactly if it has failed."""
    flow = xt.Workflow("uneven").generate_copy("line", prompt="{{ name + 1 }}")
    with workbench(tmp_path, XTYL_DATABASE_URL=database_url) as bench:
        run = flow.run(pd.DataFrame({"name": list("abcdefgh")}))
        for again in (run, xt.attach(run.id)):
            with moving(bench.backend.database, bench.settings, run.id):
                frame = again.frame()
            assert list(frame["error"].notna()) == list(frame["status"] == "failed")
            assert 0 < frame["error"].notna().sum() < 8


def test_an_overview_is_of_one_moment(tmp_path: Path, database_url: str) -> None:
    """Even if a job ends between any two reads, the run's own numbers are those of its nodes; so are a job's attempts those of
    its state."""
    with workbench(tmp_path, XTYL_DATABASE_URL=database_url) as bench:
        run = xt.Workflow("even").attach("kit", title="{{ name }}").run(pd.DataFrame({"name": list("abcdefgh")}))
        with moving(bench.backend.database, bench.settings, run.id):
            seen = [run.overview() for _ in range(3)]
            jobs = [run.inspect("kit", row=row) for row in range(8)]
    assert [each.done for each in seen] == [each.nodes["kit"].done for each in seen]
    assert [[attempt.outcome for attempt in job.attempts] for job in jobs if job.state == "completed"] != []
    for job in jobs:
        assert [attempt.outcome for attempt in job.attempts] == ["completed"] * (job.state == "completed")
