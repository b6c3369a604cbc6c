"""Images from tables and steps to a provider, through a real database: what is sent, what is kept of it, what is refused."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.errors import LimitExceeded
from xtyl_engine.values.artifacts import KEY
from xtyl_engine.values.images import ImageRefused


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    with workbench(tmp_path_factory.mktemp("images")) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebook's folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photo(size: tuple[int, int], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, kind)
    return buffer.getvalue()


SEE = xt.Workflow("see").generate_copy("seen", prompt="A calm lamp", images="{{ photo }}")


def texts(run: Any) -> list[str]:
    return list(run.outputs("seen")["text"])


def test_a_column_holds_images_in_any_form(bench: Workbench, folder: Path) -> None:
    """A PIL image, bytes, a path as text or as Path, a GIF by its path, an Artifact and a list: each is seen."""
    (folder / "lamp.jpg").write_bytes(photo((20, 10), "JPEG"))
    (folder / "lamp.gif").write_bytes(photo((22, 10), "GIF"))
    kept = bench.backend.store.artifact(bench.backend.store.save_image(photo((23, 10))))
    column = [
        Image.new("RGB", (24, 10), "teal"),
        photo((25, 10), "WEBP"),
        "lamp.jpg",
        folder / "lamp.jpg",
        "lamp.gif",
        kept,
        ["lamp.jpg", kept],
    ]
    run = bench.done(SEE, pd.DataFrame({"photo": column}))
    sizes = ["24 x 10", "25 x 10", "20 x 10", "20 x 10", "22 x 10", "23 x 10", "20 x 10"]
    for text, size in zip(texts(run), sizes, strict=True):
        assert f"(Seen: {size} pixels, mostly teal" in text
    assert "; 23 x 10 pixels" in texts(run)[-1]
    assert SEE.plan(pd.DataFrame({"photo": column})).loc["seen", "cached"] == len(column)


def test_a_step_gives_images_and_the_job_tells_which(bench: Workbench) -> None:
    """An image of a step is looked at and changed; the job in detail names the files that were sent; the same one again is not
    asked for again."""
    flow = (
        xt.Workflow("chain")
        .generate_image("poster", prompt="A calm lamp", size="128x128")
        .generate_image("night", prompt="At night", images="{{ poster }}", size="128x128")
        .generate_copy("seen", prompt="A line", images=["{{ night.image }}", "{{ poster }}"])
    )
    run = bench.done(flow)
    assert "128 x 128" in texts(run)[0]
    images = [Path(run.outputs(node)["image"].iloc[0]).stem for node in ("night", "poster")]
    asked = bench.backend.engine.job_details.job(run.id, "seen", "0").asked
    assert [each[KEY] for each in asked["images"]] == images
    again = bench.done(flow)
    assert set(again.jobs()["cached"]) == {True}


def test_what_is_no_image_in_a_table_is_refused_before_it_runs(bench: Workbench, folder: Path) -> None:
    """The problem names the parameter, the column and the row."""
    (folder / "notes.txt").write_text("no image")
    (folder / "half.png").write_bytes(photo((20, 10))[:40])
    (folder / "huge.png").write_bytes(photo((20, 10)))
    os.truncate(folder / "huge.png", 26 * 1024 * 1024)
    good = Image.new("RGB", (8, 8))
    for value, error, words in (
        (None, xt.WorkflowError, "`images` reads `photo`, and in row 1 the value is empty"),
        ("gone.png", xt.WorkflowError, "in row 1 the text 'gone.png' is no image"),
        (b"GIF89a", xt.WorkflowError, "in row 1 a stored file of application/octet-stream is no image"),
        ("notes.txt", ImageRefused, "photo[1], 'notes.txt': the file is no image that can be read"),
        ("half.png", ImageRefused, "photo[1], 'half.png': the image/png image is truncated or damaged"),
        ("huge.png", LimitExceeded, "photo[1], 'huge.png': the image has 27,262,976 bytes"),
    ):
        with pytest.raises(error) as caught:
            SEE.run(pd.DataFrame({"photo": [good, value]}))
        assert words in str(caught.value)
    flow = xt.Workflow("or").generate_copy("seen", prompt="x", images="{{ [photo] if photo else [] }}")
    first, second = texts(bench.done(flow, pd.DataFrame({"photo": [good, None]})))
    assert ("8 x 8" in first, "Seen" in second) == (True, False)


def test_a_path_that_a_step_returns_is_not_read_by_a_worker(bench: Workbench, folder: Path) -> None:
    """A worker reads no path that a value tells it: the job fails, and says what to return."""
    (folder / "lamp.png").write_bytes(photo((20, 10)))
    flow = xt.Workflow("path").call("made", lambda: "lamp.png").generate_copy("seen", prompt="x", images="{{ made }}")
    run = bench.done(flow)
    (error,) = run.jobs().query("node == 'seen'")["error"]
    assert "the text 'lamp.png' is no image" in error
