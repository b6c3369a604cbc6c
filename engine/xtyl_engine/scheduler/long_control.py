"""Controls that change more jobs than one transaction may. The first transaction changes the execution and writes the event; the
jobs follow in steps, and `unfinished` in the execution's row says how far they are. The process that controls makes the steps; if
it dies, a sweep goes on with them.

Between two steps of a stop nothing starts, because the execution is stopped. Between two steps of a reopening jobs run, and the
execution does not end: parents are put back before their children, which read their parents' states when their turn comes.
"""

from __future__ import annotations

import bisect
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import func, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.database.steps import BREATH_SECONDS, STEP_SECONDS
from xtyl_engine.database.tables import executions, jobs
from xtyl_engine.events import Event, EventKind
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.cascade import settle, stand_again
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.states import End, ExecutionState, JobState
from xtyl_engine.workflow.plan import Plan

Load = Callable[[Transaction, str], Plan]
STOP = "stop"
REOPEN = "reopen"
_KEPT = (str(End.BRANCH), str(End.REJECTED))
_TEMPLATE = select(executions.c.template_id, executions.c.sequence, executions.c.unfinished).where(
    executions.c.id == sql.B("execution_id")
)
_UNFINISHED = select(executions.c.id, executions.c.unfinished).where(executions.c.unfinished.is_not(None))
_ENDS = select(func.min(jobs.c.id), func.max(jobs.c.id)).where(sql.OF_EXECUTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stride:
    """How much one transaction changes: up to `at_once` jobs with the control itself; later, until `seconds` have passed, it puts
    back `piece` jobs at a time, or stops those among `ids` numbers."""

    at_once: int = 1_000
    piece: int = 100
    ids: int = 2_000
    seconds: float = STEP_SECONDS


class Place(NamedTuple):
    """Where a job stands in a reopening: by the rank of its node, parents first, then by its id."""

    rank: int
    id: int
    node: str


class Left(NamedTuple):
    """What is left of a control, as `unfinished` says it: of that whose event has this number, for its jobs after that place."""

    verb: str
    number: int
    rank: int = -1
    id: int = 0

    def __str__(self) -> str:
        return " ".join(map(str, self))

    def is_of(self, other: Left | None) -> bool:
        return other is not None and (self.verb, self.number) == (other.verb, other.number)


def unfinished(transaction: Transaction) -> dict[str, str]:
    """What is left of the controls of each execution where something is left."""
    return dict(transaction.rows(_UNFINISHED))


def read_left(text: str | None) -> Left | None:
    """What `unfinished` says."""
    if text is None:
        return None
    verb, *numbers = text.split()
    return Left(verb, *map(int, numbers))


class Found(NamedTuple):
    """The jobs that a reopening puts back, in its order; and, before they were read, the number of the execution's last event and
    what was left of a control."""

    sequence: int = 0
    places: Sequence[Place] = ()
    unfinished: str | None = None


def find(transaction: Transaction, execution_id: str, load: Load) -> Found:
    """Those that failed, were stopped or depended on a failure. Completed jobs and branches not taken stay."""
    found = transaction.row(_TEMPLATE, {"execution_id": execution_id})
    if found is None:
        return Found()
    nodes = load(transaction, found[0]).nodes
    ranks = {node: rank for rank, node in enumerate(sorted(nodes, key=lambda node: nodes[node].depth))}
    rows = transaction.rows(transitions.REOPENED, {"execution_id": execution_id})
    ordered = sorted(Place(ranks[row[1]], row[0], row[1]) for row in rows if not _is_kept(*row[3:5]))
    return Found(found[1], ordered, found[2])


def reopen(locked: LockedExecution, *, found: Found, stride: Stride, load: Load, **said: str) -> Found:
    """Begin to put back the jobs found, and do so at once if they are few. Returns them; those of an execution that is over are
    found again if it has changed since."""
    is_as_found = (found.sequence, found.unfinished) == (locked.sequence, None)
    if locked.state.is_terminal and not is_as_found:
        found = find(locked.transaction, locked.id, load)
    if locked.make("reopen"):
        locked.epoch += 1
    locked.note(EventKind.REOPENED, jobs=len(found.places), **said)
    locked.unfinished = str(Left(REOPEN, locked.sequence)) if len(found.places) > stride.at_once else None
    if locked.unfinished is None:
        _put_back(locked, found.places)
    return found._replace(sequence=locked.sequence)


def is_reopening(locked: LockedExecution) -> bool:
    """Whether the jobs of an execution are being put back."""
    left = read_left(locked.unfinished)
    return left is not None and left.verb == REOPEN


def stop_jobs(locked: LockedExecution, stride: Stride) -> None:
    """After the event of a stop: stop what runs, and the rest at once if it is little."""
    is_long = locked.total > stride.at_once
    _stop(locked, transitions.STOP_RUNNING if is_long else transitions.STOP_ALL)
    locked.unfinished = str(Left(STOP, locked.sequence)) if is_long else None


class Steps:
    """What is left of a control of one execution, and the steps that make it."""

    def __init__(
        self,
        database: Database,
        load: Load,
        execution_id: str,
        stride: Stride | None = None,
        begun: Found | None = None,
    ):
        self._database = database
        self._load = load
        self._id = execution_id
        self._stride = stride or Stride()
        self._begun = begun
        self._places: Sequence[Place] = []
        self._ids = range(0)

    def run(self, seconds: float = float("inf")) -> list[Event]:
        """Make steps until nothing is left, or for `seconds`. Several processes may do so at once. Returns the events."""
        events: list[Event] = []
        until = time.monotonic() + seconds
        left = self._read()
        while left is not None and time.monotonic() < until:
            locked, self._ids = self._database.transact(partial(self._step, left))
            failpoint(Point.CONTROL_STEPPED)
            events += locked.events
            # Another control may have taken its place.
            left = left if left.is_of(read_left(locked.unfinished)) else None
            # Others have their turn to write.
            time.sleep(BREATH_SECONDS)
        return events

    def _read(self) -> Left | None:
        """Find out what is left, before a transaction holds the writer."""
        with self._database.read() as transaction:
            left = read_left(unfinished(transaction).get(self._id))
            if left is not None and left.verb == STOP:
                low, high = transaction.row(_ENDS, {"execution_id": self._id}) or (None, None)
                self._ids = range(low or 0, (high or 0) + 1)
            elif left is not None:
                # What this process has begun itself, it has found for that.
                is_mine = self._begun is not None and self._begun.sequence == left.number
                found = self._begun if is_mine and self._begun else find(transaction, self._id, self._load)
                self._places = found.places
        return left

    def _step(self, found: Left, transaction: Transaction) -> tuple[LockedExecution, range]:
        """Change jobs, piece by piece, for a moment, unless nothing of the control found is left by now."""
        locked, ids = LockedExecution(transaction, self._id, self._load), self._ids
        left = read_left(locked.unfinished)
        if not found.is_of(left):
            return locked, ids
        until = time.monotonic() + self._stride.seconds
        is_begun = False
        while left is not None and not (is_begun and time.monotonic() >= until):
            is_begun = True
            if left.verb == STOP:
                ids = self._stop_piece(locked, ids)
                left = left._replace(id=ids.start) if ids else None
            else:
                left = self._put_back_piece(locked, left)
        locked.unfinished = None if left is None else str(left)
        locked.save()
        return locked, ids

    def _stop_piece(self, locked: LockedExecution, ids: range) -> range:
        if piece := ids[: self._stride.ids]:
            _stop(locked, transitions.STOP_BETWEEN, low=piece[0], high=piece[-1])
        return ids[self._stride.ids :]

    def _put_back_piece(self, locked: LockedExecution, left: Left) -> Left | None:
        if locked.state is ExecutionState.STOPPED:
            # A process of an older release stopped it.
            return None
        first = bisect.bisect_right(self._places, Place(left.rank, left.id, chr(sys.maxunicode)))
        piece = self._places[first : first + self._stride.piece]
        _put_back(locked, piece)
        is_last = first + len(piece) == len(self._places)
        return None if is_last else left._replace(rank=piece[-1].rank, id=piece[-1].id)


def _stop(locked: LockedExecution, which: transitions.Stop, **between: int) -> None:
    of = {"execution_id": locked.id, **between}
    for node, state, count in locked.transaction.rows(which.count, of):
        locked.changes.move(node, JobState(state), JobState.STOPPED, count)
    locked.done += locked.transaction.run(which.stop, {**of, "now": locked.now})


def _put_back(locked: LockedExecution, found: Sequence[Place]) -> None:
    """Put back jobs, parents before children."""
    for node, group in groupby(found, key=lambda place: place.node):
        ids = [{"job_id": place.id} for place in group]
        still = [row for id in ids if (row := locked.transaction.row(transitions.REOPENED_JOB, id)) is not None]
        rows = [row for row in still if not _is_kept(*row[3:5]) and not _goes_on(locked, *row)]
        locked.transaction.many(transitions.REOPEN, [{"job_id": row[0]} for row in rows])
        states = [JobState(row[3]) for row in rows]
        for state in states:
            locked.changes.move(node, state, JobState.BLOCKED)
        locked.done -= sum(state.is_terminal for state in states)
        locked.failed -= sum(state in (JobState.FAILED, JobState.QUARANTINED) for state in states)
        ended = [more for id, _, item, *_ in rows for more in stand_again(locked, id, node, item)]
        # A parent may have failed anew between two steps.
        settle(locked, ended)


def _goes_on(locked: LockedExecution, id: int, node: str, item: str, state: str, because: str, attempt: int) -> bool:
    """Let a stopped job go on whose attempt is still in flight; returns whether it does."""
    if state != JobState.STOPPED or not attempt or not locked.transaction.run(transitions.GO_ON, {"job_id": id}):
        return False
    locked.changes.move(node, JobState.STOPPED, JobState.RUNNING)
    locked.done -= 1
    return True


def _is_kept(state: str, because: str) -> bool:
    return state == JobState.SKIPPED and because in _KEPT
