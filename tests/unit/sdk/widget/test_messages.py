"""A page's questions and orders, answered by a real back end."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.errors import DecisionRefused
from xtyl_nb.runs.run import Run
from xtyl_nb.widget.messages import CONTROLS, QUESTIONS
from xtyl_nb.widget.state import mark
from xtyl_nb.widget.widget import RunWidget

ROWS = 57
BRIEFS = pd.DataFrame({"name": [f"Lamp {row}" for row in range(ROWS)]})
FLOW = xt.Workflow("picks").generate_copy("line", prompt="{{ name }}", n=2).review("pick", of="line")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def behind(run: Run, after: str | None, count: int, have: dict[str, str]) -> Any:
    return QUESTIONS["reviews"](run, {"after": after, "count": count, "have": have}, None)


def test_every_review_can_be_leafed_to_and_is_listed(bench: Workbench) -> None:
    """This goes beyond the fifty of an overview, on from a row that was decided meanwhile, without the decided ones."""
    run = bench.done(FLOW, BRIEFS)
    assert len(run.overview().reviews) < ROWS
    assert run.reviews().index.get_level_values("row").nunique() == ROWS
    run.approve("pick", row=50, choose=[0]).reject("pick", row=53, reason="none")
    known = {f"pick/{each.item}": mark(each.options) for each in run._reviews_after(("pick", "50"), 2)}
    assert list(known) == ["pick/51", "pick/52"]
    found = behind(run, "pick/50", 100, known | {"pick/52": "another"})
    assert found["keys"] == ["pick/51", "pick/52", "pick/54", "pick/55", "pick/56"]
    assert list(found["reviews"]) == ["pick/52", "pick/54", "pick/55", "pick/56"]
    assert behind(run, None, 2, {})["keys"] == ["pick/0", "pick/1"]
    assert run.reviews().index.get_level_values("row").nunique() == ROWS - 2


def test_a_click_where_nothing_waits_yet_is_refused_and_waits_for_nothing(bench: Workbench) -> None:
    """In Python a decision is made as soon as it can be; a page that is too early gets a refusal."""
    run = FLOW.run(name="x")
    for kind, details in (("approve", {"choose": [0]}), ("reject", {"reason": "none"})):
        with pytest.raises(DecisionRefused, match="pick does not wait for a decision now"):
            CONTROLS[kind](run, {"node": "pick", "item": "0", **details})


def test_a_click_at_a_decided_review_is_told_the_decision(bench: Workbench) -> None:
    """The answer also says that it waits no more; an invalid choice leaves it waiting."""
    run = bench.done(FLOW, name="x")
    shown = RunWidget(run)
    click = {"node": "pick", "item": "0", "choose": [7]}
    wrong = shown._obey(CONTROLS["approve"], click)
    assert (wrong["ok"], wrong["waits"], wrong["decision"]) == (False, True, None)
    assert wrong["hint"] == "Choose 1 of 0..1: choose=[n]."
    run.approve("pick", choose=[1])
    late = shown._obey(CONTROLS["approve"], click | {"choose": [0]})
    assert (late["ok"], late["waits"]) == (False, False)
    assert (late["decision"]["action"], late["decision"]["choice"]) == ("approved", [1])
    shown.close()


def test_an_image_is_sent_as_large_as_a_page_can_use(bench: Workbench) -> None:
    """This holds for an image of a job and for one of an option, even far down the list; a missing one gives none."""
    flow = xt.Workflow("art").generate_image("poster", prompt="{{ name }}").review("pick", of="poster")
    run = bench.done(flow, BRIEFS)

    def width(**asked: Any) -> int | None:
        image = QUESTIONS["image"](run, asked, None)["image"]
        return image and Image.open(BytesIO(b64decode(image.partition(",")[2]))).width

    with Image.open(run.gallery("poster").paths[0]) as original:
        assert original.width > 512
        assert width(node="poster", item="0", image=0) == original.width
        assert width(node="pick", item="56", option=0) == original.width
    assert width(node="poster", item="0", image=7) is None
    assert width(node="pick", item="56", option=7) is None
    assert width(node="pick", item="99", option=0) is None


def test_time_at_work_is_what_the_jobs_took(bench: Workbench) -> None:
    """Those of a review stand still while it waits for a person."""
    run = bench.done(FLOW, BRIEFS.head(3))
    jobs = run.jobs()
    nodes = run.overview().nodes
    took: Any = jobs[jobs["node"] == "line"]["duration"].sum()
    assert nodes["line"].worked == pytest.approx(took.total_seconds(), abs=0.02)
    assert (nodes["line"].at_work, nodes["pick"].at_work) == (0, 3)
    assert nodes["pick"].started is not None
    assert nodes["pick"].seconds_at_work(nodes["pick"].started + 600) == nodes["pick"].busy_seconds
    assert nodes["pick"].busy_since is None
