"""The handle on one execution without a worker: its state, its waits, its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import redis

import xtyl_nb as xt
from servers import foreign_server, wait_until
from workbench import Workbench, workbench
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.plan_cache import PlanCache


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


LEFT = "a worker: the leases of its running jobs ran out, and no worker has put them back"
LEFT_AHEAD = "a worker: the leases of its running jobs were not renewed for"
FLOW = xt.Workflow("two").generate_copy("line", prompt="a {{ name }}", n=2).review("pick", of="line")


def test_a_run_without_a_worker_says_so(bench: Workbench) -> None:
    """It is pending, at nought percent, and waits for a worker, which a wait that times out says too."""
    run = FLOW.run(name="x")
    assert repr(run) == "Run('two')"
    assert (run.state, run.progress, run.waiting_for) == ("pending", 0, "a worker")
    with pytest.raises(xt.WaitTimeout, match=r"0 of 3 jobs are over, waiting for a worker"):
        run.wait(0.05)
    assert not run._changed(1, 0.01)
    assert run._changed(0, 0.01)


def test_jobs_whose_workers_are_all_gone_wait_for_one(database_url: str, tmp_path: Path) -> None:
    """Once their lease ran out and no worker has put them back, the run says so; a worker that is seen at any run ends that."""
    with workbench(tmp_path, XTYL_DATABASE_URL=database_url) as bench:
        run = FLOW.run(name="x")
        gone = Recorder(bench.backend.database, "gone", 0.1, lambda events: None, PlanCache().load)
        assert gone.record([], run.id, 1).claims
        assert run.waiting_for is None
        wait_until(lambda: run.waiting_for == LEFT)
        assert bench.recorder.record([], FLOW.run(name="y").id, 1).claims
        assert run.waiting_for is None


def test_leases_ahead_of_the_clock_do_not_hide_that_all_workers_are_gone(database_url: str, tmp_path: Path) -> None:
    """As after the database's clock was set back: once they stayed the same for a while, the run says so; a worker ends that."""
    beat, lease, silent = "0.1", "0.5", "0.5"
    with workbench(
        tmp_path,
        XTYL_DATABASE_URL=database_url,
        XTYL_BEAT_SECONDS=beat,
        XTYL_LEASE_SECONDS=lease,
        XTYL_SILENT_SECONDS=silent,
    ) as bench:
        run = FLOW.run(name="x")
        gone, other = (
            Recorder(bench.backend.database, name, ahead, lambda events: None, PlanCache().load)
            for name, ahead in (("gone", 3600.0), ("other", 7200.0))
        )
        assert gone.record([], run.id, 1).claims
        assert run.waiting_for is None
        wait_until(lambda: run.waiting_for == f"{LEFT_AHEAD} 0.5 s")
        assert other.record([], FLOW.run(name="y").id, 1).claims
        assert run.waiting_for is None


def test_a_keyword_that_nothing_reads_is_told(bench: Workbench) -> None:
    """It may be a typo, or taken for a setting. A keyword that is read gives no warning."""
    flow = xt.Workflow("w").generate_copy("line", prompt="For {{ product }}")
    with pytest.warns(UserWarning, match="Input `max_parallel` is not used by any step") as told:
        bench.done(flow, product="Lamp", max_parallel=3)
    assert len(told) == 1
    bench.done(flow, product="Lamp")


def test_what_a_text_probably_does_not_mean_is_told(bench: Workbench) -> None:
    """By `plan` and once by `run`, at the user's own line; the run is not refused. A file in a text is, before anything runs."""
    flow = xt.Workflow("doubts").generate_copy("line", prompt="Line for {{ product }} by {maker}!")
    briefs = [{"product": "Lamp", "maker": "Aurora"}, {"product": "", "maker": "Tidal"}]
    for told_by in (flow.plan, flow.run):
        with pytest.warns(UserWarning, match="line: `prompt`") as told:
            told_by(briefs)
        braces, empty = (str(each.message) for each in told)
        assert braces.startswith("line: `prompt` has `{maker}`, which is sent as it stands. Write `{{ maker }}`")
        assert empty.startswith(
            "line: `prompt` reads `product`, which is empty in 1 of 2 rows, the first 1: 'Line for  by"
        )
        assert {each.filename for each in told} == {__file__}
    with pytest.warns(UserWarning, match="line: `prompt`"):
        plan = flow.plan(briefs)
    assert plan.warnings == (braces, empty)
    assert plan[["jobs"]].warnings == ()
    with pytest.raises(xt.WorkflowError, match="`prompt`: product is a stored file in row 0"):
        flow.run(product=b"bytes")
    assert len(xt.runs()) == 1


def test_progress_counts_what_is_over(bench: Workbench) -> None:
    """Each completed job moves it, and a decision completes it."""
    run = bench.work(FLOW.run(name="x"), 1)
    assert run.progress == pytest.approx(100 / 3, abs=0.1)
    assert run.state == "running"
    bench.work(run)
    assert run.waiting_for == "a person: 1 decision at pick"
    assert run.approve("pick", choose=[1]) is run
    end: tuple[Any, ...] = (run.state, run.progress, run.waiting_for)
    assert end == ("completed", 100, None)


def test_a_refused_decision_changes_nothing(bench: Workbench) -> None:
    """The allowed choices are named, and the review still waits."""
    run = bench.done(FLOW, name="x")
    choose: Any
    for choose in ([], [0, 1], [2], [-1], ["0"], [True]):
        with pytest.raises(xt.DecisionRefused, match=r"Choose 1 of 0\.\.1: choose=\[n\]"):
            run.approve("pick", choose=choose)
    with pytest.raises(xt.DecisionRefused, match="takes no edits"):
        run.approve("pick", choose=[0], edits={0: "mine"})
    assert len(run.reviews()) == 2


def test_approving_ahead_waits_no_longer_than_told(bench: Workbench) -> None:
    """A review that does not wait in time is a WaitTimeout, and can still be decided."""
    run = FLOW.run(name="x")
    with pytest.raises(xt.WaitTimeout):
        run.approve("pick", choose=[0], timeout=0.05)
    bench.work(run)
    run.approve("pick", choose=[0], timeout=0)
    assert run.state == "completed"


def test_a_decision_that_never_comes_is_refused(bench: Workbench) -> None:
    """A review whose run is over, or that was skipped by a failure before it, cannot be decided."""
    run = FLOW.run(name="x")
    run.stop()
    with pytest.raises(xt.DecisionRefused, match="does not wait for a decision"):
        run.approve("pick", choose=[0])
    with pytest.raises(xt.DecisionRefused, match="there is no review 'line'"):
        run.reject("line", reason="no")


def test_a_rejection_has_a_reason(bench: Workbench) -> None:
    """One without words is refused, says how to give one, and decides nothing."""
    run = bench.done(FLOW, name="x")
    for reason in ("", " \n"):
        with pytest.raises(xt.DecisionRefused, match="the reason is empty") as refused:
            run.reject("pick", reason=reason)
        assert 'reason="' in str(refused.value.hint)
    assert len(run.reviews()) == 2


def test_a_job_of_a_label_that_occurs_twice_is_named_by_its_place(bench: Workbench) -> None:
    """The error of `inspect` and `logs` names an argument that they take."""
    run = bench.done(
        xt.Workflow("twice").attach("kit", title="{{ name }}"), pd.DataFrame({"name": ["a", "b"]}, index=[7, 7])
    )
    for look in (run.inspect, run.logs):
        with pytest.raises(xt.FrameError, match="2 rows with the label 7") as refused:
            look("kit", row=7)
        assert 'item="1" is the second row' in str(refused.value.hint)
        assert "row_position" not in str(refused.value.hint)
    assert run.inspect("kit", item="1").asked["assets"] == {"title": "b"}


def test_a_run_without_reviews_has_nothing_to_decide(bench: Workbench) -> None:
    """The hint says so, and names no review."""
    run = xt.Workflow("plain").generate_copy("line", prompt="A line").run()
    with pytest.raises(xt.DecisionRefused) as refused:
        run.reject("line", reason="no")
    assert refused.value.hint == "This run has no reviews to decide."


def test_a_row_with_no_items_has_no_decision(bench: Workbench) -> None:
    """A decision on a review over an empty list is refused, and does not wait."""
    flow = (
        xt.Workflow("none")
        .call("list", list)
        .generate_copy("line", prompt="{{ list }}", over="list")
        .review("pick", of="line", over="list")
    )
    run = bench.done(flow)
    with pytest.raises(xt.DecisionRefused, match="no decision to make"):
        run.approve("pick", choose=[0])


def test_two_handles_show_the_same(bench: Workbench) -> None:
    """A handle keeps no state: a change by one shows in the other."""
    run = FLOW.run(name="x")
    other = xt.attach(run.id)
    other.pause()
    assert run.state == "paused"
    assert run.waiting_for == "paused: `run.resume()` goes on"
    assert bench.work(run).progress == 0
    run.resume()
    bench.work(other)
    run.reject("pick", reason="no")
    assert other.state == "completed"
    assert [event.kind for event in other.watch()][-1] == "completed"
    assert list(xt.runs().index) == [run.id]
    assert list(xt.runs(1)["state"]) == ["completed"]


def test_a_wait_opens_no_new_connection(tmp_path: Path) -> None:
    """With any number of waits, the broker sees the same few clients."""
    with workbench(tmp_path, foreign_server) as bench, redis.Redis.from_url(bench.settings.event_url) as client:
        run = FLOW.run(name="x")
        assert not run._changed(1, 0.01)
        before = client.info("stats")["total_connections_received"]
        assert [run._changed(1, 0.01) for _ in range(5)] == [False] * 5
        assert client.info("stats")["total_connections_received"] == before
