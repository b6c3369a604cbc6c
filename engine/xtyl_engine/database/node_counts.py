"""The counts of an execution's jobs by node: as they are kept, and counted anew where they are not, because the release before
has written the execution. The scheduler keeps them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import case, func, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Now, Transaction
from xtyl_engine.database.tables import branches, executions, jobs, nodes
from xtyl_engine.states import JobState

# After so many of a worker's beats without one no job was running, or the clock has moved.
BEATS = 3
# What a release before this one, which does not tell its beats, may take for them.
BEAT_WITHIN = 60.0
SHOWN = 4
# Room for the ids of a few jobs, in characters.
LATEST = 100
_E, _J, _N = executions.c, jobs.c, nodes.c
_AT_WORK = (JobState.RUNNING, JobState.WAITING)
_FAILED = (JobState.FAILED, JobState.QUARANTINED)
# Money in whole 1e-9 dollars, how many attempts cost something unknown, how many results came from the cache, what these saved.
PAID = ("spent", "unpriced", "from_cache", "saved")
_FIELDS = ("started", "finished", "since", "beat_within", "job_seconds", "busy_seconds", "latest", "failure", *PAID)
_KEPT = (
    select(Now(), _N.node, *(_N[name] for name in _FIELDS), *(_N[state] for state in JobState))
    .join(executions, _E.id == _N.execution_id)
    .where(_E.id == sql.B("execution_id"), _E.counted == _E.sequence)
)
_TAKEN = select(branches.c.node, branches.c.branch, branches.c.count).where(
    branches.c.execution_id == sql.B("execution_id")
)
_SCAN = (
    select(
        _J.node,
        _J.state,
        func.count(),
        func.min(_J.started),
        func.max(_J.finished),
        func.sum(_J.finished - _J.started),
        func.sum(_J.started),
    )
    .where(sql.OF_EXECUTION)
    .group_by(_J.node, _J.state)
)
_SCAN_PAID = (
    select(
        _J.node,
        func.sum(func.coalesce(sql.SPENT, 0)),
        func.sum(sql.UNPRICED),
        func.sum(case((_J.provider.is_not(None), _J.cached), else_=0)),
        func.sum(func.coalesce(_J.saved, 0)),
    )
    .where(sql.OF_EXECUTION)
    .group_by(_J.node)
)
_SCAN_TAKEN = (
    select(_J.node, _J.branch, func.count())
    .where(sql.OF_EXECUTION, sql.job_in(JobState.COMPLETED), _J.branch.is_not(None))
    .group_by(_J.node, _J.branch)
)
_SCAN_LATEST = select(_J.id).where(sql.OF_NODE, sql.job_in(JobState.COMPLETED)).order_by(_J.id.desc()).limit(SHOWN)
_SCAN_FAILURE = select(_J.id).where(sql.OF_NODE, sql.job_in(*_FAILED)).order_by(_J.id).limit(1)


class Busy(NamedTuple):
    """The seconds in which at least one job ran; `since` when these go on, None where no job runs or a beat is missing, and until
    when without another beat."""

    seconds: float
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCounts:
    """One node's jobs in numbers, `job_seconds` and `busy_seconds` as of `since`, after which the next beat comes within
    `beat_within` seconds; `latest` are the ids of the jobs that completed last, newest first, `failure` that of the first that
    failed. What of `PAID` is None is not known."""

    counts: Mapping[JobState, int] = field(default_factory=dict)
    started: float | None = None
    finished: float | None = None
    since: float = 0.0
    beat_within: float = BEAT_WITHIN
    job_seconds: float = 0.0
    busy_seconds: float = 0.0
    latest: tuple[int, ...] = ()
    failure: int | None = None
    spent: int | None = None
    unpriced: int | None = None
    from_cache: int | None = None
    saved: int | None = None
    taken: Mapping[str, int] = field(default_factory=dict)

    @property
    def at_work(self) -> int:
        """How many jobs run or wait for a person."""
        return sum(self.counts.get(state, 0) for state in _AT_WORK)

    def busy(self, now: float) -> Busy:
        """Nothing passes before the next beat if the clock was set back, or if one is missing: no worker lives then."""
        until = self.since + self.beat_within
        if not self.counts.get(JobState.RUNNING):
            return Busy(self.busy_seconds)
        if now > until:
            return Busy(self.busy_seconds + self.beat_within)
        if now < self.since:
            return Busy(self.busy_seconds, now, now)
        return Busy(self.busy_seconds, self.since, until)


def kept_counts(transaction: Transaction, execution_id: str) -> tuple[float, dict[str, NodeCounts]] | None:
    """The database's time, and the counts by node, in one read of a row for each. None where they are not kept."""
    found = transaction.rows(_KEPT, {"execution_id": execution_id})
    if not found:
        return None
    taken = _taken(transaction.rows(_TAKEN, {"execution_id": execution_id}))
    counts = {node: _read(values, taken.get(node, {})) for _, node, *values in found}
    return float(found[0][0]), counts


def database_time(transaction: Transaction) -> float:
    """The database's clock."""
    (now,) = transaction.row(sql.CLOCK) or (0.0,)
    return float(now)


def scanned_counts(transaction: Transaction, execution_id: str) -> dict[str, NodeCounts]:
    """The counts from the jobs themselves, of which each is looked at. The time in which at least one job of a node ran is not
    known then: it is at most the sum of all, and at most the time from the first start to the last end."""
    by_node: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    now = database_time(transaction)
    for node, *values in transaction.rows(_SCAN, {"execution_id": execution_id}):
        by_node[node].append(tuple(values))
    taken = _taken(transaction.rows(_SCAN_TAKEN, {"execution_id": execution_id}))
    paid = {node: amounts for node, *amounts in transaction.rows(_SCAN_PAID, {"execution_id": execution_id})}
    counts = {}
    for node, values in by_node.items():
        at = {"execution_id": execution_id, "node": node}
        found = _summed(transaction, at, now, values, taken.get(node, {}))
        spent, unpriced, from_cache, saved = map(int, paid.get(node, (0,) * len(PAID)))
        counts[node] = replace(found, spent=spent, unpriced=unpriced, from_cache=from_cache, saved=saved)
    return counts


def _read(values: list[Any], taken: Mapping[str, int]) -> NodeCounts:
    known = dict(zip(_FIELDS, values, strict=False))
    # The last id may be cut off.
    latest = tuple(int(id) for id in known.pop("latest").split(" ")[:-1][:SHOWN])
    counts = dict(zip(JobState, values[len(_FIELDS) :], strict=True))
    return NodeCounts(
        counts={state: count for state, count in counts.items() if count}, latest=latest, taken=taken, **known
    )


def _summed(
    transaction: Transaction, at: Mapping[str, Any], now: float, states: list[tuple[Any, ...]], taken: Mapping[str, int]
) -> NodeCounts:
    counts = {JobState(state): count for state, count, *_ in states}
    started = min((time for _, _, time, *_ in states if time is not None), default=None)
    finished = max((time for _, _, _, time, *_ in states if time is not None), default=None)
    ended = sum(seconds or 0.0 for state, *_, seconds, _ in states if state not in _AT_WORK)
    going = sum(count * now - starts for state, count, *_, starts in states if state in _AT_WORK and starts is not None)
    is_over = all(state.is_terminal for state in counts)
    span = 0.0 if started is None else (finished if is_over and finished is not None else now) - started
    return NodeCounts(
        counts=counts,
        started=started,
        finished=finished,
        since=now,
        job_seconds=ended + going,
        busy_seconds=max(0.0, min(span, ended + going)),
        latest=tuple(id for (id,) in transaction.rows(_SCAN_LATEST, at)) if JobState.COMPLETED in counts else (),
        failure=(transaction.row(_SCAN_FAILURE, at) or (None,))[0] if set(counts) & set(_FAILED) else None,
        taken=taken,
    )


def _taken(found: list[tuple[Any, ...]]) -> dict[str, dict[str, int]]:
    taken: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for node, branch, count in found:
        taken[node][branch] = count
    return taken
