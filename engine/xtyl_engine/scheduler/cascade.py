"""Applies the consequences of ended jobs, in the transaction of one locked execution: jobs that wait for them are counted down,
skipped or doomed, and new jobs are created. `rules` decides what follows from the plan. What follows from counters in SQL is
decided here: a job is skipped when no parent gave a value, a doomed job when its branch is decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.events import EventKind
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.scheduler import rules, transitions
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.rules import Countdown, Cut, EndedJob, JobRange, Seed
from xtyl_engine.states import FATAL, OPEN, End, JobState
from xtyl_engine.workflow.plan import Link, head

OPEN_NAMES = frozenset(str(state) for state in OPEN)


@dataclass(slots=True)
class Standing:
    """A job's parents in numbers: how many are pending, how many live, and, if one of them ends the job, how."""

    pending: int = 0
    live: int = 0
    end: End | None = None


def first_end(standings: Iterable[Standing]) -> End | None:
    """The reason that ends a job before it runs, None if there is none; a branch not taken comes before every other reason."""
    ends = [standing.end for standing in standings if standing.end is not None]
    return End.BRANCH if End.BRANCH in ends else next(iter(ends), None)


def settle(locked: LockedExecution, ended_jobs: Iterable[EndedJob]) -> None:
    """Apply everything that follows from ended jobs, and from the jobs that end because of them."""
    ended_jobs = list(ended_jobs)
    while ended_jobs:
        locked.done += len(ended_jobs)
        steps = [step for ended in ended_jobs for step in rules.consequences(locked.plan, ended)]
        # Count down before the expansion: new jobs read from SQL which parents have ended, and must not be counted down again.
        _count_down(locked, [step for step in steps if isinstance(step, Countdown)])
        expanded = [more for ended in ended_jobs if ended.items is not None for more in _expand(locked, ended)]
        cut = [more for step in steps if isinstance(step, Cut) for more in _cut_off(locked, step.jobs, step.end)]
        doomed = _judge_doomed(locked, steps)
        spent = _skip_exhausted(locked, steps)
        ended_jobs = expanded + cut + doomed + spent


def stand_again(locked: LockedExecution, id: int, node: str, item: str) -> list[EndedJob]:
    """Set anew what a blocked job waits for, from its parents' states in SQL; a job that waits for nothing is ready. Returns the
    job if its parents end it."""
    links = locked.plan.nodes[node].parents
    standings = [standing_of(locked, link, head(item, link.level)) for link in links]
    end = first_end(standings)
    pending, live = (sum(getattr(standing, name) for standing in standings) for name in ("pending", "live"))
    if end is None and links and not pending and not live:
        end = End.BRANCH
    pending += end is not None
    state = str(JobState.BLOCKED if pending else JobState.READY)
    waits = {"job_id": id, "state": state, "pending": pending, "live": live}
    if locked.transaction.run(transitions.SET_WAITING_FOR, waits) and not pending:
        locked.changes.move(node, JobState.BLOCKED, JobState.READY)
    return [] if end is None else end_early(locked, node, item, end)


def end_early(locked: LockedExecution, node: str, item: str, end: End) -> list[EndedJob]:
    """End a job that will never run; returns nothing while that depends on a branch that is not decided."""
    return _cut_off(locked, JobRange(node, item, False), end)


def standing_of(locked: LockedExecution, link: Link, item: str) -> Standing:
    """The standing of a job at `item` towards its parents along one edge, from their states in SQL."""
    standing = Standing()
    source = locked.plan.nodes[link.source]
    found = _tally(locked, source.id, head(item, link.level), len(source.axes) > link.level)
    for state, because, branch, count in found:
        _weigh(standing, link, state, because, branch, count)
    for expander in rules.expanders_below(locked.plan, link):
        is_below = len(locked.plan.nodes[expander].axes) > link.level
        for state, because, _, count in _tally(locked, expander, head(item, link.level), is_below):
            if state != JobState.COMPLETED or not found:
                _weigh(standing, link, state, because, None, count)
    return standing


def _expand(locked: LockedExecution, ended: EndedJob) -> list[EndedJob]:
    """Create the jobs of a new list; those that will never run end at once."""
    outer = {
        node: [standing_of(locked, link, ended.item) for link in rules.outer_links(locked.plan, ended, node)]
        for node in locked.plan.expansions.get(ended.node, ())
    }
    rows, cut = [], []
    for seed in rules.expanded_jobs(locked.plan, ended):
        end = first_end(outer[seed.node])
        rows.append(_expanded_row(locked, seed, outer[seed.node], end))
        if end is not None:
            cut.append((seed.node, seed.item, end))
    locked.add_jobs(rows)
    failpoint(Point.EXPANSION_WRITTEN)
    locked.note(EventKind.ITEMS_BORN, ended.node, ended.item, count=ended.items, jobs=len(rows))
    return [more for node, item, end in cut for more in end_early(locked, node, item, end)]


def _expanded_row(locked: LockedExecution, seed: Seed, standings: list[Standing], end: End | None) -> dict[str, Any]:
    # A failed parent counts as one that never ends, as it does for jobs that existed before it failed.
    pending = seed.pending + sum(standing.pending for standing in standings) + (end is not None)
    return {
        "execution_id": locked.id,
        "node": seed.node,
        "item": seed.item,
        "state": str(JobState.BLOCKED if pending else JobState.READY),
        "pending": pending,
        "live": seed.live + sum(standing.live for standing in standings),
    }


def _count_down(locked: LockedExecution, steps: list[Countdown]) -> None:
    found: dict[JobRange, list[int]] = {}
    for step in steps:
        sums = found.setdefault(step.jobs, [0, 0])
        sums[0] += step.by
        sums[1] += step.live
    rows: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for jobs, (by, live) in found.items():
        rows[jobs.below].append(_at(locked, jobs) | {"by": by, "add": live})
    for is_below, statement in transitions.COUNT_DOWN.items():
        for node, state in locked.transaction.many_rows(statement, rows[is_below]):
            if state == JobState.READY:
                locked.changes.move(node, JobState.BLOCKED, JobState.READY)


def _cut_off(locked: LockedExecution, jobs: JobRange, end: End) -> list[EndedJob]:
    """End jobs that will never run. A failure upstream of a step in a branch counts only once the branch is taken: until then the
    step is doomed, so that its end does not depend on which of the two is known first."""
    if end in FATAL and jobs.node in locked.plan.guarded:
        doom = transitions.DOOM[jobs.below]
        return _judge(locked, locked.transaction.rows(doom, _skip_parameters(locked, jobs, end)))
    return _skip(locked, transitions.SKIP_CUT[jobs.below], jobs, end)


def _judge_doomed(locked: LockedExecution, steps: list[Countdown | Cut]) -> list[EndedJob]:
    ranges = {step.jobs for step in steps if isinstance(step, Countdown) and step.jobs.node in locked.plan.guarded}
    return [
        ended
        for jobs in sorted(ranges, key=lambda jobs: (jobs.node, jobs.item))
        for ended in _judge(locked, locked.transaction.rows(sql.DOOMED[jobs.below], _at(locked, jobs)))
    ]


def _judge(locked: LockedExecution, doomed: list[tuple[Any, ...]]) -> list[EndedJob]:
    """End the doomed jobs whose branches are decided."""
    ended = []
    for node, item, because in doomed:
        links = [link for link in locked.plan.nodes[node].parents if link.branch is not None]
        standings = [standing_of(locked, link, item) for link in links]
        if any(standing.pending for standing in standings):
            continue
        end = End.BRANCH if any(standing.end is End.BRANCH for standing in standings) else End(because)
        ended += _skip(locked, transitions.SKIP_CUT[False], JobRange(node, item, False), end)
    return ended


def _skip_exhausted(locked: LockedExecution, steps: list[Countdown | Cut]) -> list[EndedJob]:
    """Skip jobs whose last parent has ended with none live; only a parent that is not live can cause that."""
    ranges = {step.jobs for step in steps if isinstance(step, Countdown) and not step.live}
    return [
        ended
        for jobs in sorted(ranges, key=lambda jobs: (jobs.node, jobs.item))
        for ended in _skip(locked, transitions.SKIP_EXHAUSTED[jobs.below], jobs, End.BRANCH)
    ]


def _skip(locked: LockedExecution, statement: Any, jobs: JobRange, end: End) -> list[EndedJob]:
    skipped = []
    for node, item, state in locked.transaction.rows(statement, _skip_parameters(locked, jobs, end)):
        locked.changes.move(node, JobState(state), JobState.SKIPPED)
        locked.note(EventKind.JOB_SKIPPED, node, item, reason=str(end))
        skipped.append(EndedJob(node, item, end))
    return skipped


def _at(locked: LockedExecution, jobs: JobRange) -> dict[str, Any]:
    return {"execution_id": locked.id, "node": jobs.node, "item": jobs.item}


def _skip_parameters(locked: LockedExecution, jobs: JobRange, end: End) -> dict[str, Any]:
    return _at(locked, jobs) | {"reason": str(end), "now": locked.now}


def _tally(locked: LockedExecution, node: str, item: str, is_below: bool) -> list[tuple[Any, ...]]:
    return locked.transaction.rows(sql.TALLY[is_below], {"execution_id": locked.id, "node": node, "item": item})


def _weigh(standing: Standing, link: Link, state: str, because: str, branch: str | None, count: int) -> None:
    if state in OPEN_NAMES:
        standing.pending += count
    elif state == JobState.COMPLETED and because != End.REJECTED:
        if link.branch is not None and branch is not None and link.branch != branch:
            standing.end = standing.end or End.BRANCH
        else:
            standing.live += count
    elif state != JobState.SKIPPED or because in FATAL:
        standing.end = End.REJECTED if because == End.REJECTED else End.FAILURE
