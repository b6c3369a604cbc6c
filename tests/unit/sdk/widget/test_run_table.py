"""The rows of a run as the page asks for them: a matrix of rows by steps, and what came of each row."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.errors import LimitExceeded
from xtyl_nb.widget import run_table
from xtyl_nb.widget.run_table import RunTable

BRIEFS = pd.DataFrame(
    {
        "item": ["Wool scarf", "Trail shoe", "Brew kit", "Desk"],
        "market": ["DE", "FR", "UK", "DE"],
        "notes": ["x" * 200, "", "", ""],
    }
)


def sized(item: str) -> int:
    if item == "Trail shoe":
        raise ValueError(f"no size of {item}")
    return len(item)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
def run(bench: Workbench) -> xt.Run:
    """One row failed, one is rejected, one is ready, one waits."""
    flow = (
        xt.Workflow("autumn")
        .call("size", sized, item="{{ item }}")
        .generate_copy("slogan", prompt="A slogan for {{ item }}, {{ size }}", n=2)
        .generate_image("visual", prompt="{{ slogan.text }}", size="64x64", over="slogan")
        .review("pick", of="visual", show=["market"])
        .attach("kit", title="{{ pick.slogan.text }}", image="{{ pick.visual.image }}")
    )
    made = bench.done(flow, BRIEFS)
    made.approve("pick", row=0, choose=[1])
    made.reject("pick", row=2, reason="too loud")
    return bench.work(made)


def asked(run: xt.Run, kind: str, **message: Any) -> dict[str, Any]:
    found: dict[str, Any] = getattr(RunTable(run), kind)(message, run.overview().sequence)
    return found


def test_the_matrix_has_a_cell_for_each_step(run: xt.Run) -> None:
    """With its state, its words or small pictures, how many more there are, and the job that a click leads to."""
    found = asked(run, "rows")
    assert (found["total"], found["columns"]) == (4, ["market"])
    assert found["steps"] == ["size", "slogan", "visual", "pick", "kit"]
    assert found["counts"] == {"": 4, "failed": 1, "waiting": 1, "rejected": 1, "ready": 1}
    ready, failed, rejected, waiting = found["rows"]
    assert [row["state"] for row in found["rows"]] == ["ready", "failed", "rejected", "waiting"]
    assert (ready["label"], ready["facts"]) == ("Wool scarf", ["DE"])
    size, slogan, visual, pick, kit = ready["cells"]
    assert (size["text"], slogan["more"], len(visual["thumbs"]), len(kit["thumbs"])) == ("10", 1, 2, 1)
    assert pick["item"] == "0"
    assert "no size of Trail shoe" in failed["cells"][0]["text"]
    assert [cell["state"] for cell in failed["cells"]] == ["failed", *["skipped"] * 4]
    assert (rejected["cells"][3]["state"], rejected["cells"][3]["text"]) == ("rejected", "too loud")
    assert waiting["cells"][3]["state"] == "waiting"


def test_rows_are_found_by_state_and_by_words(run: xt.Run) -> None:
    """Words of inputs, of results and of errors, in whatever case; pages begin where they are told to."""
    assert [row["row"] for row in asked(run, "rows", show="failed")["rows"]] == [1]
    assert [row["row"] for row in asked(run, "rows", find="DESK")["rows"]] == [3]
    assert [row["row"] for row in asked(run, "rows", find="no size of")["rows"]] == [1]
    assert [row["row"] for row in asked(run, "rows", find="TOO LOUD", show="rejected")["rows"]] == [2]
    assert asked(run, "rows", find="no such words") | {"columns": [], "steps": []} == {
        "total": 0,
        "start": 0,
        "counts": asked(run, "rows")["counts"],
        "columns": [],
        "steps": [],
        "rows": [],
    }
    assert [row["row"] for row in asked(run, "rows", start=1, count=2)["rows"]] == [1, 2]


def test_results_show_what_came_of_each_row(run: xt.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit with its title and picture, who chose, and where a row failed; the file is the one that the step made."""
    ready, failed, rejected, _ = asked(run, "results")["results"]
    assert ready["title"] == run.outputs("kit")["title"].iloc[0]
    assert (len(ready["images"]), ready["error"]) == (1, None)
    assert ready["by"]
    assert failed["error"] == {"node": "size", "item": "1", "says": failed["error"]["says"]}
    assert "no size of Trail shoe" in failed["error"]["says"]
    assert (rejected["state"], rejected["title"], rejected["images"]) == ("rejected", None, [])
    file = asked(run, "file", row=0, place=0)
    kind, _, text = file["data"].partition(";base64,")
    assert kind == "data:image/png"
    assert Image.open(io.BytesIO(base64.b64decode(text))).size == (64, 64)
    monkeypatch.setattr(run_table, "MOST_FILE_BYTES", 10)
    with pytest.raises(LimitExceeded, match=r"run\.save\(\)"):
        asked(run, "file", row=0, place=0)


def test_a_review_shows_its_row_and_where_its_options_come_from(run: xt.Run) -> None:
    """The columns that `show` names, else the short ones, and for each option the job that made it."""
    assert asked(run, "row", node="pick", item="3") == {
        "facts": [["market", "DE"]],
        "sources": [["visual", "3.0"], ["visual", "3.1"]],
    }


def test_columns_that_are_shown_exist(bench: Workbench) -> None:
    """A name that the table does not have is a problem with the closest one."""
    flow = xt.Workflow("w").generate_copy("line", prompt="{{ item }}", n=2).review("pick", of="line", show=["markt"])
    with pytest.raises(xt.WorkflowError) as refused:
        flow.plan(BRIEFS)
    (problem,) = refused.value.problems
    assert (problem.code, problem.message) == ("workflow/missing-column", "show=`markt`: there is no such column")
    assert problem.hint == "Did you mean `market`?"


def test_a_run_without_a_deliverable_shows_its_last_steps(bench: Workbench) -> None:
    """Their main values, under their names."""
    flow = xt.Workflow("plain").generate_copy("line", prompt="{{ item }}")
    result = asked(bench.done(flow, BRIEFS.head(1)), "results")["results"][0]
    assert [name for name, _ in result["texts"]] == ["line"]
    assert result["title"] == result["texts"][0][1]
