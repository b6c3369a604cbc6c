"""The rows and jobs with which an execution begins, in the order in which they are written, and batches of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.scheduler.rules import initial_jobs
from xtyl_engine.states import JobState

if TYPE_CHECKING:
    from xtyl_engine.scheduler.submit import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some of the rows and jobs of an execution, `is_last` if no other follows."""

    rows: Sequence[dict[str, Any]]
    jobs: Sequence[dict[str, Any]]
    is_last: bool

    def write(self, transaction: Transaction) -> None:
        """Write them, unless they were written before by a commit whose answer was lost."""
        if self._is_written(transaction):
            return
        transaction.many(sql.ADD_ROW, self.rows)
        transaction.many(sql.ADD_JOBS, self.jobs)

    def _is_written(self, transaction: Transaction) -> bool:
        if self.is_last:
            # Written with its execution, which tells.
            return False
        found, last = (sql.JOB_ID, self.jobs[-1]) if self.jobs else (sql.ROW, self.rows[-1])
        return transaction.row(found, last) is not None


class Beginning:
    """What is left to write of a submission's rows and jobs."""

    def __init__(self, submission: Submission):
        self._rows = _rows(submission)
        self._jobs = _jobs(submission)

    def take(self, count: int | None) -> Batch:
        """The next `count` rows and jobs, all without a count."""
        rows = list(islice(self._rows, count))
        jobs = list(islice(self._jobs, None if count is None else count - len(rows)))
        return Batch(rows=rows, jobs=jobs, is_last=count is None or len(rows) + len(jobs) < count)


def _rows(submission: Submission) -> Iterator[dict[str, Any]]:
    for position, row in enumerate(submission.rows):
        yield {
            "execution_id": submission.id,
            "position": position,
            "label": json.dumps(row.label),
            "values": json.dumps(dict(row.values), separators=(",", ":")),
        }


def _jobs(submission: Submission) -> Iterator[dict[str, Any]]:
    ready, blocked = str(JobState.READY), str(JobState.BLOCKED)
    for seed in initial_jobs(submission.plan, len(submission.rows)):
        yield {
            "execution_id": submission.id,
            "node": seed.node,
            "item": seed.item,
            "state": blocked if seed.pending else ready,
            "pending": seed.pending,
            "live": 0,
        }
