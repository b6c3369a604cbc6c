"""One execution inside one write transaction: its row locked, its counters, the events it gains, and the cascade from
each ended job to the jobs that waited for it. Everything that changes an execution goes through a Ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.errors import LimitExceeded, RunNotFound
from xtyl_engine.events import Event, EventKind
from xtyl_engine.failpoints import Point, reach
from xtyl_engine.limits import MAX_EVENT_BYTES
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.rules import (
    Countdown,
    Cut,
    Over,
    Reach,
    Seed,
    bearers_below,
    born_jobs,
    consequences,
    outer_links,
)
from xtyl_engine.states import EXECUTION_MOVES, FATAL, OPEN, End, ExecutionState, JobState
from xtyl_engine.workflow.plan import Link, Plan, head

OPEN_NAMES = frozenset(str(state) for state in OPEN)


@dataclass(slots=True)
class Standing:
    """How a job stands towards its parents."""

    pending: int = 0
    live: int = 0
    end: End | None = None


def first_end(standings: Iterable[Standing]) -> End | None:
    """What ends a job before it runs: a branch that is not taken, before anything else."""
    ends = [standing.end for standing in standings if standing.end is not None]
    return End.BRANCH if End.BRANCH in ends else next(iter(ends), None)


class Ledger:
    """The locked row of one execution. Call `save` once, last."""

    def __init__(self, transaction: Transaction, execution_id: str, load: Callable[[Transaction, str], Plan]):
        # No database is asked for what no id can be: PostgreSQL refuses NUL, neither encodes half a surrogate.
        found = transaction.row(sql.LOCK, {"execution_id": execution_id}) if execution_id.isprintable() else None
        if found is None:
            raise RunNotFound.of(execution_id)
        state, self.epoch, self.total, self.done, self.failed, self.sequence, self.template_id, limit, now = found
        self.transaction = transaction
        self.id = execution_id
        self.state = ExecutionState(state)
        self.max_parallel: int | None = limit
        self.now = float(now)
        self.error: str | None = None
        self.events: list[Event] = []
        self._load = load
        self._plan: Plan | None = None

    @property
    def plan(self) -> Plan:
        if self._plan is None:
            self._plan = self._load(self.transaction, self.template_id)
        return self._plan

    def note(self, kind: EventKind, node: str | None = None, item: str | None = None, **data: Any) -> None:
        """Record one fact."""
        self.sequence += 1
        self.events.append(
            Event(
                execution_id=self.id, sequence=self.sequence, time=self.now, kind=kind, node=node, item=item, data=data
            )
        )

    def move(self, name: str) -> bool:
        """Make a move of the execution's own, if it may start from here."""
        move = EXECUTION_MOVES[name]
        if self.state not in move.sources:
            return False
        self.state = ExecutionState(move.target)
        return True

    def settle(self, overs: Iterable[Over]) -> None:
        """Carry ended jobs through to everything that follows from them, in this transaction."""
        overs = list(overs)
        while overs:
            self.done += len(overs)
            steps = [step for over in overs for step in consequences(self.plan, over)]
            # Newborn jobs see in the record who is over already; counting down after the birth would count those twice.
            self._count_down([step for step in steps if isinstance(step, Countdown)])
            born = [ended for over in overs if over.items is not None for ended in self._bear(over)]
            cut = [ended for step in steps if isinstance(step, Cut) for ended in self._cut_off(step.reach, step.end)]
            doomed = self._judge_doomed(steps)
            spent = self._skip_exhausted(steps)
            overs = born + cut + doomed + spent

    def standing(self, link: Link, item: str) -> Standing:
        """How a job at `item` stands towards the parents along one edge, from what is recorded."""
        standing = Standing()
        source = self.plan.nodes[link.source]
        found = self._tally(source.id, head(item, link.level), len(source.axes) > link.level)
        for state, because, branch, count in found:
            self._weigh(standing, link, state, because, branch, count)
        for bearer in bearers_below(self.plan, link):
            is_below = len(self.plan.nodes[bearer].axes) > link.level
            for state, because, _, count in self._tally(bearer, head(item, link.level), is_below):
                if state != JobState.COMPLETED or not found:
                    self._weigh(standing, link, state, because, None, count)
        return standing

    def stand_again(self, id: int, node: str, item: str) -> None:
        """Let a blocked job wait for what the record says it has to wait for; a job that waits for nothing is ready."""
        links = self.plan.nodes[node].parents
        standings = [self.standing(link, head(item, link.level)) for link in links]
        end = first_end(standings)
        pending, live = (sum(getattr(standing, name) for standing in standings) for name in ("pending", "live"))
        if end is None and links and not pending and not live:
            end = End.BRANCH
        pending += end is not None
        state = str(JobState.BLOCKED if pending else JobState.READY)
        waits = {"job_id": id, "state": state, "pending": pending, "live": live}
        self.transaction.run(transitions.SET_WAITING_FOR, waits)
        if end is not None:
            self.done += len(self.end_early(node, item, end))

    def save(self) -> None:
        """Write the row, and the events."""
        if self.done >= self.total and not self.state.is_terminal:
            self._finish()
        self.transaction.run(
            sql.SAVE_EXECUTION,
            {
                "execution_id": self.id,
                "state": str(self.state),
                "epoch": self.epoch,
                "total": self.total,
                "done": self.done,
                "failed": self.failed,
                "sequence": self.sequence,
                "error": self.error,
                "started": None if self.state is ExecutionState.PENDING else self.now,
                "finished": self.now if self.state.is_terminal else None,
            },
        )
        self.transaction.many(sql.ADD_EVENTS, [event_row(event) for event in self.events])

    def add_jobs(self, seeds: Iterable[dict[str, Any]]) -> int:
        """Bring jobs into being."""
        rows = list(seeds)
        self.transaction.many(sql.ADD_JOBS, rows)
        self.total += len(rows)
        return len(rows)

    def _finish(self) -> None:
        self.state = ExecutionState.RUNNING if self.state is ExecutionState.PENDING else self.state
        if self.failed:
            self.move("fail")
            self.error = f"{self.failed} of {self.total} jobs failed"
            self.note(EventKind.FAILED, error=self.error)
        else:
            self.move("complete")
            self.note(EventKind.COMPLETED)

    def _tally(self, node: str, item: str, is_below: bool) -> list[tuple[Any, ...]]:
        return self.transaction.rows(sql.TALLY[is_below], {"execution_id": self.id, "node": node, "item": item})

    def _weigh(self, standing: Standing, link: Link, state: str, because: str, branch: str | None, count: int) -> None:
        if state in OPEN_NAMES:
            standing.pending += count
        elif state == JobState.COMPLETED and because != End.REJECTED:
            if link.branch is not None and branch is not None and link.branch != branch:
                standing.end = standing.end or End.BRANCH
            else:
                standing.live += count
        elif state != JobState.SKIPPED or because in FATAL:
            standing.end = End.REJECTED if because == End.REJECTED else End.FAILURE

    def _bear(self, over: Over) -> list[Over]:
        """Bring the jobs of a newborn list into being; those that will never run are over at once."""
        outer = {
            node: [self.standing(link, over.item) for link in outer_links(self.plan, over, node)]
            for node in self.plan.births.get(over.node, ())
        }
        rows, ended = [], []
        for seed in born_jobs(self.plan, over):
            end = first_end(outer[seed.node])
            rows.append(self._born_row(seed, outer[seed.node], end))
            if end is not None:
                ended.append((seed.node, seed.item, end))
        self.add_jobs(rows)
        reach(Point.EXPANSION_WRITTEN)
        self.note(EventKind.ITEMS_BORN, over.node, over.item, count=over.items, jobs=len(rows))
        return [over for node, item, end in ended for over in self.end_early(node, item, end)]

    def _born_row(self, seed: Seed, standings: list[Standing], end: End | None) -> dict[str, Any]:
        # A parent that failed counts as one that is never over, as it does for jobs that were there before it failed.
        pending = seed.pending + sum(standing.pending for standing in standings) + (end is not None)
        return {
            "execution_id": self.id,
            "node": seed.node,
            "item": seed.item,
            "state": str(JobState.BLOCKED if pending else JobState.READY),
            "pending": pending,
            "live": seed.live + sum(standing.live for standing in standings),
        }

    def _count_down(self, steps: list[Countdown]) -> None:
        by: Counter[Reach] = Counter()
        live: Counter[Reach] = Counter()
        for step in steps:
            by[step.reach] += step.by
            live[step.reach] += step.live
        for is_below, statement in transitions.COUNT_DOWN.items():
            parameters = [
                {"execution_id": self.id, "node": r.node, "item": r.item, "by": n, "add": live[r]}
                for r, n in by.items()
                if r.below is is_below
            ]
            self.transaction.many(statement, parameters)

    def end_early(self, node: str, item: str, end: End) -> list[Over]:
        """End a job that will never run; nothing comes back while that hangs on a branch that is not decided."""
        return self._cut_off(Reach(node, item, False), end)

    def _cut_off(self, reach: Reach, end: End) -> list[Over]:
        """A failure upstream of a step in a branch counts only once the branch is taken: until then the step is doomed, and
        how it ends does not hang on which of the two is known first."""
        parameters = self._skip_parameters(reach, end)
        if end in FATAL and reach.node in self.plan.guarded:
            return self._judge(self.transaction.rows(transitions.DOOM[reach.below], parameters))
        return [
            self._skipped(node, item, end)
            for node, item in self.transaction.rows(transitions.SKIP_CUT[reach.below], parameters)
        ]

    def _judge_doomed(self, steps: list[Countdown | Cut]) -> list[Over]:
        reaches = {step.reach for step in steps if isinstance(step, Countdown) and step.reach.node in self.plan.guarded}
        return [
            ended
            for reach in sorted(reaches, key=lambda reach: (reach.node, reach.item))
            for ended in self._judge(
                self.transaction.rows(
                    sql.DOOMED[reach.below], {"execution_id": self.id, "node": reach.node, "item": reach.item}
                )
            )
        ]

    def _judge(self, doomed: list[tuple[Any, ...]]) -> list[Over]:
        """End the doomed jobs whose branches are decided."""
        ended = []
        for node, item, because in doomed:
            links = [link for link in self.plan.nodes[node].parents if link.branch is not None]
            standings = [self.standing(link, item) for link in links]
            if any(standing.pending for standing in standings):
                continue
            end = End.BRANCH if any(standing.end is End.BRANCH for standing in standings) else End(because)
            self.transaction.rows(transitions.SKIP_CUT[False], self._skip_parameters(Reach(node, item, False), end))
            ended.append(self._skipped(node, item, end))
        return ended

    def _skip_exhausted(self, steps: list[Countdown | Cut]) -> list[Over]:
        """Only a parent that brought nothing can exhaust its children."""
        reaches = {step.reach for step in steps if isinstance(step, Countdown) and not step.live}
        return [
            self._skipped(node, item, End.BRANCH)
            for reach in sorted(reaches, key=lambda reach: (reach.node, reach.item))
            for node, item in self.transaction.rows(
                transitions.SKIP_EXHAUSTED[reach.below], self._skip_parameters(reach, End.BRANCH)
            )
        ]

    def _skip_parameters(self, reach: Reach, end: End) -> dict[str, Any]:
        return {
            "execution_id": self.id,
            "node": reach.node,
            "item": reach.item,
            "reason": str(end),
            "now": self.now,
        }

    def _skipped(self, node: str, item: str, end: End) -> Over:
        self.note(EventKind.JOB_SKIPPED, node, item, reason=str(end))
        return Over(node, item, end)


def event_row(event: Event) -> dict[str, Any]:
    """An event as its table takes it. Raises LimitExceeded for one that would weigh on everybody who watches."""
    data = json.dumps(dict(event.data), separators=(",", ":")) if event.data else None
    if data is not None and len(data) > MAX_EVENT_BYTES:
        raise LimitExceeded(
            f"the event {event.kind} at {event.node} would be {len(data):,} characters; at most {MAX_EVENT_BYTES:,}",
            hint="Shorten what it says, a name perhaps; long texts belong in outputs.",
        )
    return {
        "execution_id": event.execution_id,
        "sequence": event.sequence,
        "time": event.time,
        "kind": str(event.kind),
        "node": event.node,
        "item": event.item,
        "data": data,
    }
