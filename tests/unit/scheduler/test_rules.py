"""The scheduler's pure decisions."""

from __future__ import annotations

from plans import chain, fan, plan_of
from xtyl_engine.scheduler.rules import (
    Countdown,
    Cut,
    EndedJob,
    JobRange,
    Seed,
    consequences,
    count_initial_jobs,
    expanded_jobs,
    initial_jobs,
)
from xtyl_engine.states import End
from xtyl_engine.workflow.plan import load_plan


def test_a_chain_counts_down_its_next_node_alone() -> None:
    """A completed job brings one live parent to the next node's job at the same item."""
    steps = list(consequences(chain(3), EndedJob("n0", "4", End.LIVE)))
    assert steps == [Countdown(JobRange("n1", "4", False), 1, 1)]


def test_items_of_a_known_list_are_there_from_the_start() -> None:
    """A node with n, and those over it, have one job per row and item, and each waits for its own parent."""
    plan = plan_of({"draft": {"n": 2}, "poster": {"over": "draft"}, "kit": {}}, [("poster", "kit")])
    assert list(initial_jobs(plan, 1)) == [
        Seed("draft", "0.0", 0),
        Seed("draft", "0.1", 0),
        Seed("poster", "0.0", 1),
        Seed("poster", "0.1", 1),
        Seed("kit", "0", 2),
    ]
    assert count_initial_jobs(plan, 7) == 35


def test_a_gathering_job_is_counted_down_at_its_own_prefix() -> None:
    """Every item of a parent's list counts at the job that gathers them."""
    plan = plan_of({"draft": {"n": 2}, "kit": {}}, [("draft", "kit")])
    assert list(consequences(plan, EndedJob("draft", "3.1", End.LIVE))) == [
        Countdown(JobRange("kit", "3", False), 1, 1)
    ]


def test_a_fan_reaches_every_item_below() -> None:
    """A parent with fewer axes reaches all items of its child at once."""
    plan = plan_of({"brief": {}, "draft": {"n": 1000}}, [("brief", "draft")])
    assert list(consequences(plan, EndedJob("brief", "3", End.LIVE))) == [Countdown(JobRange("draft", "3", True), 1, 1)]


def test_a_branch_not_taken_is_cut() -> None:
    """The taken branch counts down, the other is cut with the reason."""
    plan = plan_of({"c": {}, "a": {}, "b": {}}, [("c", "a", "then"), ("c", "b", "otherwise")])
    assert list(consequences(plan, EndedJob("c", "0", End.LIVE, branch="then"))) == [
        Countdown(JobRange("a", "0", False), 1, 1),
        Cut(JobRange("b", "0", False), End.BRANCH),
    ]


def test_a_failure_cuts_every_child() -> None:
    """Nothing runs on a parent that failed."""
    steps = list(consequences(fan(2), EndedJob("first", "0", End.FAILURE)))
    assert steps == [Cut(JobRange("m0", "0", False), End.FAILURE), Cut(JobRange("m1", "0", False), End.FAILURE)]


def test_a_list_born_brings_its_jobs_and_swaps_the_token() -> None:
    """Two items make two jobs; the job that gathers them waits for two in place of the one token."""
    plan = plan_of({"ideas": {}, "draw": {"over": "ideas"}, "kit": {}}, [("draw", "kit")], expanders=["ideas"])
    over = EndedJob("ideas", "0", End.LIVE, items=2)
    assert list(expanded_jobs(plan, over)) == [Seed("draw", "0.0", 0, 1), Seed("draw", "0.1", 0, 1)]
    assert Countdown(JobRange("kit", "0", False), -1, 0) in list(consequences(plan, over))


def test_an_empty_list_lets_its_gatherer_run() -> None:
    """No items is a value too: the token counts as a live parent."""
    plan = plan_of({"ideas": {}, "draw": {"over": "ideas"}, "kit": {}}, [("draw", "kit")], expanders=["ideas"])
    steps = list(consequences(plan, EndedJob("ideas", "0", End.LIVE, items=0)))
    assert Countdown(JobRange("kit", "0", False), 1, 1) in steps


def test_a_plan_survives_its_storage() -> None:
    """A plan that a worker loads gives the same schedule and names as the submitted one."""
    plan = plan_of({"c": {"n": 3}, "a": {"over": "c"}, "b": {}}, [("c", "a", "then"), ("a", "b")])
    again = load_plan(plan.to_json())
    assert again.digest == plan.digest
    assert list(initial_jobs(again, 2)) == list(initial_jobs(plan, 2))
    assert again.nodes == plan.nodes
