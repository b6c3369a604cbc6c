"""Results as files: a folder per row, names that cannot leave it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import xtyl_nb as xt
from workbench import workbench


def test_texts_and_images_are_written_per_row(tmp_path: Path) -> None:
    """Each row has a folder named by position and label, with every asset in it."""
    flow = (
        xt.Workflow("kit")
        .generate_image("poster", prompt="{{ name }}", size="64x64")
        .attach("kit", title="{{ name }} é", image="{{ poster.image }}", facts={"n": 1})
    )
    names = ["../../etc/passwd", "CON", "\u202e<b>", "x" * 300]
    with workbench(tmp_path) as bench:
        run = bench.done(flow, pd.DataFrame({"name": names}))
        paths = run.save(tmp_path / "out")
    assert len(paths) == 12
    assert all(path.resolve().is_relative_to(tmp_path / "out") for path in paths)
    assert len({path.parent for path in paths}) == 4
    texts = [path.read_text(encoding="utf-8") for path in paths if path.name == "kit-title.txt"]
    assert texts == [f"{name} é" for name in names]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths if path.suffix == ".png")


def test_without_a_kit_the_last_steps_are_written(tmp_path: Path) -> None:
    """Items are numbered, values that are not text are JSON, and failed items are left out."""

    def three(name: str) -> list[int]:
        return [1, 2, int(name)]

    with workbench(tmp_path) as bench:
        run = bench.done(
            xt.Workflow("raw").call("made", three, name="{{ name }}"),
            pd.DataFrame({"name": ["3", "x"]}, index=["a", "b"]),
        )
        paths = run.save(tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == ["000-a/made-items.txt"]
    assert paths[0].read_text() == "[1,2,3]"
