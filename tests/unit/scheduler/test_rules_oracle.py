"""The schedule alone, without a database: random plans with items, lists born at run time, branches and failures are played
in memory, and what each job waits for is at every moment what counting its parents one by one says.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given, settings

from cascade_oracle import FATAL, Case, cases, expect, look
from xtyl_engine.scheduler.rules import (
    Countdown,
    Cut,
    EndedJob,
    JobRange,
    consequences,
    count_initial_jobs,
    expanded_jobs,
    initial_jobs,
    outer_links,
)
from xtyl_engine.states import End
from xtyl_engine.workflow.plan import Link, head

Key = tuple[str, str]
OPEN = "open"


@dataclass(slots=True)
class Counters:
    """What a job waits for, as the schedule's instructions have left it."""

    pending: int
    live: int


@dataclass
class Play:
    """One execution in memory: each instruction is obeyed as it comes. The states of its jobs are in the case."""

    case: Case
    jobs: dict[Key, Counters] = field(default_factory=dict)

    def start(self) -> None:
        for seed in initial_jobs(self.case.plan, self.case.rows):
            self._add((seed.node, seed.item), Counters(seed.pending, seed.live))

    def open(self) -> dict[Key, Counters]:
        return {key: job for key, job in self.jobs.items() if self.case.states[key] == OPEN}

    def ready(self) -> list[Key]:
        return [key for key, job in self.open().items() if job.pending == 0]

    def run(self, key: Key) -> None:
        """A job comes to the end that the case has for it."""
        node, item = key
        if item.split(".")[0] in self.case.fails[node]:
            self._end("failed", EndedJob(node, item, End.FAILURE))
        else:
            items = self.case.lengths[node] if self.case.plan.nodes[node].expands else None
            self._end("completed", EndedJob(node, item, End.LIVE, self.case.branches.get(node), items))

    def _end(self, state: str, over: EndedJob) -> None:
        """A job is over, with all that follows from it."""
        self.case.states[over.node, over.item] = state
        steps = list(consequences(self.case.plan, over))
        for step in steps:
            if isinstance(step, Countdown):
                self._count_down(step)
        self._expand(over)
        for step in steps:
            if isinstance(step, Cut):
                for key in self._reached(step.jobs):
                    self._cut(key, step.end)
        for key in self.ready():
            if self.case.plan.nodes[key[0]].parents and not self.jobs[key].live:
                self._cut(key, End.BRANCH)

    def _count_down(self, step: Countdown) -> None:
        for key in self._reached(step.jobs):
            self.jobs[key].pending -= step.by
            self.jobs[key].live += step.live

    def _cut(self, key: Key, end: End) -> None:
        if self.case.states[key] == OPEN:
            self._end("skipped" if end is End.BRANCH else FATAL, EndedJob(*key, end))

    def _expand(self, over: EndedJob) -> None:
        """What a newborn job waits for outside its list only the record knows: it is counted there."""
        seeds = list(expanded_jobs(self.case.plan, over))
        outer = {seed: outer_links(self.case.plan, over, seed.node) for seed in seeds}
        for seed, links in outer.items():
            pending, live = counted(self.case, links, seed.item)
            self._add((seed.node, seed.item), Counters(seed.pending + pending, seed.live + live))
        for seed, links in outer.items():
            seen = [look(self.case, link, seed.item) for link in links]
            if any(not_taken for not_taken, _, _ in seen):
                self._cut((seed.node, seed.item), End.BRANCH)
            elif any(is_fatal for _, is_fatal, _ in seen):
                self._cut((seed.node, seed.item), End.FAILURE)

    def _add(self, key: Key, counters: Counters) -> None:
        assert key not in self.jobs
        self.case.states[key] = OPEN
        self.jobs[key] = counters

    def _reached(self, jobs: JobRange) -> Iterator[Key]:
        for node, item in list(self.jobs):
            if node == jobs.node and (item.startswith(jobs.item + ".") if jobs.below else item == jobs.item):
                yield node, item


def counted(case: Case, links: tuple[Link, ...], item: str) -> tuple[int, int]:
    """Parents that are not over, lists not born among them, and parents that brought a value: one by one."""
    waits = 0
    for link in links:
        prefix = head(item, link.level)
        expanders = [axis for axis in case.plan.nodes[link.source].axes[link.level :] if axis in case.lengths]
        for (node, each), state in case.states.items():
            is_under = each == prefix or each.startswith(prefix + ".")
            waits += state == OPEN and is_under and node in (link.source, *expanders)
    return waits, sum(look(case, link, item)[2] for link in links)


@settings(max_examples=300)
@given(case=cases())
def test_counters_are_what_counting_says(case: Case) -> None:
    """After each end, in any order: nothing is ready before its parents are over, nothing waits for what is over."""
    if case.plan.guarded:
        # Whether a failure or a branch ends a step is for the ledger to judge, not for the schedule.
        case.fails = {name: set() for name in case.plan.nodes}
    play, shuffle = Play(case), random.Random(case.order)
    play.start()
    assert len(play.jobs) == count_initial_jobs(case.plan, case.rows)
    while ready := play.ready():
        play.run(shuffle.choice(ready))
        for (node, item), job in play.open().items():
            assert (job.pending, job.live) == counted(case, case.plan.nodes[node].parents, item), (node, item)
    ends = dict(case.states)
    case.states = {}
    assert ends == expect(case)
