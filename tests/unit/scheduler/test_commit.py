"""What is promised of the record, held on every database: moves and their guards, cascades, fences, controls."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from engine_driver import Driver, completed, dead, failed, retrying, waiting
from plans import chain, fan, layered, plan_of
from servers import wait_until
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.errors import ControlRefused, DecisionRefused, ErrorClass, LimitExceeded, RunNotFound
from xtyl_engine.events import Event
from xtyl_engine.limits import MAX_EVENT_BYTES
from xtyl_engine.providers.base import Usage
from xtyl_engine.scheduler.claim import Grant
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.isolation import ASK_AGAIN_SECONDS, FORGET_SECONDS
from xtyl_engine.scheduler.outcomes import Claim, Completed, Outcome, Released
from xtyl_engine.worker.owners import Pulse, unknown
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import MAX_LOST, Sweeper
from xtyl_engine.workflow.plan import Plan

BRANCHES: list[Any] = [("c", "a", "then"), ("c", "b", "otherwise"), ("a", "join"), ("b", "join"), ("c", "join")]


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


def sweep(
    driver: Driver,
    load: Callable[[Transaction, str], Plan] | None = None,
    *,
    owner: str = "sweeper",
    pulse: Callable[[str], Pulse] = unknown,
) -> None:
    """One round of a sweeper that has no slots to fill."""
    slots = Slots(driver.recorder, None, lambda id: None, 0, 1.0)  # type: ignore[arg-type]
    load = load or driver.plans.load
    Sweeper(driver.database, slots, owner, driver.published.extend, load, 10, 3, 1, pulse=pulse).put_back_lost()


def together(driver: Driver, *requests: tuple[Sequence[Outcome], str, int]) -> list[Future[Grant]]:
    """Hand requests in while another commit is under way, so that the next one commits them all; what came of each."""
    is_committing, may_go_on = threading.Event(), threading.Event()

    def publish(events: Sequence[Event]) -> None:
        is_committing.set()
        assert may_go_on.wait(60)
        driver.published.extend(events)

    recorder = Recorder(driver.database, "worker-1", 10.0, publish, driver.plans.load)
    with ThreadPoolExecutor(1 + len(requests)) as pool:
        pool.submit(recorder.record, [], requests[-1][1], 0)
        try:
            assert is_committing.wait(60)
            asked = [pool.submit(recorder.record, *request) for request in requests]
            wait_until(lambda: len(recorder._queue) == len(requests))
        finally:
            may_go_on.set()
    return asked


@pytest.mark.parametrize("plan", [chain(30), fan(30), layered(5, 8)], ids=["chain", "fan", "layered"])
def test_every_job_runs_once_and_after_its_parents(driver: Driver, plan: Plan) -> None:
    """Each job starts exactly once, when all its parents are committed, in every row; then the run is completed."""
    id = driver.submit(plan, rows=2)
    order = driver.drain(id)
    assert len(order) == len(set(order)) == 2 * len(plan.nodes)
    place = {job: number for number, job in enumerate(order)}
    for node in plan.nodes.values():
        for link in node.parents:
            assert all(place[link.source, row] < place[node.id, row] for row in "01")
    assert driver.state(id) == "completed"


def test_events_are_numbered_without_a_gap(driver: Driver) -> None:
    """The recorded events are 1..n, and what was published is what was recorded."""
    id = driver.submit(fan(5))
    driver.drain(id)
    events = driver.queries.events(id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert driver.published == events[1:]
    assert driver.kinds(id)[-1] == "completed"


def test_a_join_after_branches_runs_when_one_was_skipped(driver: Driver) -> None:
    """The branch not taken is skipped, with what hangs on it alone; the join runs."""
    plan = plan_of({"c": {}, "a": {}, "b": {}, "b2": {}, "join": {}}, [*BRANCHES, ("b", "b2")])
    id = driver.submit(plan)
    driver.drain(id, {"c": lambda claim: completed(claim, branch="then")})
    assert driver.states(id) == {
        "c@0": "completed",
        "a@0": "completed",
        "b@0": "skipped",
        "b2@0": "skipped",
        "join@0": "completed",
    }
    assert driver.state(id) == "completed"


def test_a_failure_skips_what_hangs_on_it_and_no_other_row(driver: Driver) -> None:
    """One row's permanent failure leaves the others to complete; the run is failed."""
    id = driver.submit(chain(3), rows=2)
    driver.drain(id, {"n0": lambda claim: failed(claim) if claim.item == "1" else completed(claim)})
    assert driver.states(id) == {
        "n0@0": "completed",
        "n1@0": "completed",
        "n2@0": "completed",
        "n0@1": "failed",
        "n1@1": "skipped",
        "n2@1": "skipped",
    }
    assert driver.state(id) == "failed"


def test_a_list_born_at_run_time_is_run_over_and_gathered(driver: Driver) -> None:
    """Each row's list brings its own number of jobs, an empty one none; the gatherer runs after all of them."""
    nodes = {"ideas": {}, "draw": {"over": "ideas"}, "frame": {"over": "draw"}, "kit": {}}
    plan = plan_of(nodes, [("draw", "frame"), ("frame", "kit")], expanders=["ideas"])
    id = driver.submit(plan, rows=3)
    order = driver.drain(id, {"ideas": lambda claim: completed(claim, items=int(claim.item))})
    assert Counter(node for node, _ in order) == {"ideas": 3, "draw": 3, "frame": 3, "kit": 3}
    assert order.index(("kit", "2")) > max(order.index(("frame", item)) for item in ("2.0", "2.1"))
    assert driver.state(id) == "completed"
    assert driver.queries.execution(id).total == 12


def test_lists_within_lists_are_gathered_whole(driver: Driver) -> None:
    """A list born over another list's items: the outer gatherer waits for every inner job."""
    nodes = {"a": {}, "b": {"over": "a"}, "c": {"over": "b"}, "kit": {}}
    plan = plan_of(nodes, [("c", "kit")], expanders=["a", "b"])
    id = driver.submit(plan)
    order = driver.drain(
        id,
        {
            "a": lambda claim: completed(claim, items=2),
            "b": lambda claim: completed(claim, items=3 if claim.item == "0.0" else 0),
        },
    )
    assert Counter(node for node, _ in order) == {"a": 1, "b": 2, "c": 3, "kit": 1}
    assert order[-1] == ("kit", "0")


def test_a_failed_list_skips_its_gatherer(driver: Driver) -> None:
    """A list that was never made fails the jobs that wait for its items."""
    plan = plan_of({"a": {}, "b": {"over": "a"}, "kit": {}}, [("b", "kit")], expanders=["a"])
    id = driver.submit(plan)
    driver.drain(id, {"a": failed})
    assert driver.states(id) == {"a@0": "failed", "kit@0": "skipped"}
    assert driver.state(id) == "failed"


def test_a_newborn_job_whose_other_parent_failed_is_skipped(driver: Driver) -> None:
    """A failure before a list was made still skips the jobs of the list."""
    plan = plan_of({"x": {}, "a": {}, "b": {"over": "a"}, "kit": {}}, [("x", "b"), ("b", "kit")], expanders=["a"])
    id = driver.submit(plan)
    driver.drain(id, {"x": failed, "a": lambda claim: completed(claim, items=2)}, batch=1)
    assert driver.states(id) == {
        "x@0": "failed",
        "a@0": "completed",
        "b@0.0": "skipped",
        "b@0.1": "skipped",
        "kit@0": "skipped",
    }


def test_a_retry_waits_for_its_time(driver: Driver) -> None:
    """A transient failure leaves the job ready at a later time, with its error and a new attempt to come."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, retrying(claim, delay_seconds=3600))
    assert driver.claim(id) == ()
    assert driver.states(id) == {"n0@0": "ready"}
    assert driver.kinds(id) == ["submitted", "job_started", "job_retrying"]


def test_a_retry_counts_its_tries(driver: Driver) -> None:
    """Each start is an attempt with its reason."""
    id = driver.submit(chain(1))
    (first,) = driver.claim(id)
    driver.record(id, retrying(first))
    (second,) = driver.claim(id)
    assert (second.number, second.tries) == (2, 2)
    driver.record(id, completed(second))
    attempts = driver.queries.attempts(second.job_id)
    assert [(number, because, outcome) for number, because, _, _, outcome, _ in attempts] == [
        (1, "first", "retrying"),
        (2, "retry", "completed"),
    ]


def test_a_lost_job_starts_again_and_the_first_result_wins(driver: Driver) -> None:
    """After a lease ran out another worker may start; a slow worker's result is still taken, once."""
    id = driver.submit(chain(2))
    (slow,) = driver.claim(id)
    driver.expire_leases()
    sweep(driver)
    other = Driver(driver.database, owner="worker-2")
    (again,) = other.claim(id)
    assert (again.job_id, again.number, again.tries) == (slow.job_id, 2, 1)
    driver.record(id, completed(slow))
    other.record(id, completed(again))
    assert driver.kinds(id).count("job_completed") == 1
    assert driver.drain(id) == [("n1", "0")]
    outcomes = [outcome for *_, outcome, _ in driver.queries.attempts(slow.job_id)]
    assert outcomes == ["completed", "duplicate"]


def test_a_zombies_failure_does_not_fail_the_new_attempt(driver: Driver) -> None:
    """Failure is fenced on owner and attempt."""
    id = driver.submit(chain(1))
    (zombie,) = driver.claim(id)
    driver.expire_leases()
    sweep(driver)
    other = Driver(driver.database, owner="worker-2")
    (fresh,) = other.claim(id)
    driver.record(id, failed(zombie))
    assert driver.states(id) == {"n0@0": "running"}
    other.record(id, completed(fresh))
    assert driver.state(id) == "completed"


def test_a_lease_that_has_not_run_out_is_left_alone(driver: Driver) -> None:
    """A sweep takes nothing from a worker that is alive."""
    id = driver.submit(chain(1))
    driver.claim(id)
    sweep(driver)
    assert driver.states(id) == {"n0@0": "running"}


def test_poison_is_quarantined_after_three_losses(driver: Driver) -> None:
    """A job that takes its worker down each time stops being tried, and says why."""
    id = driver.submit(chain(2))
    for _ in range(MAX_LOST):
        assert driver.claim(id)
        sweep(driver, pulse=dead)
    assert driver.states(id) == {"n0@0": "quarantined", "n1@0": "skipped"}
    assert driver.state(id) == "failed"
    assert "3 times" in str(driver.jobs(id)["n0", "0"].error)


def test_the_same_outcome_twice_changes_nothing(driver: Driver) -> None:
    """A commit whose answer was lost is repeated without harm."""
    id = driver.submit(fan(3))
    (claim,) = driver.claim(id)
    driver.record(id, completed(claim))
    before = driver.queries.events(id)
    driver.record(id, completed(claim))
    assert driver.queries.events(id) == before
    assert [outcome for *_, outcome, _ in driver.queries.attempts(claim.job_id)] == ["completed"]


def test_a_lost_race_in_a_batch_spoils_no_other_outcome(driver: Driver) -> None:
    """One outcome that comes too late is set apart; the others of its batch are recorded."""
    id = driver.submit(fan(3))
    driver.record(id, *[completed(claim) for claim in driver.claim(id)])
    first, second, third = driver.claim(id, 3)
    driver.record(id, completed(first))
    driver.record(id, completed(first), completed(second), completed(third))
    assert driver.drain(id) == [("last", "0")]


@pytest.mark.parametrize("unknown", ["no-such-run", "a\0b", "\ud800"], ids=["unknown", "nul", "surrogate"])
def test_a_look_at_an_unknown_run_costs_no_result_of_its_batch(driver: Driver, unknown: str) -> None:
    """It fails only for its own caller; a result handed in at the same moment is committed once, and its slot gets its job."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    driver.published.clear()
    look, result = together(driver, ([], unknown, 1), ([completed(claim)], id, 1))
    assert isinstance(look.exception(), RunNotFound)
    assert [each.node for each in result.result().claims] == ["n1"]
    assert driver.states(id) == {"n0@0": "completed", "n1@0": "running"}
    assert driver.kinds(id).count("job_completed") == 1
    assert driver.published == driver.queries.events(id)[-len(driver.published) :]
    assert [str(event.kind) for event in driver.published] == ["job_completed", "job_started"]


UNRECORDABLE: dict[str, tuple[Callable[[Claim], Outcome], str]] = {
    "half a surrogate": (lambda claim: Completed(claim=claim, output='{"value":"\ud800"}'), "UnicodeEncodeError"),
    "a number too large": (
        lambda claim: replace(completed(claim), usage=Usage(provider="p", model="m", tokens=2**70)),
        ".",
    ),
    "a value of no kind": (lambda claim: replace(completed(claim), branch=object()), "answered"),  # type: ignore[arg-type]
    "an error's text": (lambda claim: failed(claim, message="bad\ud800"), "UnicodeEncodeError"),
    "an event too large": (lambda claim: Released(claim=claim, because="x" * MAX_EVENT_BYTES), "LimitExceeded"),
}


@pytest.mark.parametrize("kind", UNRECORDABLE)
def test_what_cannot_be_recorded_fails_its_own_job_by_name(driver: Driver, kind: str) -> None:
    """Results handed in at the same moment are recorded, none of these jobs starts again, and the failed one says why."""
    bad, why = UNRECORDABLE[kind]
    id, other = driver.submit(chain(1), rows=3), driver.submit(chain(1))
    claims, (theirs,) = driver.claim(id, 3), driver.claim(other)
    asked = together(
        driver,
        ([bad(claims[0])], id, 1),
        ([completed(claims[1]), bad(claims[2])], id, 0),
        ([completed(theirs)], other, 0),
    )
    assert [each.result().claims for each in asked] == [(), (), ()]
    assert driver.states(id) == {"n0@0": "failed", "n0@1": "completed", "n0@2": "failed"}
    assert (driver.state(id), driver.state(other)) == ("failed", "completed")
    error = str(driver.jobs(id)["n0", "0"].error)
    assert re.search(f"its (result|error) could not be recorded and is lost: .*{why}", error)
    assert "`run.retry()`" in error
    assert "completed" in [event.kind for event in driver.published if event.execution_id == other]


def test_a_job_whose_end_cannot_be_followed_up_pauses_its_run(driver: Driver) -> None:
    """Where not even its failure can be recorded, because the plan cannot be read, nothing starts again until a person looks."""
    id, other = driver.submit(chain(2)), driver.submit(chain(1))
    (claim,), (theirs,) = driver.claim(id), driver.claim(other)

    def load(transaction: Transaction, template_id: str) -> Plan:
        if template_id == claim.template_id:
            raise KeyError("nodes")
        return driver.plans.load(transaction, template_id)

    recorder = Recorder(driver.database, "worker-1", 10.0, driver.published.extend, load)
    assert recorder.record([completed(claim), completed(theirs)], id, 1).claims == ()
    assert driver.state(other) == "completed"
    assert (driver.state(id), driver.states(id)["n0@0"]) == ("paused", "ready")
    assert "could not be recorded and is lost: KeyError" in str(driver.queries.execution(id).error)
    assert driver.claim(id) == ()


def test_a_plan_that_cannot_be_read_ends_no_other_run_s_sweep(driver: Driver) -> None:
    """The lost jobs of the other runs are put back."""
    sound, *broken = driver.submit(chain(1)), *(driver.submit(chain(2)) for _ in range(5))
    assert driver.claim(sound)
    ((claim,), *_) = [driver.claim(id) for id in broken]

    def load(transaction: Transaction, template_id: str) -> Plan:
        if template_id == claim.template_id:
            raise KeyError("nodes")
        return driver.plans.load(transaction, template_id)

    driver.expire_leases()
    sweep(driver, load)
    assert driver.states(sound) == {"n0@0": "ready"}


def test_the_result_of_a_deleted_run_is_dropped(driver: Driver) -> None:
    """It is of no use to anyone; the results beside it are recorded."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    gone = replace(claim, execution_id="gone")
    driver.record(id, completed(gone), completed(claim))
    assert driver.state(id) == "completed"


def test_nothing_starts_while_paused(driver: Driver) -> None:
    """After a pause no job is claimed; running jobs are kept; resuming goes on."""
    id = driver.submit(chain(3))
    (claim,) = driver.claim(id)
    driver.controls.pause(id)
    driver.record(id, completed(claim))
    assert driver.claim(id) == ()
    assert driver.states(id)["n0@0"] == "completed"
    driver.controls.resume(id)
    assert driver.drain(id) == [("n1", "0"), ("n2", "0")]


def test_a_result_after_a_stop_is_kept_and_used_on_resume(driver: Driver) -> None:
    """It fires nothing while stopped; when the run is resumed the job is not paid again."""
    id = driver.submit(chain(2))
    (claim,) = driver.claim(id)
    driver.controls.stop(id)
    driver.record(id, completed(claim))
    assert driver.states(id) == {"n0@0": "stopped", "n1@0": "stopped"}
    assert driver.kinds(id)[-1] == "job_late"
    driver.controls.resume(id)
    (again,) = driver.claim(id)
    assert again.late_output == '{"value": "0"}'


def test_resume_after_a_stop_keeps_completed_jobs(driver: Driver) -> None:
    """Only jobs that were not completed run again."""
    id = driver.submit(layered(4, 4), rows=2)
    first = [claim for _ in range(3) for claim in driver.claim(id)]
    driver.record(id, *map(completed, first))
    driver.controls.stop(id)
    driver.controls.resume(id)
    again = driver.drain(id)
    assert len(again) == 2 * 16 - 3
    assert not {(claim.node, claim.item) for claim in first} & set(again)
    assert driver.state(id) == "completed"


def test_retry_runs_failed_jobs_and_what_hung_on_them(driver: Driver) -> None:
    """Completed jobs and branches not taken stay as they are."""
    plan = plan_of({"c": {}, "a": {}, "b": {}, "join": {}, "end": {}}, [*BRANCHES, ("join", "end")])
    id = driver.submit(plan)
    answers = {"c": lambda claim: completed(claim, branch="then")}
    driver.drain(id, {**answers, "join": failed})
    assert driver.state(id) == "failed"
    assert driver.queries.execution(id).error == "1 of 5 jobs failed"
    driver.controls.retry(id)
    assert driver.drain(id) == [("join", "0"), ("end", "0")]
    assert driver.states(id)["b@0"] == "skipped"
    assert driver.state(id) == "completed"
    assert driver.queries.execution(id).error is None


def test_retry_of_a_paused_run_puts_its_failed_jobs_back(driver: Driver) -> None:
    """The run stays paused, and they start when it is resumed."""
    id = driver.submit(chain(3), 2)
    (claim,) = driver.claim(id)
    driver.controls.pause(id)
    driver.record(id, failed(claim))
    driver.controls.retry(id)
    found = driver.queries.execution(id)
    assert (found.state, found.done, found.failed) == ("paused", 0, 0)
    driver.controls.resume(id)
    assert [claim.node for claim in driver.claim(id)] == ["n0"]


def test_retry_of_a_list_that_failed_brings_it_to_be(driver: Driver) -> None:
    """A bearer retried bears; its gatherer waits for the items and runs."""
    plan = plan_of({"a": {}, "b": {"over": "a"}, "kit": {}}, [("b", "kit")], expanders=["a"])
    id = driver.submit(plan)
    driver.drain(id, {"a": failed})
    driver.controls.retry(id)
    assert driver.drain(id, {"a": lambda claim: completed(claim, items=2)})[-1] == ("kit", "0")
    assert driver.state(id) == "completed"


def test_a_partial_failure_pauses_for_a_person(driver: Driver) -> None:
    """The run is paused, the job tried again on resume."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, failed(claim, ErrorClass.PARTIAL))
    assert driver.state(id) == "paused"
    assert driver.queries.execution(id).error is not None
    driver.controls.resume(id)
    assert driver.queries.execution(id).error is None
    assert driver.drain(id) == [("n0", "0")]


def test_a_run_that_completes_in_a_pause_has_no_error(driver: Driver) -> None:
    """What it paused for is made good by the job's other attempt: a completed run says nothing of it."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, failed(claim, ErrorClass.PARTIAL))
    driver.record(id, completed(claim))
    assert (driver.state(id), driver.queries.execution(id).error) == ("completed", None)


@pytest.mark.parametrize(
    ("prepare", "action"),
    [("complete", "pause"), ("complete", "resume"), ("complete", "stop"), ("complete", "retry"), ("stop", "pause")],
)
def test_a_control_that_the_state_forbids_is_refused(driver: Driver, prepare: str, action: str) -> None:
    """It says which state it found, and changes nothing."""
    id = driver.submit(chain(1))
    if prepare == "complete":
        driver.drain(id)
    else:
        driver.controls.stop(id)
    before = driver.queries.events(id)
    with pytest.raises(ControlRefused, match=driver.state(id)):
        getattr(driver.controls, action)(id)
    assert driver.queries.events(id) == before


def test_stop_and_pause_twice_are_quiet(driver: Driver) -> None:
    """A control that changes nothing is accepted."""
    id = driver.submit(chain(1))
    driver.controls.pause(id)
    assert driver.controls.pause(id) == []
    driver.controls.stop(id)
    assert driver.controls.stop(id) == []


def test_a_control_of_an_unknown_run_says_so(driver: Driver) -> None:
    """The id is named."""
    with pytest.raises(RunNotFound, match="nope"):
        driver.controls.pause("nope")


def review_of(driver: Driver, **plan_facts: object) -> str:
    plan = plan_of(
        {"draft": {"n": 3}, "pick": {"type": "review"}, "kit": dict(plan_facts)},
        [("draft", "pick"), ("pick", "kit")],
        expanders=["pick"],
    )
    id = driver.submit(plan, rows=2)
    driver.drain(id, {"pick": lambda claim: waiting(claim, choose=2 if plan_facts else 1)})
    return id


def test_a_review_waits_and_its_decision_goes_on(driver: Driver) -> None:
    """Each row waits on its own; a decision lets that row go on."""
    id = review_of(driver)
    assert driver.states(id)["pick@0"] == driver.states(id)["pick@1"] == "waiting"
    driver.controls.approve(id, "pick", "1", choose=[2], by="ada")
    assert driver.drain(id) == [("kit", "1")]
    assert driver.states(id)["pick@0"] == "waiting"
    assert driver.state(id) == "running"


def test_the_first_decision_wins(driver: Driver) -> None:
    """A second one is refused and shows the first."""
    id = review_of(driver)
    driver.controls.approve(id, "pick", "0", choose=[1], by="ada")
    with pytest.raises(DecisionRefused, match=r"already decided: approve by ada, choose=\[1\]"):
        driver.controls.approve(id, "pick", "0", choose=[2], by="bob")


def test_an_event_that_would_weigh_on_all_who_watch_is_refused(driver: Driver) -> None:
    """A decision by a person with an endless name is refused, and the review still waits."""
    id = review_of(driver)
    with pytest.raises(LimitExceeded, match="job_decided at pick would be"):
        driver.controls.approve(id, "pick", "0", choose=[1], by="x" * MAX_EVENT_BYTES)
    driver.controls.approve(id, "pick", "0", choose=[1], by="ada")
    assert driver.states(id)["pick@0"] == "completed"


def test_a_rejected_review_skips_its_row_without_failing(driver: Driver) -> None:
    """The steps that depend on it are skipped; the run completes."""
    id = review_of(driver)
    driver.controls.reject(id, "pick", "0", reason="dull", by="ada")
    driver.controls.approve(id, "pick", "1", choose=[0], by="ada")
    driver.drain(id)
    assert driver.states(id)["kit@0"] == "skipped"
    assert driver.states(id)["kit@1"] == "completed"
    assert driver.state(id) == "completed"


def test_choosing_several_bears_a_list(driver: Driver) -> None:
    """A review that chooses two makes two jobs for each node that runs over it."""
    id = review_of(driver, over="pick")
    driver.controls.approve(id, "pick", "0", choose=[0, 2], by="ada")
    assert sorted(driver.drain(id)) == [("kit", "0.0"), ("kit", "0.1")]


@pytest.mark.parametrize(
    ("work", "hint"),
    [
        (lambda driver, id: driver.controls.stop(id), "There is nothing to stop: this run is already over."),
        (
            lambda driver, id: driver.controls.approve(id, "pick", "0", choose=[0]),
            "This run has no reviews to decide.",
        ),
    ],
)
def test_a_refusal_says_that_there_is_nothing_to_do(driver: Driver, work: Callable[..., object], hint: str) -> None:
    """A run that is over is not stopped, and one without reviews takes no decisions."""
    id = driver.submit(chain(1))
    driver.drain(id)
    with pytest.raises((ControlRefused, DecisionRefused)) as refused:
        work(driver, id)
    assert refused.value.hint == hint


def test_an_unknown_review_is_told_with_those_there_are(driver: Driver) -> None:
    """The hint names the reviews of the run."""
    id = review_of(driver)
    with pytest.raises(DecisionRefused, match=r"no review 'nope' at 0\n  Name one of its reviews: pick\."):
        driver.controls.approve(id, "nope", "0", choose=[0])


def test_a_decision_after_a_stop_is_refused(driver: Driver) -> None:
    """A stopped run takes no decisions."""
    id = review_of(driver)
    driver.controls.stop(id)
    with pytest.raises(DecisionRefused, match="stopped"):
        driver.controls.approve(id, "pick", "0", choose=[1])


def test_max_parallel_bounds_what_runs(driver: Driver) -> None:
    """No more than that many jobs of one execution are claimed at a time."""
    id = driver.submit(fan(10), max_parallel=3)
    driver.record(id, *[completed(claim) for claim in driver.claim(id)])
    first = driver.claim(id, 10)
    assert len(first) == 3
    assert driver.claim(id, 10) == ()
    driver.record(id, completed(first[0]))
    assert len(driver.claim(id, 10)) == 1


def test_an_empty_frame_is_complete_at_once(driver: Driver) -> None:
    """No rows, no jobs, no waiting."""
    assert driver.state(driver.submit(chain(3), rows=0)) == "completed"


def test_many_workers_share_without_doubling(database: Database) -> None:
    """Eight threads in four recorders run every job of several executions exactly once."""
    drivers = [Driver(database, owner=f"worker-{number}") for number in range(4)]
    ids = [drivers[0].submit(layered(6, 6), rows=2) for _ in range(3)]
    ran: list[tuple[str, str, str]] = []
    errors: list[BaseException] = []

    def work(driver: Driver, shift: int) -> None:
        try:
            for id in ids[shift:] + ids[:shift]:
                while driver.state(id) != "completed":
                    ran.extend((id, node, item) for node, item in driver.drain(id, batch=3))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(drivers[n % 4], n % 3)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert errors == []
    assert len(ran) == len(set(ran)) == 3 * 2 * 36


def test_a_late_duplicate_keeps_the_first_output(driver: Driver) -> None:
    """The output is the one of the commit that won."""
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    driver.record(id, Completed(claim=claim, output='{"value": 1}'))
    driver.record(id, Completed(claim=claim, output='{"value": 2}'))
    assert driver.queries.node_jobs(id, "n0")[0].output == '{"value": 1}'


def lose_all(driver: Driver, *ids: str, want: int = 20) -> list[Claim]:
    """Let the process claim what it can, and die; what it held."""
    held = [claim for id in ids for claim in driver.claim(id, want)]
    sweep(driver, pulse=dead)
    return held


def test_after_one_death_all_start_together_and_after_two_each_alone(driver: Driver) -> None:
    """A suspect waits until the process is empty, and nothing starts beside it, of whichever run."""
    id, other = driver.submit(chain(1), rows=3), driver.submit(chain(1), rows=2)
    assert [len(lose_all(driver, id, want=3)) for _ in range(2)] == [3, 3]
    (beside,) = driver.claim(other)
    assert driver.claim(id, 3) == ()
    driver.record(other, completed(beside))
    assert driver.claim(other) == ()
    (suspect,) = driver.claim(id, 3)
    assert (driver.claim(id, 3), driver.claim(other)) == ((), ())
    driver.record(id, completed(suspect))
    assert len(driver.claim(other)) == 1


def test_a_loss_that_is_no_death_makes_no_suspect(driver: Driver) -> None:
    """However often a process loses jobs that lives, they start together again, and none is quarantined."""
    id = driver.submit(chain(1), rows=2)
    for _ in range(MAX_LOST + 1):
        assert len(driver.claim(id, 2)) == 2
        driver.expire_leases()
        sweep(driver, owner=driver.recorder.owner)
    assert driver.states(id) == {"n0@0": "ready", "n0@1": "ready"}
    assert {outcome for job in driver.jobs(id).values() for *_, outcome, _ in driver.queries.attempts(job.id)} == {
        "lost"
    }


def test_the_poisonous_jobs_of_two_runs_are_found_and_no_other_is_lost(driver: Driver) -> None:
    """Whatever ran beside them, they alone are quarantined, and each says what happened and what to do."""
    ids = [driver.submit(chain(1), rows=20), driver.submit(chain(1), rows=6)]
    poison = {ids[0]: {"0", "7", "19"}, ids[1]: {"3", "5"}}
    deaths, now = 0, [1000.0]
    driver.recorder.isolation.clock = lambda: now[0]
    while any(driver.state(id) not in ("completed", "failed") for id in ids):
        held = [claim for id in ids for claim in driver.claim(id, 8)]
        if any(claim.item in poison[claim.execution_id] for claim in held):
            deaths += 1
            driver.recorder.owner = f"worker-{deaths}"
            sweep(driver, pulse=dead)
        else:
            for claim in held:
                driver.record(claim.execution_id, completed(claim))
        now[0] += 60
    for id in ids:
        jobs = driver.jobs(id).values()
        assert {job.item for job in jobs if job.state == "quarantined"} == poison[id]
        assert {job.item for job in jobs if job.state == "completed"} == {job.item for job in jobs} - poison[id]
        error = str(next(job.error for job in jobs if job.state == "quarantined"))
        assert "died or lost touch 3 times, the last time with no other job beside it" in error
        assert "`run.retry()`" in error
    assert deaths <= 3 * 5


def test_suspects_leave_half_of_the_time_to_other_runs(driver: Driver) -> None:
    """A run that was kept waiting has as much time to itself as the suspect took; a run alone is not held up."""
    now = [1000.0]
    driver.recorder.isolation.clock = lambda: now[0]
    id, other = driver.submit(chain(1), rows=3), driver.submit(chain(1), rows=9)
    for _ in range(2):
        lose_all(driver, id)
    (suspect,) = driver.claim(id, 3)
    driver.record(id, completed(suspect))
    (suspect,) = driver.claim(id, 3)
    assert driver.claim(other) == ()
    now[0] += 60
    driver.record(id, completed(suspect))
    ordinary = driver.claim(other, 2)
    assert len(ordinary) == 2
    now[0] += 59
    assert driver.recorder.record([], id, 1) == Grant(wait_seconds=ASK_AGAIN_SECONDS)
    assert len(driver.claim(other)) == 1
    now[0] += 2
    assert driver.claim(id) == driver.claim(other) == ()


def test_a_turn_that_its_run_gives_up_holds_nothing_up(driver: Driver) -> None:
    """A run that is paused while the process waits to be empty for its suspect leaves the process to others."""
    now = [1000.0]
    driver.recorder.isolation.clock = lambda: now[0]
    id, other = driver.submit(chain(1)), driver.submit(chain(1), rows=3)
    for _ in range(2):
        lose_all(driver, id)
    assert len(driver.claim(other)) == 1
    assert driver.claim(id) == driver.claim(other) == ()
    driver.controls.pause(id)
    now[0] += FORGET_SECONDS + 1
    assert len(driver.claim(other)) == 1


def test_each_process_takes_a_suspect_of_its_own(database: Database) -> None:
    """Two processes run two suspects at the same time, each alone."""
    first, second = Driver(database), Driver(database, owner="worker-2")
    id = first.submit(chain(1), rows=3)
    for _ in range(2):
        lose_all(first, id)
    assert [len(each.claim(id, 3)) for each in (first, second)] == [1, 1]
    assert first.claim(id) == second.claim(id) == ()


def test_an_open_review_is_asked_again_after_a_stop(driver: Driver) -> None:
    """The options of a review are not taken for its result: only a person decides."""
    id = review_of(driver)
    driver.controls.stop(id)
    driver.controls.resume(id)
    again = {claim.item: claim.late_output for claim in driver.claim(id, 10)}
    assert again == {"0": None, "1": None}
