"""What a run's attempts printed, as a user asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.errors import FrameError
from xtyl_engine.scheduler.outcomes import Completed
from xtyl_engine.values.prints import Printed
from xtyl_nb.runs.run import Run

BRIEFS = pd.DataFrame({"name": ["Aurora", "Tidal"]}, index=["x", "y"])


def measure(name: str, size: int = 0) -> int:
    return len(name) + size


FLOW = (
    xt.Workflow("two")
    .call("size", measure, name="{{ name }}")
    .call("again", measure, name="{{ name }}", size="{{ size }}")
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
def run(bench: Workbench) -> Run:
    """A run whose jobs of `size` printed, that of row y with markup."""
    made = FLOW.run(BRIEFS)
    said = {"0": Printed(text="six\nletters", done=6, of=8), "1": Printed(text="<b>five</b>")}
    outcomes: list[Completed] = []
    while claims := bench.recorder.record(outcomes, made.id, 10).claims:
        outcomes = []
        for claim in claims:
            done = bench.executor.execute(claim)
            assert isinstance(done, Completed)
            outcomes.append(replace(done, printed=said[claim.item] if claim.node == "size" else None))
    return made


def test_the_text_of_one_job_is_just_its_text(run: Run) -> None:
    """A row is named by its label; `print` shows what the function printed, nothing around it."""
    assert str(run.logs("size", row="x")) == "six\nletters"
    assert str(run.logs("size", item="1")) == "<b>five</b>"


def test_the_texts_of_several_jobs_stand_under_their_names(run: Run) -> None:
    """Node, row, attempt, how it ended, and how far it said it was; silent jobs are left out."""
    logs = run.logs()
    assert str(logs) == (
        "--- size 0 · x · attempt 1 · completed · 6 of 8\nsix\nletters\n--- size 1 · y · attempt 1 · completed\n<b>five</b>"
    )
    assert (len(logs), repr(logs), repr(run.logs(row="y"))) == (2, "Logs(2 attempts)", "Logs(1 attempt)")
    assert [log.label for log in logs] == ["x", "y"]
    table = pd.DataFrame(list(logs.attempts))
    assert list(table["text"]) == ["six\nletters", "<b>five</b>"]


def test_where_nothing_was_printed_it_says_so(run: Run) -> None:
    """Neither a step nor a row without prints is an error; a step that is not there is."""
    assert str(run.logs("again")) == "nothing was printed"
    assert "nothing was printed" in run.logs("again")._repr_html_()
    with pytest.raises(FrameError, match="there is no node 'sise' in this run") as caught:
        run.logs("sise")
    assert "size" in str(caught.value.hint)
    with pytest.raises(FrameError, match="no row with the label 'z'"):
        run.logs(row="z")


def test_a_notebook_shows_the_texts_and_no_markup_of_theirs(run: Run) -> None:
    """What a function prints is text, whatever it looks like; there is no script in it."""
    shown = run.logs()._repr_html_()
    assert "&lt;b&gt;five&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert "size 0 · x · attempt 1 · completed · 6 of 8" in shown


def test_the_details_of_a_job_have_the_prints_of_each_attempt(run: Run) -> None:
    """They stand beside how the attempt ended."""
    (attempt,) = run.inspect("size", row="x").attempts
    assert (attempt.outcome, attempt.printed, attempt.done, attempt.of) == ("completed", "six\nletters", 6, 8)
    (silent,) = run.inspect("again", row="x").attempts
    assert silent.printed is None
