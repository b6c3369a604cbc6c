"""Drives the scheduler in a test without a worker: claims jobs, answers them as told, and reads the record."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import text

from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.database.node_counts import PAID, NodeCounts, kept_counts, scanned_counts
from xtyl_engine.errors import ErrorClass
from xtyl_engine.queries.executions import Queries
from xtyl_engine.queries.overview import Overviews
from xtyl_engine.queries.views import Job, Overview
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.control import Controls
from xtyl_engine.scheduler.outcomes import Claim, Completed, Failed, Failure, Outcome, Retrying, Waiting
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy
from xtyl_engine.scheduler.submit import Row, Submission, new_execution_id, submit
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.owners import Pulse
from xtyl_engine.workflow.plan import Plan

TIMES = {
    "agent_jobs": ("started", "finished", "lease"),
    "job_attempts": ("started", "finished"),
    "workflow_executions": ("created", "started", "finished"),
    "execution_nodes": ("started", "finished", "since"),
}
Answer = Callable[[Claim], Outcome]


def completed(claim: Claim, *, items: int | None = None, branch: str | None = None) -> Completed:
    """A result, as a handler gives it."""
    output = {"value": claim.item} if items is None else {"items": list(range(items))}
    return Completed(claim=claim, output=json.dumps(output), items=items, branch=branch)


def failed(claim: Claim, error_class: ErrorClass = ErrorClass.PERMANENT, message: str = "it broke") -> Failed:
    """A failure for good."""
    return Failed(claim=claim, failure=Failure(error_class=error_class, message=message))


def retrying(claim: Claim, delay_seconds: float = 0.0) -> Retrying:
    """A failure to be tried again."""
    failure = Failure(error_class=ErrorClass.TRANSIENT, message="try again")
    return Retrying(claim=claim, failure=failure, delay_seconds=delay_seconds)


def waiting(claim: Claim, options: int = 3, choose: int = 1) -> Waiting:
    """A review that shows texts."""
    shown = {
        "options": [{"draft": {"text": f"option {place}"}} for place in range(options)],
        "choose": choose,
        "edit": True,
        "instructions": None,
        "of": "draft",
    }
    return Waiting(claim=claim, output=json.dumps(shown))


def dead(owner: str) -> Pulse:
    """The answer about a worker's process that has died."""
    return Pulse.ENDED


def assert_counts_are_kept(transaction: Transaction, id: str) -> None:
    """Whatever has happened, the kept counts say what a look at each job says."""
    kept, found = kept_counts(transaction, id), scanned_counts(transaction, id)
    assert kept is not None
    for node, counts in kept[1].items():
        scanned = found.get(node, NodeCounts())
        assert (node, counts.counts, counts.taken) == (node, scanned.counts, scanned.taken)
        assert [getattr(counts, name) for name in PAID] == [getattr(scanned, name) or 0 for name in PAID]
        assert (len(counts.latest), counts.failure is None) == (len(scanned.latest), scanned.failure is None)
        if counts.counts and all(state.is_terminal for state in counts.counts):
            assert counts.finished == scanned.finished
    assert found.keys() <= kept[1].keys()


class Driver:
    """One database, one worker process's recorder, and the questions a test asks."""

    def __init__(
        self, database: Database, owner: str = "worker-1", lease_seconds: float = 10.0, beat_seconds: float = 3.0
    ):
        self.database = database
        self.plans = PlanCache()
        self.published: list[Any] = []
        self.recorder = Recorder(
            database, owner, lease_seconds, self.published.extend, self.plans.load, beat_seconds=beat_seconds
        )
        self.queries = Queries(database, self.plans)
        store = ArtifactStore(tempfile.mkdtemp())
        self.controls = Controls(database, self.plans, store)
        self.overviews = Overviews(self.queries, store, ClaimPolicy())

    def submit(self, plan: Plan, rows: int = 1, *, max_parallel: int | None = None, budget: int | None = None) -> str:
        """Submit a plan over `rows` empty rows."""
        id = new_execution_id(plan.name)
        table = [Row(label=place, values={}) for place in range(rows)]
        submit(self.database, Submission(id=id, plan=plan, rows=table, max_parallel=max_parallel, budget=budget))
        return id

    def claim(self, id: str, want: int = 1) -> tuple[Claim, ...]:
        """Claim up to `want` jobs."""
        return self.recorder.record([], id, want).claims

    def record(self, id: str, *outcomes: Outcome) -> None:
        """Record outcomes, claim nothing."""
        self.recorder.record(outcomes, id, 0)

    def drain(self, id: str, answers: Mapping[str, Answer] | None = None, *, batch: int = 4) -> list[tuple[str, str]]:
        """Work until nothing is ready; the jobs in the order of their starts. Nodes without an answer complete."""
        started: list[tuple[str, str]] = []
        outcomes: Sequence[Outcome] = ()
        while claims := self.recorder.record(outcomes, id, batch).claims:
            started += [(claim.node, claim.item) for claim in claims]
            outcomes = [(answers or {}).get(claim.node, completed)(claim) for claim in claims]
        return started

    def jobs(self, id: str) -> dict[tuple[str, str], Job]:
        """Every job by node and item; each node's counts are kept as they are."""
        with self.database.read(is_snapshot=True) as transaction:
            assert_counts_are_kept(transaction, id)
        return {(job.node, job.item): job for job in self.queries.jobs(id)}

    def overview(self, id: str) -> Overview:
        """The run at a glance."""
        return self.overviews.overview(id)

    def states(self, id: str) -> dict[str, str]:
        """State by `node@item`."""
        return {f"{node}@{item}": str(job.state) for (node, item), job in self.jobs(id).items()}

    def state(self, id: str) -> str:
        """The execution's state."""
        return str(self.queries.sequence(id)[1])

    def kinds(self, id: str) -> list[str]:
        """The kinds of its events, in order."""
        return [str(event.kind) for event in self.queries.events(id)]

    def pass_time(self, seconds: float) -> None:
        """Move every time in the database back, as if this many seconds had passed; forward if negative."""
        with self.database.engine.begin() as connection:
            for table, names in TIMES.items():
                moved = ", ".join(f"{name} = {name} - :seconds" for name in names)
                connection.execute(text(f"UPDATE {table} SET {moved}"), {"seconds": seconds})

    def expire_leases(self, state: str = "running") -> None:
        """Let every lease of jobs in this state expire, as if its worker had died long ago."""
        with self.database.engine.begin() as connection:
            connection.execute(text("UPDATE agent_jobs SET lease = 1 WHERE state = :state"), {"state": state})
