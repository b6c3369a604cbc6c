"""The scheduler's decisions, pure: given the plan and one ended job, which jobs to count down, cut off or create. It holds no
state and does no I/O; `cascade` applies the decisions, and knows from SQL which jobs no parent gave a value.

A job waits for its parent jobs: `pending` counts those that have not ended, `live` those that gave a value. When the last one
ends, the job runs if any is live, else it is skipped. A branch not taken and an upstream failure cut it off at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from xtyl_engine.states import FATAL, End
from xtyl_engine.workflow.plan import Link, Plan, head, iterate_items


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that has ended. `branch` is the branch that a conditional took, `items` the length of the list that the job made."""

    node: str
    item: str
    end: End
    branch: str | None = None
    items: int | None = None


@dataclass(frozen=True, slots=True)
class JobRange:
    """The jobs of a node at an item, or, with `below`, at every item under it."""

    node: str
    item: str
    below: bool


@dataclass(frozen=True, slots=True)
class Countdown:
    """Parents have ended: subtract `by` from pending, add `live`."""

    jobs: JobRange
    by: int
    live: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Jobs that will never run, and why."""

    jobs: JobRange
    end: End


@dataclass(frozen=True, slots=True)
class Seed:
    """A job to create. It waits for `pending` parents; `live` parents have given their value already."""

    node: str
    item: str
    pending: int
    live: int = 0


def consequences(plan: Plan, ended: EndedJob) -> Iterator[Countdown | Cut]:
    """What one ended job changes for the jobs that wait for it."""
    node = plan.nodes[ended.node]
    for link in node.children:
        jobs = _job_range(plan, link, ended.item)
        if ended.end in FATAL:
            yield Cut(jobs, ended.end)
        elif ended.branch is not None and link.branch is not None and link.branch != ended.branch:
            yield Cut(jobs, End.BRANCH)
        else:
            yield Countdown(jobs, 1, int(ended.end is End.LIVE))
    if node.expands:
        yield from _expansion_consequences(plan, ended)


def _expansion_consequences(plan: Plan, ended: EndedJob) -> Iterator[Countdown | Cut]:
    """What an expansion changes for jobs that gather the list. Such a job counts each job that may still expand the list as one
    pending parent; the expansion replaces that one by the jobs it creates."""
    depth = len(plan.nodes[ended.node].axes)
    for node in plan.nodes.values():
        if ended.node not in node.axes:
            continue
        expanded = 0 if ended.items is None else ended.items * _known_length(plan, node.axes[depth + 1 :])
        for link in node.children:
            if link.level > depth:
                continue
            jobs = _job_range(plan, link, ended.item)
            if ended.end in FATAL:
                yield Cut(jobs, ended.end)
            elif expanded != 1:
                # An empty list is a value too, so the job that gathers it runs.
                yield Countdown(jobs, 1 - expanded, int(expanded == 0 and ended.end is End.LIVE))


def initial_jobs(plan: Plan, rows: int) -> Iterator[Seed]:
    """Every job that exists from the start, row by row, so that the first rows finish first."""
    static = [
        (name, tuple(plan.lengths[axis] for axis in node.axes[1:]), sum(expected(plan, link) for link in node.parents))
        for name, node in plan.nodes.items()
        if plan.expanded_by(name) is None
    ]
    for row in range(rows):
        for name, lengths, pending in static:
            for item in iterate_items(str(row), lengths):
                yield Seed(name, item, pending)


def initial_counts(plan: Plan, rows: int) -> Iterator[tuple[str, bool, int]]:
    """How many jobs of each node `initial_jobs` yields, and whether they are ready, without yielding them."""
    for name, node in plan.nodes.items():
        each = 0 if plan.expanded_by(name) else prod(plan.lengths[axis] for axis in node.axes[1:])
        yield name, not node.parents, rows * each


def count_initial_jobs(plan: Plan, rows: int) -> int:
    """How many jobs `initial_jobs` yields."""
    return sum(count for _, _, count in initial_counts(plan, rows))


def expanded_jobs(plan: Plan, ended: EndedJob) -> Iterator[Seed]:
    """The jobs that a new list adds, item by item. `pending` counts only parents that share the new list, `live` only the job
    that made it: the others may have ended already, which only SQL tells."""
    depth = len(plan.nodes[ended.node].axes)
    new = [
        (
            name,
            tuple(plan.lengths[axis] for axis in plan.nodes[name].axes[depth + 1 :]),
            sum(expected(plan, link) for link in plan.nodes[name].parents if link.level > depth),
            sum(link.source == ended.node for link in plan.nodes[name].parents),
        )
        for name in plan.expansions.get(ended.node, ())
    ]
    for place in range(ended.items or 0):
        for name, lengths, pending, live in new:
            for item in iterate_items(f"{ended.item}.{place}", lengths):
                yield Seed(name, item, pending, live)


def added_jobs(plan: Plan, axis: str, at: str) -> Iterator[tuple[str, str]]:
    """The jobs that one more item of a list adds, parents first: of the node that makes the list and of every node that runs over
    it. Lists below it that are known only at run time add their own jobs."""
    for node in plan.nodes.values():
        if axis in node.axes:
            deeper = node.axes[node.axes.index(axis) + 1 :]
            if all(each in plan.lengths for each in deeper):
                for item in iterate_items(at, [plan.lengths[each] for each in deeper]):
                    yield node.id, item


def gathering(plan: Plan, axis: str) -> Iterator[Link]:
    """The edges along which jobs gather the whole list."""
    for node in plan.nodes.values():
        if axis in node.axes:
            yield from (link for link in node.children if axis not in plan.nodes[link.target].axes)


def outer_links(plan: Plan, ended: EndedJob, node: str) -> tuple[Link, ...]:
    """The parents of a new job that do not share the new list, without the node that made it, whose job has ended."""
    depth = len(plan.nodes[ended.node].axes)
    return tuple(link for link in plan.nodes[node].parents if link.level <= depth and link.source != ended.node)


def expected(plan: Plan, link: Link) -> int:
    """How many parent jobs a new job waits for along one edge: those it gathers, or, where their number is not known yet, the
    jobs that will expand into them."""
    return _known_length(plan, plan.nodes[link.source].axes[link.level :])


def expanders_below(plan: Plan, link: Link) -> tuple[str, ...]:
    """The nodes that make the lists which a job gathers along one edge, where these are known only at run time."""
    return tuple(
        axis for axis in plan.nodes[link.source].axes[link.level :] if axis not in plan.lengths and axis != "$rows"
    )


def _known_length(plan: Plan, axes: tuple[str, ...]) -> int:
    length = 1
    for axis in axes:
        if axis not in plan.lengths:
            break
        length *= plan.lengths[axis]
    return length


def _job_range(plan: Plan, link: Link, item: str) -> JobRange:
    below = len(plan.nodes[link.target].axes) > link.level
    return JobRange(link.target, head(item, link.level), below)
