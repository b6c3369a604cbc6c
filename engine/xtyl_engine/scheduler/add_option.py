"""Adds one option to a review that waits: another item of the list it chooses from, with every job that runs over that list.
Earlier items and their results stay; the review waits again once the new item is complete.
"""

from __future__ import annotations

from sqlalchemy import select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.tables import jobs
from xtyl_engine.errors import DecisionRefused
from xtyl_engine.limits import MAX_ITEMS
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.cascade import stand_again
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.rules import added_jobs, gathering
from xtyl_engine.states import JobState
from xtyl_engine.workflow.plan import Plan, head, shared_axes

_ITEMS = select(jobs.c.item).where(sql.BELOW)
_BLOCKED = {
    is_below: select(jobs.c.id, jobs.c.node, jobs.c.item).where(where, sql.job_in(JobState.BLOCKED))
    for is_below, where in sql.WHERE.items()
}


def next_option(locked: LockedExecution, review: str, item: str) -> tuple[str, str]:
    """The list that a review chooses from, and the place of one more item in it. Raises DecisionRefused if it cannot be
    extended."""
    axis, prefix = _list_of(locked.plan, review, item)
    found = locked.transaction.rows(_ITEMS, {"execution_id": locked.id, "node": axis, "item": prefix})
    place = 1 + max(int(each.rpartition(".")[2]) for (each,) in found)
    if place >= MAX_ITEMS:
        raise DecisionRefused(
            f"{axis} has {place:,} items, the most that a list may have", hint="Choose one of them, or reject."
        )
    return axis, f"{prefix}.{place}"


def add_option(locked: LockedExecution, review: str, id: int, axis: str, at: str) -> int:
    """Add the item at a place to the list that a review, job `id`, chooses from; returns how many jobs that adds."""
    plan, prefix = locked.plan, at.rpartition(".")[0]
    added = list(added_jobs(plan, axis, at))
    new = {"execution_id": locked.id, "state": str(JobState.BLOCKED), "pending": 0, "live": 0}
    locked.add_jobs({**new, "node": node, "item": where} for node, where in added)
    if locked.transaction.run(transitions.ANOTHER, {"job_id": id}):
        locked.changes.move(review, JobState.WAITING, JobState.BLOCKED)
    for node, where in added:
        (made,) = locked.transaction.row(sql.JOB_ID, {"execution_id": locked.id, "node": node, "item": where}) or (0,)
        locked.done += len(stand_again(locked, made, node, where))
    for link in gathering(plan, axis):
        is_below = len(plan.nodes[link.target].axes) > link.level
        below = {"execution_id": locked.id, "node": link.target, "item": head(prefix, link.level)}
        for waiting, node, where in locked.transaction.rows(_BLOCKED[is_below], below):
            locked.done += len(stand_again(locked, waiting, node, where))
    return len(added)


def _list_of(plan: Plan, review: str, item: str) -> tuple[str, str]:
    """The list that a review chooses from, as its axis and the item whose list it is."""
    of = plan.nodes[str(plan.nodes[review].config["of"])]
    level = shared_axes(of.axes, plan.nodes[review].axes)
    if level == len(of.axes):
        raise DecisionRefused(
            f"{review} reviews a single result of {of.id}; there is no list to extend",
            hint=f'Set n=2 or more where the options are made; then `another("{review}")` adds to them.',
        )
    axis = of.axes[level]
    if axis not in plan.lengths:
        raise DecisionRefused(
            f"the options of {review} are the list that {axis} returned, which cannot be extended",
            hint="Choose among them, reject, or let the function return more items.",
        )
    return axis, head(item, level)
