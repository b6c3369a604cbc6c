"""What becomes of work whose run is stopped: a late result is used as it is, and an error of what was cancelled fails nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.nodes import registry
from xtyl_engine.scheduler.outcomes import Claim, Outcome
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


@pytest.fixture
def season(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an installed node type with exclusive branches, whose output does not name the branch."""
    site = tmp_path / "site"
    (site / "seasons-1.dist-info").mkdir(parents=True)
    (site / "seasons-1.dist-info" / "entry_points.txt").write_text("[xtyl.nodes]\nseason = seasons:SEASON\n")
    (site / "seasons-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: seasons\nVersion: 1\n")
    (site / "seasons.py").write_text(
        "from xtyl_engine.nodes.base import Done, NodeConfig, NodeType\n"
        "SEASON = NodeType(name='season', config=NodeConfig, branches=lambda config: ('winter', 'summer'),\n"
        "    exclusive_branches=True, run=lambda config, context: Done(output={'month': 7}, branch='summer'))\n"
    )
    caches = (registry._offered, registry.node_type, registry.type_facts)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(site)
        for cache in caches:
            cache.cache_clear()
        yield "season"
    for cache in caches:
        cache.cache_clear()


def test_a_late_branch_is_taken_alone(bench: Workbench, season: str) -> None:
    """Also where the output does not name it."""
    flow = xt.Workflow("branch").node(
        season,
        "when",
        winter=lambda flow: flow.call("coat", lambda: "coat"),
        summer=lambda flow: flow.call("hat", lambda: "hat"),
    )
    run = stopped_late(bench, flow)
    run.resume()
    bench.work(run)
    assert dict(run.jobs().set_index("node")["status"]) == {"when": "completed", "coat": "skipped", "hat": "completed"}


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
