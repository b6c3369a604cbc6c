"""From a claim to an outcome, by the real executor on a real database: reading, rendering, caching, failing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import BackendError, ErrorClass, FunctionRejected
from xtyl_engine.nodes import registry
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.outcomes import Claim, Completed, Failed, Outcome, Retrying, Waiting
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.slots import Slots


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def outcome(bench: Workbench, flow: xt.Workflow, **inputs: Any) -> Outcome:
    """What became of the first job."""
    (claim,) = bench.recorder.record([], flow.run(**inputs).id, 1).claims
    return bench.executor.execute(claim)


def call(function: Any, **more: Any) -> xt.Workflow:
    return xt.Workflow("call").call("made", function, **more)


def transient() -> None:
    raise xt.TransientError("later", retry_after=9.0)


def refused() -> None:
    raise ConnectionRefusedError("no listener")


def partial() -> None:
    raise xt.PartialFailureError("look")


def wrong() -> None:
    raise KeyError("k")


def test_a_result_is_completed_with_its_output(bench: Workbench) -> None:
    """The output is compact JSON; a list without a node that runs over it is one value of the row."""
    done = outcome(bench, call(lambda: {"a": "é"}))
    assert isinstance(done, Completed)
    assert done.output == '{"value":{"a":"é"}}'
    assert done.items is None


def test_a_review_waits_with_what_is_to_be_shown(bench: Workbench) -> None:
    """The outcome of a review is a wait."""
    run = xt.Workflow("r").generate_copy("line", prompt="x").review("pick", of="line").run()
    bench.work(run, 1)
    (claim,) = bench.recorder.record([], run.id, 1).claims
    assert isinstance(bench.executor.execute(claim), Waiting)


@pytest.fixture
def loiter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an installed node type that waits without saying so."""
    site = tmp_path / "site"
    (site / "loitering-1.dist-info").mkdir(parents=True)
    (site / "loitering-1.dist-info" / "entry_points.txt").write_text("[xtyl.nodes]\nloiter = loitering:LOITER\n")
    (site / "loitering-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: loitering\nVersion: 1\n")
    (site / "loitering.py").write_text(
        "from xtyl_engine.nodes.base import NodeConfig, NodeType, Wait\n"
        "LOITER = NodeType(name='loiter', config=NodeConfig, run=lambda config, context: Wait(output={}))\n"
    )
    caches = (registry._offered, registry.node_type, registry.type_facts)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(site)
        for cache in caches:
            cache.cache_clear()
        yield "loiter"
    for cache in caches:
        cache.cache_clear()


def test_only_a_type_that_says_so_may_wait(bench: Workbench, loiter: str) -> None:
    """A job that no decision could end fails, and says what its type lacks."""
    failed = outcome(bench, xt.Workflow("w").node(loiter, "here"))
    assert isinstance(failed, Failed)
    assert failed.failure.message == "loiter returned Wait\n  Set `waits=True` in its NodeType."


def test_each_class_of_error_has_its_outcome(bench: Workbench) -> None:
    """Transient is tried again after what was asked for, permanent and unknown fail, partial is for a person."""
    later = outcome(bench, call(transient))
    assert isinstance(later, Retrying)
    assert later.delay_seconds >= 9.0
    assert isinstance(outcome(bench, call(refused)), Retrying)
    assert isinstance(outcome(bench, call(transient, retry=1)), Failed)
    for function, error_class in ((partial, ErrorClass.PARTIAL), (wrong, ErrorClass.PERMANENT)):
        done = outcome(bench, call(function))
        assert isinstance(done, Failed)
        assert done.failure.error_class is error_class
        assert done.failure.traceback is None or "xtyl_engine" not in done.failure.traceback


@pytest.mark.parametrize("is_before", [True, False], ids=["before the work", "after the work"])
def test_what_watches_a_job_costs_no_result(bench: Workbench, tmp_path: Path, is_before: bool) -> None:
    """A trace or a report that breaks is logged; the job ran once, and has its result or its own error."""
    starts = tmp_path / "starts"

    def started() -> str:
        with open(starts, "a") as file:
            file.write("x")
        return "made"

    def trace(claim: Claim, work: Callable[[Claim], Outcome]) -> Outcome:
        if not is_before:
            work(claim)
        raise RuntimeError("the tracer broke")

    def report(*_: object) -> None:
        raise RuntimeError("the reporter broke")

    bench.executor.trace, bench.executor.on_failure = trace, report
    assert bench.done(call(started)).frame()["made"][0] == "made"
    assert starts.read_text() == "x"
    assert "KeyError" in str(bench.done(call(wrong)).frame()["error"][0])


def test_delays_double_up_to_their_limit(bench: Workbench) -> None:
    """Each delay is about twice the one before, and never more than the most."""
    run = call(refused, retry={"attempts": 6, "base_seconds": 0.001, "max_seconds": 0.004}).run()
    delays = []
    outcomes: list[Outcome] = []
    while run.state != "failed":
        grant = bench.recorder.record(outcomes, run.id, 1)
        outcomes = [bench.executor.execute(claim) for claim in grant.claims]
        delays += [each.delay_seconds for each in outcomes if isinstance(each, Retrying)]
    assert len(delays) == 5
    assert all(delay <= 0.004 for delay in delays)
    assert 0.0005 <= delays[0] <= 0.0015
    assert delays[-1] == 0.004


def test_parameters_that_are_wrong_once_filled_in_are_named(bench: Workbench) -> None:
    """A value that only the row has and that a parameter cannot take fails the row with its name."""
    flow = xt.Workflow("prompt").generate_copy("line", prompt="{{ text }}")
    done = outcome(bench, flow, text="x" * 2_000_000)
    assert isinstance(done, Failed)
    assert "prompt" in done.failure.message


def test_upstream_text_is_data(bench: Workbench) -> None:
    """Braces that came out of a step, or in with a row, are never rendered again."""
    flow = (
        xt.Workflow("data")
        .call("made", lambda: "{{ secret }} {% for x in y %}")
        .attach("kit", title="{{ made }} {{ cell }}")
        .attach("again", title="{{ kit.title }}")
    )
    run = bench.done(flow, pd.DataFrame({"cell": ["{{ 7 * 7 }}"], "secret": ["s"]}))
    assert run.frame()["again"][0] == "{{ secret }} {% for x in y %} {{ 7 * 7 }}"


def test_functions_are_refused_where_they_are_not_accepted(bench: Workbench) -> None:
    """A worker that takes no functions from notebooks says so, with a remedy."""
    from dataclasses import replace

    bench.executor = replace(bench.executor, settings=replace(bench.settings, accept_functions=False))
    done = outcome(bench, call(lambda: 1))
    assert isinstance(done, Failed)
    assert "takes no functions from notebooks" in done.failure.message
    assert "XTYL_ACCEPT_FUNCTIONS" in done.failure.message


def test_a_function_that_no_worker_takes_is_not_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the notebook has the workers' settings, a run with a function of its own is refused at once, by step and name, and so is
    one that names a function that is not open; a function that is open is submitted."""
    monkeypatch.setenv("XTYL_ACCEPT_FUNCTIONS", "0")
    monkeypatch.setenv("XTYL_FUNCTIONS", "posixpath:*")
    with workbench(tmp_path, XTYL_ACCEPT_FUNCTIONS="0", XTYL_FUNCTIONS="posixpath:*") as bench:
        with pytest.raises(FunctionRejected, match="does not take the function subprocess:getoutput") as caught:
            call("subprocess:getoutput", cmd="true").run()
        assert caught.value.node == "made"
        with pytest.raises(FunctionRejected, match="takes no functions from notebooks: wrong") as caught:
            call(wrong).run()
        assert caught.value.node == "made"
        assert xt.runs().empty
        assert bench.done(call(os.path.basename, p="a/b")).state == "completed"


def test_a_large_result_is_kept_as_a_file(bench: Workbench) -> None:
    """A result too large for a row is read back whole by what follows."""
    flow = call(lambda: ["x" * 1000] * 600).call("count", lambda rows: len(rows), rows="{{ made }}")
    run = bench.done(flow)
    assert run.frame()["count"][0] == 600
    assert len(run.outputs("made")) == 600


def test_nothing_that_is_skipped_is_gathered(bench: Workbench) -> None:
    """A step that gathers sees the items that there are, in order, and `none` of a node that did not run."""
    flow = (
        xt.Workflow("gather")
        .call("numbers", lambda: [1, 2, 3, 4])
        .conditional(
            "even",
            when="{{ numbers % 2 == 0 }}",
            over="numbers",
            then=lambda flow: flow.call("half", lambda n: n // 2, n="{{ numbers }}", over="numbers"),
        )
        .call("all", lambda halves: halves, halves="{{ half }}")
    )
    assert bench.done(flow).frame()["all"][0] == [1, 2]


class Flaky(Database):
    """A database that cannot be reached for the next `failing` writes, as after a restart that takes long."""

    failing = 0

    def transact(self, work: Any, *, seconds: float | None = None) -> Any:
        if self.failing:
            self.failing -= 1
            raise BackendError("the connection is lost", retryable=True)
        return super().transact(work, seconds=seconds)


def test_a_result_outlives_a_long_loss_of_the_database(bench: Workbench, tmp_path: Path) -> None:
    """A slot hands its result in until it is taken; the job is not done again."""
    database = Flaky(bench.settings.database_url)
    starts = tmp_path / "starts"

    def work() -> int:
        with open(starts, "a") as file:
            file.write(".")
        return 1

    run = call(work).run()
    plans = PlanCache()
    recorder = Recorder(database, "slot", 10.0, lambda events: None, plans.load)

    class Losing(Executor):
        def execute(self, claim: Claim) -> Outcome:
            done = super().execute(claim)
            database.failing = 2
            return done

    executor = Losing(bench.settings, database, plans, bench.backend.store, recorder.may_start)
    Slots(recorder, executor, lambda id: None, 1, 1.0).advance(run.id)
    database.close()
    assert run.state == "completed"
    assert starts.read_text() == "."
    assert list(run.jobs()["attempts"]) == [1]


class Unspeakable(Exception):
    """An error that cannot even be read."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attributes")


def unspeakable() -> None:
    raise Unspeakable


def test_an_error_that_cannot_be_read_fails_its_job(bench: Workbench) -> None:
    """However a user's error behaves when it is read, there is an outcome, and it names the error."""
    done = outcome(bench, call(unspeakable))
    assert isinstance(done, Failed)
    assert "Unspeakable" in done.failure.message


def test_waiting_for_room_is_no_time_of_the_steps(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is made and the disk full for longer than the step may take: the image is kept, and not made again."""
    bench.executor.store.patience_seconds = 60.0
    refusals = [OSError(errno.ENOSPC, "No space left on device")] * 2
    replace = os.replace

    def rename(source: Any, target: Any) -> None:
        if refusals:
            raise refusals.pop()
        replace(source, target)

    run = xt.Workflow("draw").generate_image("poster", prompt="x", size="64x64", timeout=1.0, cache=False).run()
    (claim,) = bench.recorder.record([], run.id, 1).claims
    monkeypatch.setattr(os, "replace", rename)
    assert isinstance(bench.executor.execute(claim), Completed)
    assert refusals == []
