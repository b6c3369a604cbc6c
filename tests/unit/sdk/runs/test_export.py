"""Results as files: a folder per row, names that cannot leave it, and nothing of the user's written over."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_nb.runs import export
from xtyl_nb.runs.export import RECORD, SaveRefused
from xtyl_nb.runs.run import Run


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    with workbench(tmp_path_factory.mktemp("saved")) as made:
        yield made


def names(folder: Path) -> list[str]:
    """The files in a folder, but for the record."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def kit(bench: Workbench, **assets: str) -> Run:
    """A run with one row, and a kit of these assets."""
    expressions: dict[str, Any] = {name: f"{{{{ {name} }}}}" for name in assets}
    return bench.done(xt.Workflow("kit").attach("kit", **expressions), **assets)


def test_texts_and_images_are_written_per_row(bench: Workbench, tmp_path: Path) -> None:
    """Each row has a folder named by position and label, with every asset in it."""
    flow = (
        xt.Workflow("kit")
        .generate_image("poster", prompt="{{ name }}", size="64x64")
        .attach("kit", title="{{ name }} é", image="{{ poster.image }}", facts={"n": 1})
    )
    labels = ["../../etc/passwd", "CON", "\u202e<b>", "x" * 300]
    paths = bench.done(flow, pd.DataFrame({"name": labels})).save(tmp_path / "out")
    assert len(paths) == 12
    assert all(path.resolve().is_relative_to(tmp_path / "out") for path in paths)
    assert len({path.parent for path in paths}) == 4
    texts = [path.read_text(encoding="utf-8") for path in paths if path.name == "kit-title.txt"]
    assert texts == [f"{name} é" for name in labels]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths if path.suffix == ".png")
    assert {path.name for path in paths} == {"kit-title.txt", "kit-image.png", "kit-facts.json"}


def test_assets_in_any_script_are_files_of_their_own(bench: Workbench, tmp_path: Path) -> None:
    """The paths returned are the files that are there, each once, also where names differ in case alone."""
    assets = {"标题": "a", "标图": "b", "عنوان": "c", "Hero": "d", "hero": "e", "é": "f"}
    paths = kit(bench, **assets).save(tmp_path)
    assert [path.read_text() for path in paths] == list("abcdef")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in paths) == names(tmp_path)
    assert [path.name for path in paths][:2] == ["kit-标题.txt", "kit-标图.txt"]
    assert len({path.name.casefold() for path in paths}) == 6


def test_rows_and_steps_alike_stay_apart(bench: Workbench, tmp_path: Path) -> None:
    """Rows with one label, steps whose names look like another's items, and labels of several levels."""
    index = pd.MultiIndex.from_tuples([("summer", "Tokyo 東京")] * 2)
    flow = xt.Workflow("alike").generate_copy("a", prompt="x", n=2)
    flow = flow.generate_copy("a·1", prompt="y", after=[]).generate_copy("a_1", prompt="z", after=[])
    paths = bench.done(flow, pd.DataFrame({"n": [1, 2]}, index=index)).save(tmp_path)
    assert {path.parent.name for path in paths} == {"000-summer-tokyo-東京", "001-summer-tokyo-東京"}
    assert len(paths) == 8 == len(names(tmp_path))


def test_without_a_kit_what_the_last_steps_made_is_written(bench: Workbench, tmp_path: Path) -> None:
    """One file for an image or a text, without width, provider and price; items are numbered, failed ones left out."""

    def made(name: str) -> Any:
        return {"3": [1, 2, 3], "shots": [Image.new("RGB", (2, 2))] * 2, "none": None, "x": "text"}[name]

    flow = (
        xt.Workflow("raw")
        .generate_image("poster", prompt="{{ name }}", size="64x64", n=2)
        .call("made", made, name="{{ name }}", after=[])
    )
    rows = pd.DataFrame({"name": ["3", "shots", "none", "fails"]}, index=list("abcd"))
    run = bench.done(flow, rows)
    assert [path.relative_to(tmp_path).as_posix() for path in run.save(tmp_path)] == [
        *("000-a/poster-0.png", "000-a/poster-1.png", "000-a/made.json"),
        *("001-b/poster-0.png", "001-b/poster-1.png", "001-b/made-0.png", "001-b/made-1.png"),
        *("002-c/poster-0.png", "002-c/poster-1.png", "003-d/poster-0.png", "003-d/poster-1.png"),
    ]
    assert (tmp_path / "000-a" / "made.json").read_text() == "[\n  1,\n  2,\n  3\n]\n"


def test_a_run_in_progress_is_saved_as_far_as_it_is(bench: Workbench, tmp_path: Path) -> None:
    """What is not over or was rejected has no file; saved again, the rest comes under the same names."""
    run = (
        xt.Workflow("drafts")
        .generate_copy("line", prompt="{{ name }}")
        .review("pick", of="line")
        .run(pd.DataFrame({"name": ["a", "b"]}))
    )
    bench.work(run)
    assert run.save(tmp_path / "out") == []
    run.approve("pick", choose=[0], row=0)
    first = run.save(tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in first] == ["000-a/pick.txt"]
    run.reject("pick", reason="no", row=1)
    assert bench.work(run).save(tmp_path / "out") == first


def test_a_second_save_doubles_nothing(bench: Workbench, tmp_path: Path) -> None:
    """The same run writes the same names, a later one takes their place: both are what `save` wrote."""
    flow = xt.Workflow("kit").attach("kit", title="{{ title }}", same="same")
    frame = pd.DataFrame({"title": ["one"]}, index=["row"])
    run = bench.done(flow, frame)
    first = run.save(tmp_path)
    before = [path.stat().st_mtime_ns for path in first]
    assert run.save(str(tmp_path)) == first
    assert [path.stat().st_mtime_ns for path in first] == before
    assert bench.done(flow, frame.assign(title="two")).save(tmp_path) == first
    assert [path.read_text() for path in first] == ["two", "same"]
    assert run.save(tmp_path) == first
    assert [path.read_text() for path in first] == ["one", "same"]
    assert names(tmp_path) == ["000-row/kit-same.txt", "000-row/kit-title.txt"]


@pytest.mark.parametrize("kind", ["edited", "foreign", "link", "folder"])
def test_no_file_of_the_users_is_written_over(bench: Workbench, tmp_path: Path, kind: str) -> None:
    """A file that was edited, or that `save` did not write, is named before anything is written, and stays as it is."""
    flow = xt.Workflow("kit").attach("kit", title="{{ title }}", more="{{ more }}")
    frame = pd.DataFrame({"title": ["one"], "more": ["m"]}, index=["row"])
    path = tmp_path / "000-row" / "kit-title.txt"
    if kind == "edited":
        bench.done(flow, frame).save(tmp_path)
        path.write_text("mine")
    else:
        path.parent.mkdir()
    other = tmp_path / "other"
    other.write_text("mine")
    if kind == "foreign":
        path.write_text("mine")
    elif kind == "link":
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    before = names(tmp_path)
    with pytest.raises(
        SaveRefused, match=r"kit-title\.txt would be lost: .*\n.*another folder, or move the files away"
    ):
        bench.done(flow, frame.assign(title="two")).save(tmp_path)
    assert names(tmp_path) == before
    assert other.read_text() == "mine"
    assert kind == "folder" or path.read_text() == "mine"


def test_a_full_disk_leaves_whole_files(bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how far it came and what to do; there is no half of a file, and saving again goes on."""
    run = kit(bench, a="1", b="2", c="3")
    replace, room = os.replace, [True]

    def full(source: Any, target: Any) -> None:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        room.pop()
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(
        SaveRefused,
        match=r"kit-b\.txt cannot be written: No space left on device; 1 of 3 files are written\n.*Make room",
    ):
        run.save(tmp_path)
    monkeypatch.undo()
    assert [path.rpartition("/")[2] for path in names(tmp_path)] == ["kit-a.txt"]
    assert [path.read_text() for path in run.save(tmp_path)] == ["1", "2", "3"]


def test_an_interrupt_leaves_whole_files(bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle leaves complete files only."""

    def interrupted(source: Any, target: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kit(bench, a="1").save(tmp_path)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_one_is_named(bench: Workbench, tmp_path: Path) -> None:
    """A file in the place of the folder, or of a row's, is told in words."""
    run = kit(bench, a="1")
    (tmp_path / "file").write_text("x")
    with pytest.raises(SaveRefused, match=r"file cannot be written: .*\n.*Save into a folder that is yours"):
        run.save(tmp_path / "file")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "000-1").write_text("x")
    with pytest.raises(OSError, match="cannot be written"):
        run.save(tmp_path / "out")


def test_saved_files_have_the_rights_of_the_users_files(bench: Workbench, tmp_path: Path) -> None:
    """Stored files are their owner's alone; saved ones follow the umask, as others of the user do."""
    (tmp_path / "mine").touch()
    (path,) = kit(bench, a="1").save(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "mine").stat().st_mode)


def test_the_folder_of_a_home_is_found(bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the user's home, and no folder of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kit(bench, a="1").save("~/out")[0].is_relative_to(tmp_path / "out")


def test_a_long_save_says_how_far_it_is(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it takes long, a line counts the files; where it does not, nothing is said."""
    run = kit(bench, a="1", b="2")
    run.save(tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(export, "TELL_SECONDS", 0.0)
    run.save(tmp_path)
    assert capsys.readouterr().err.split("\r")[1:] == [
        "1 of 2 files are saved",
        "2 of 2 files are saved",
        "2 files are saved     \n",
    ]
