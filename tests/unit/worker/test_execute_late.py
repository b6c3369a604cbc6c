"""What becomes of work whose run is stopped: a late result is used as it is, and an error of what was cancelled fails nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import xtyl_nb as xt
from offering import node_types_of
from workbench import Workbench, workbench
from xtyl_engine.database.connection import Database
from xtyl_engine.nodes.base import Context
from xtyl_engine.scheduler.outcomes import Claim, Outcome, Released
from xtyl_nb.runs.run import Run


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def claimed(bench: Workbench, run: Run) -> Claim:
    (claim,) = bench.recorder.record([], run.id, 1).claims
    return claim


def record(bench: Workbench, run: Run, outcome: Outcome) -> None:
    bench.recorder.record([outcome], run.id, 0)


def stopped_late(bench: Workbench, flow: xt.Workflow, **inputs: Any) -> Run:
    """A run that was stopped before the result of its first job came."""
    run = flow.run(**inputs)
    outcome = bench.executor.execute(claimed(bench, run))
    run.stop()
    record(bench, run, outcome)
    assert list(run.events()["kind"])[-1] == "job_late"
    return run


def test_a_late_list_is_run_over(bench: Workbench) -> None:
    """Its items are born when the run is resumed; the function is not called again."""
    flow = xt.Workflow("list").call("made", lambda: [1, 2, 3]).call("next", lambda n: n, n="{{ made }}", over="made")
    run = stopped_late(bench, flow)
    run.resume()
    bench.work(run)
    assert (run.state, list(run.outputs("next")["value"])) == ("completed", [1, 2, 3])
    assert list(run.events()["kind"]).count("items_born") == 1


def test_a_late_list_that_nobody_runs_over_bears_no_items(bench: Workbench) -> None:
    """It is one value of its row, as it is when it comes in time."""
    run = stopped_late(bench, xt.Workflow("list").call("made", lambda: [1, 2, 3]))
    run.resume()
    bench.work(run)
    assert run.frame()["made"][0] == [1, 2, 3]
    assert "items_born" not in set(run.events()["kind"])


SEASON = """
from xtyl_engine.nodes.base import Done, NodeConfig, NodeType

SEASON = NodeType(
    name="season",
    config=NodeConfig,
    branches=lambda config: ("winter", "summer"),
    exclusive_branches=True,
    run=lambda config, context: Done(output={"month": 7}, branch="summer"),
)
"""
LONG = """
from xtyl_engine.nodes.base import Done, NodeConfig, NodeType

work = []

def run(config, context):
    work.pop()(context)
    return Done(output={"value": 1})

def unlisted(config, context):
    return Done(output={"found": [1, 2]}, items=2)

LONG = NodeType(name="long", config=NodeConfig, run=run)
UNLISTED = NodeType(name="unlisted", config=NodeConfig, run=unlisted, main="found", expands=True)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[None]:
    """Two node types of another package: `season` has exclusive branches, and its output does not name the branch taken;
    `long` does what its module's `work` holds; the list of `unlisted` is not under `items`."""
    offered = {"season": "late_season:SEASON", "long": "late_long:LONG", "unlisted": "late_long:UNLISTED"}
    with node_types_of(tmp_path / "site", offered, late_season=SEASON, late_long=LONG):
        yield


@pytest.mark.usefixtures("installed")
def test_a_late_branch_is_taken_alone(bench: Workbench) -> None:
    """Also where the output does not name it."""
    flow = xt.Workflow("branch").node(
        "season",
        "when",
        winter=lambda flow: flow.call("coat", lambda: "coat"),
        summer=lambda flow: flow.call("hat", lambda: "hat"),
    )
    run = stopped_late(bench, flow)
    run.resume()
    bench.work(run)
    assert dict(run.jobs().set_index("node")["status"]) == {"when": "completed", "coat": "skipped", "hat": "completed"}


@pytest.mark.usefixtures("installed")
def test_a_late_list_that_does_not_say_its_length_is_made_anew(bench: Workbench) -> None:
    """A type of another package keeps its list under a name of its own: its job is not failed for its kept result."""
    flow = xt.Workflow("list").node("unlisted", "made").call("next", lambda: 1, over="made")
    run = stopped_late(bench, flow)
    run.resume()
    bench.work(run)
    assert dict(run.jobs().groupby("node")["status"].agg(set)) == {"made": {"completed"}, "next": {"completed"}}
    assert run.outputs("next")["value"].tolist() == [1, 1]


def test_a_late_result_whose_file_is_gone_is_made_anew(bench: Workbench) -> None:
    """The kept result is of no use, and its job is not failed for it, once and again."""
    run = stopped_late(bench, xt.Workflow("file").call("made", lambda: "x" * 600_000))
    for path in bench.settings.artifacts_folder.rglob("*"):
        if path.is_file():
            path.unlink()
    run.resume()
    bench.work(run)
    assert run.state == "completed"
    assert run.frame()["made"][0] == "x" * 600_000


def stopped_midway(bench: Workbench, work: Callable[[Context], None], *, resume: bool = False) -> tuple[Run, Outcome]:
    """A run that is stopped, and maybe resumed, while its job does some of its work; the worker knows of the stop alone."""
    run = xt.Workflow("long").node("long", "here").run()
    claim = claimed(bench, run)

    def midway(context: Context) -> None:
        run.stop()
        bench.executor.stopped = {run.id}
        if resume:
            run.resume()
        work(context)

    importlib.import_module("late_long").work.append(midway)
    return run, bench.executor.execute(claim)


def give_up(context: Context) -> None:
    if context.cancelled():
        raise RuntimeError("cancelled")


def break_down(context: Context) -> None:
    raise RuntimeError("broken")


def attempts(bench: Workbench, run: Run) -> list[tuple[str, str | None, str | None]]:
    """Reason, outcome and error of each start of a run's job."""
    (job,) = bench.backend.queries.jobs(run.id)
    found = bench.backend.queries.attempts(job.id)
    return [(because, outcome, error) for _, because, _, _, outcome, error in found]


def go_on(bench: Workbench, run: Run) -> None:
    """Let the job do its work to the end."""
    importlib.import_module("late_long").work.append(lambda context: None)
    bench.work(run)
    assert run.state == "completed"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("is_first", [True, False])
def test_an_error_of_what_was_cancelled_fails_nothing(bench: Workbench, is_first: bool) -> None:
    """The user stopped it, it did not fail; also where the run is resumed before that is recorded."""
    run, outcome = stopped_midway(bench, give_up)
    assert isinstance(outcome, Released)
    if is_first:
        record(bench, run, outcome)
    run.resume()
    if not is_first:
        record(bench, run, outcome)
    assert attempts(bench, run) == [("first", "released", "RuntimeError: cancelled")]
    go_on(bench, run)
    reason = "reopened" if is_first else "stopped"
    assert attempts(bench, run)[1:] == [(reason, "completed", None)]


@pytest.mark.usefixtures("installed")
def test_nothing_is_cancelled_once_its_run_goes_on(bench: Workbench) -> None:
    """What the worker knows of stopped runs is a sweep old: before a handler is told to end, SQL is asked."""
    run, outcome = stopped_midway(bench, give_up, resume=True)
    record(bench, run, outcome)
    assert run.state == "completed"
    assert attempts(bench, run) == [("first", "completed", None)]


@pytest.mark.usefixtures("installed")
def test_an_error_of_what_was_not_told_is_shown_and_the_job_runs_again(bench: Workbench) -> None:
    """It is no answer to the stop: the attempt says that it failed, and why."""
    run, outcome = stopped_midway(bench, break_down)
    record(bench, run, outcome)
    assert run.state == "stopped"
    assert attempts(bench, run) == [("first", "failed", "RuntimeError: broken")]
    run.resume()
    go_on(bench, run)
    assert attempts(bench, run)[1:] == [("reopened", "completed", None)]


@pytest.mark.usefixtures("installed")
def test_an_error_once_its_run_goes_on_fails_the_job(bench: Workbench) -> None:
    """It was not told to end, and failed as any other."""
    run, outcome = stopped_midway(bench, break_down, resume=True)
    record(bench, run, outcome)
    assert run.state == "failed"


@pytest.mark.usefixtures("installed")
def test_nothing_is_cancelled_because_the_database_is_away(bench: Workbench) -> None:
    """An effect that is paid is not broken off on a guess."""
    seen: list[bool] = []

    def look(context: Context) -> None:
        seen.append(context.cancelled())
        bench.executor.database = Database("sqlite:////nowhere/to/be/found.db")
        seen.append(context.cancelled())

    stopped_midway(bench, look)
    assert seen == [True, False]
