"""What each kind of page asks a value for: Jupyter and what runs on its kernel (VS Code, Colab), marimo, and a plain `print`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_nb.widget.widget import RunWidget

FLOW = (
    xt.Workflow("<launch>")
    .generate_copy("line", prompt="{{ word }}")
    .generate_image("art", prompt="{{ line.text }}", size="16x16")
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def test_every_value_has_a_picture_and_a_text(bench: Workbench) -> None:
    """Without a Jupyter kernel each shows HTML that has no script and fits the page, and its `repr` is one line."""
    run = bench.done(FLOW, word="lamp")
    waits = bench.done(FLOW.review("pick", of="line"), word="lamp")
    values: list[Any] = [FLOW, run, waits, run.gallery(), run.timeline(), run.logs()]
    for value in values:
        html = value._repr_html_()
        assert html.startswith("<div")
        assert "<script" not in html
        assert "<launch>" not in html
        assert "\n" not in repr(value)
        assert "<div" not in str(value)


def test_marimo_gets_the_live_graph_of_a_run(bench: Workbench) -> None:
    """It asks by a name of its own, before it looks for a picture, and shows the widget that it gets."""
    run = bench.done(FLOW, word="lamp")
    widget = run._display_()
    assert isinstance(widget, RunWidget)
    assert "application/vnd.jupyter.widget-view+json" in widget._repr_mimebundle_()[0]
    widget.close()


def test_a_run_is_the_same_picture_in_a_bundle(bench: Workbench) -> None:
    """A page that asks for a bundle gets the picture and the text; a finished run's has its images, an open one's the time."""
    run = bench.done(FLOW, word="lamp")
    bundle = run._repr_mimebundle_(include=None, exclude=None)
    assert bundle == {"text/plain": repr(run), "text/html": run._repr_html_()}
    assert "completed" in bundle["text/html"]
    # On its card and on the sheet; the wires are an image too.
    assert len(re.findall("data:image/(?!svg)", bundle["text/html"])) == 2
    assert "as of " in FLOW.run(word="mug")._repr_html_()
