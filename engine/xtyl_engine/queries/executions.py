"""Reads executions with their jobs, rows and events, as they are in SQL now. It writes nothing, and caches nothing but plans. For
one value that sums an execution up see `overview`, for reading in parts `pages`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import BigInteger, case, cast, func, literal_column, null, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Now, Transaction
from xtyl_engine.database.tables import (
    TOKENS,
    attempt_answers,
    attempt_logs,
    attempts,
    events,
    executions,
    jobs,
    nodes,
    rows,
)
from xtyl_engine.errors import RunNotFound
from xtyl_engine.events import Event, EventKind
from xtyl_engine.providers.prices import dollars
from xtyl_engine.queries.cut_texts import CUT_WORDS, IS_CUT
from xtyl_engine.queries.views import Execution, Job, NodeCost, Progress
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.workflow.plan import Plan

_E = executions.c
EXECUTION = select(
    _E.id, _E.name, _E.template_id, _E.state, _E.epoch, _E.shape, _E.rows, _E.total, _E.done, _E.failed, _E.sequence,
    _E.error, _E.created, _E.started, _E.finished, _E.project, _E.budget,
    case((_E.budget.is_not(None), _E.spent)).label("charged"),
    *(select(cast(func.sum(nodes.c[name]), BigInteger)).where(nodes.c.execution_id == _E.id).scalar_subquery()
      for name in ("spent", "unpriced")),
)  # fmt: skip
_ONE = EXECUTION.where(_E.id == sql.B("execution_id"))
_IN_STATE = _E.state == sql.B("state")
_BEGINS = func.substr(_E.id, 1, sql.B("length")) == sql.B("prefix")
# By whether a state and the beginning of an id are given.
_ALL = {
    (state, prefix): EXECUTION.where(*[each for each, given in ((_IN_STATE, state), (_BEGINS, prefix)) if given])
    .order_by(_E.created.desc(), _E.id)
    .limit(sql.B("limit"))
    for state in (False, True)
    for prefix in (False, True)
}
MOST = 1_000_000
_SEQUENCE = select(_E.sequence, _E.state).where(_E.id == sql.B("execution_id"))
# Always this many parameters, so that the statement is compiled once; unused ids are empty.
_MANY = 100
_STANDINGS = select(_E.id, _E.sequence, _E.state).where(_E.id.in_([sql.B(f"id{place}") for place in range(_MANY)]))
_ROWS = (
    select(rows.c.label, rows.c["values"]).where(rows.c.execution_id == sql.B("execution_id")).order_by(rows.c.position)
)
EVENTS = (
    select(events.c.sequence, events.c.time, events.c.kind, events.c.node, events.c.item, events.c.data)
    .where(events.c.execution_id == sql.B("execution_id"), events.c.sequence > sql.B("after"))
    .order_by(events.c.sequence)
    .limit(sql.B("limit"))
)
_J = jobs.c
JOB_COLUMNS = (
    _J.id, _J.node, _J.item, _J.state, _J.attempt, _J.because, _J.started, _J.finished, _J.cached, _J.provider,
    _J.model, _J.tokens, sql.SPENT, _J.error_class, _J.error, _J.traceback, _J.output,
    _J.input_tokens, _J.cached_tokens, _J.output_tokens, _J.image_tokens, _J.price, sql.UNPRICED, _J.saved, IS_CUT,
)  # fmt: skip
JOB_COLUMNS_WITHOUT_OUTPUT = tuple(null() if column is _J.output else column for column in JOB_COLUMNS)
_JOBS = select(*JOB_COLUMNS_WITHOUT_OUTPUT).where(sql.OF_EXECUTION).order_by(_J.id)
_NODE_JOBS = select(*JOB_COLUMNS).where(sql.OF_NODE).order_by(_J.id)
_NODE_STATES = select(_J.item, _J.state).where(sql.OF_NODE).order_by(_J.id)
# Only of jobs that failed: a job that completed after a retry still holds the error of an earlier attempt.
_ERROR = case((sql.job_in(JobState.FAILED, JobState.QUARANTINED), _J.error))
_RESULTS = select(_J.node, _J.item, _J.state, _J.because, _ERROR, _J.output).where(sql.OF_EXECUTION)
# Written into the statement, so that no driver gets it as a parameter.
_BLANK: Any = literal_column("' '")
_GROUPS = (
    select(_J.node, _J.state, _J.because, _ERROR, func.aggregate_strings(_J.item, _BLANK))
    .where(sql.OF_EXECUTION)
    .group_by(_J.node, _J.state, _J.because, _ERROR)
)
_A, _L = attempts.c, attempt_logs.c
ATTEMPTS = (
    select(_A.number, _A.because, _A.started, _A.finished, _A.outcome, _A.error)
    .where(_A.job_id == sql.B("job_id"))
    .order_by(_A.number)
)
USED = ("request_id", "notes", *TOKENS, "cost", "cost_kind", "price")
USAGES = select(_A.number, *(_A[name] for name in USED)).where(_A.job_id == sql.B("job_id"))
_COSTS = (
    select(
        _J.node,
        func.count(),
        func.sum(_J.cached),
        *(func.sum(_J[name]) for name in TOKENS),
        func.sum(func.coalesce(sql.SPENT, 0)),
        func.sum(func.coalesce(_J.saved, 0)),
        func.sum(sql.UNPRICED),
    )
    .where(sql.OF_EXECUTION)
    .group_by(_J.node)
)
_W = attempt_answers.c
ANSWERS = select(_W.number, _W.answer).where(_W.job_id == sql.B("job_id"))
PRINTS = select(_L.number, _L.text, _L.done, _L.of).where(_L.job_id == sql.B("job_id"))
# Mostly the first that is looked at is due.
_DUE = select(_J.id).where(sql.OF_EXECUTION, sql.job_in(JobState.READY), _J.due <= Now()).limit(1)


def no_op() -> None:
    """See to nothing: the default where no back end is at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One job's state and result: its output text where it has one, its error where it failed."""

    node: str
    item: str
    state: JobState
    because: str
    error: str | None
    output: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobGroup:
    """The jobs of one node with equal state, reason and error: `items`, separated by blanks."""

    node: str
    state: JobState
    because: str
    error: str | None
    items: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An execution at one moment: its own row, every job, and, if asked for, label and values of each input row."""

    execution: Execution
    rows: list[tuple[Any, dict[str, Any]]]
    results: list[Result]


# In the order of EXECUTION, of JOB_COLUMNS and of _RESULTS.
_EXECUTION_FIELDS = tuple(each.name for each in fields(Execution))
_JOB_FIELDS = tuple(each.name for each in fields(Job))
_COST_FIELDS = tuple(each.name for each in fields(NodeCost))
_RESULT_FIELDS = tuple(each.name for each in fields(Result))


def has_text(name: str, text: str) -> bool:
    """Whether a name has this text in it, in whatever case."""
    return text.casefold() in name.casefold()


class Queries:
    """Reads one database. `attend` is called with each read of an execution that workers may go on with."""

    def __init__(self, database: Database, plans: PlanCache, attend: Callable[[], object] = no_op):
        self.database = database
        self.plans = plans
        self._attend = attend

    def execution(self, execution_id: str) -> Execution:
        """The execution with this id. Raises RunNotFound."""
        with self.database.read() as transaction:
            found = self.execution_in(transaction, execution_id)
        self.seen(found.state)
        return found

    def executions(
        self, limit: int = 100, *, state: ExecutionState | None = None, name: str = "", prefix: str = ""
    ) -> list[Execution]:
        """The latest executions, newest first: those in a state, with a name that has this text in it in whatever case, with an
        id that begins so."""
        # A database knows fewer letters that are the same in another case.
        most = MOST if name else limit
        given = {"limit": most, "state": state and str(state), "prefix": prefix, "length": len(prefix)}
        with self.database.read() as transaction:
            found = [read_execution(row) for row in transaction.rows(_ALL[bool(state), bool(prefix)], given)]
        found = [each for each in found if has_text(each.name, name)][: max(0, limit)]
        for state in {each.state for each in found}:
            self.seen(state)
        return found

    def sequence(self, execution_id: str) -> tuple[int, ExecutionState]:
        """The number of the last event, and the state; the cheapest read there is. Raises RunNotFound."""
        with self.database.read() as transaction:
            found = transaction.row(_SEQUENCE, {"execution_id": execution_id})
        if found is None:
            raise RunNotFound.of(execution_id)
        self.seen(state := ExecutionState(found[1]))
        return int(found[0]), state

    def plan(self, execution_id: str) -> Plan:
        """The plan of the execution. Raises RunNotFound."""
        with self.database.read() as transaction:
            execution = self.execution_in(transaction, execution_id)
            plan = self.plans.load(transaction, execution.template_id)
        self.seen(execution.state)
        return plan

    def rows(self, execution_id: str) -> list[tuple[Any, dict[str, Any]]]:
        """Label and values of each input row, in order."""
        with self.database.read() as transaction:
            return self._rows(transaction, execution_id)

    def jobs(self, execution_id: str) -> list[Job]:
        """Every job, without outputs."""
        with self.database.read() as transaction:
            return [read_job(row) for row in transaction.rows(_JOBS, {"execution_id": execution_id})]

    def node_jobs(self, execution_id: str, node: str) -> list[Job]:
        """Every job of one node, with its output."""
        with self.database.read() as transaction:
            return [read_job(row) for row in transaction.rows(_NODE_JOBS, {"execution_id": execution_id, "node": node})]

    def node_states(self, execution_id: str, node: str) -> dict[str, JobState]:
        """The state of each job of one node, by item."""
        with self.database.read() as transaction:
            found = transaction.rows(_NODE_STATES, {"execution_id": execution_id, "node": node})
        return {item: JobState(state) for item, state in found}

    def snapshot(self, execution_id: str, *, rows: bool = True) -> Snapshot:
        """The execution with all its jobs, and with its rows if `rows`, at one moment. Raises RunNotFound."""
        with self.database.read(is_snapshot=True) as transaction:
            execution = self.execution_in(transaction, execution_id)
            values = self._rows(transaction, execution_id) if rows else []
            found = transaction.rows(_RESULTS, {"execution_id": execution_id})
        self.seen(execution.state)
        results = [Result(**dict(zip(_RESULT_FIELDS, row, strict=True)) | {"state": JobState(row[2])}) for row in found]
        return Snapshot(execution=execution, rows=values, results=results)

    def job_groups(self, execution_id: str) -> list[JobGroup]:
        """Every job at one moment, grouped by node, state, reason and error."""
        with self.database.read() as transaction:
            found = transaction.rows(_GROUPS, {"execution_id": execution_id})
        return [
            JobGroup(node=node, state=JobState(state), because=because, error=error, items=items)
            for node, state, because, error, items in found
        ]

    def costs(self, execution_id: str) -> list[NodeCost]:
        """What the jobs of each node used and cost so far, in the order of the plan. Raises RunNotFound."""
        places = {node: place for place, node in enumerate(self.plan(execution_id).nodes)}
        with self.database.read() as transaction:
            found = transaction.rows(_COSTS, {"execution_id": execution_id})
        # PostgreSQL's sums are decimals.
        whole = [(node, *(None if sum is None else int(sum) for sum in sums)) for node, *sums in found]
        costs = [NodeCost(**dict(zip(_COST_FIELDS, row, strict=True))) for row in whole]
        return sorted(costs, key=lambda cost: places[cost.node])

    def attempts(self, job_id: int) -> list[tuple[Any, ...]]:
        """Number, reason, started, finished, outcome and error of each attempt at a job."""
        with self.database.read() as transaction:
            return transaction.rows(ATTEMPTS, {"job_id": job_id})

    def events(self, execution_id: str, after: int = 0, limit: int = 1_000_000) -> list[Event]:
        """The events with a sequence number greater than `after`, in order, without a gap."""
        with self.database.read() as transaction:
            return _read_events(transaction, execution_id, after, limit)

    def progress(self, execution_id: str, after: int | None, limit: int) -> Progress:
        """Last event number and state, and up to `limit` events after number `after`; no events where it is None. Raises
        RunNotFound."""
        with self.database.read() as transaction:
            found = transaction.row(_SEQUENCE, {"execution_id": execution_id})
            events = [] if found is None or after is None else _read_events(transaction, execution_id, after, limit)
        if found is None:
            raise RunNotFound.of(execution_id)
        return Progress(sequence=int(found[0]), state=ExecutionState(found[1]), events=tuple(events))

    def standings(self, execution_ids: Sequence[str]) -> dict[str, tuple[int, ExecutionState]]:
        """The number of the last event and the state of each execution; ids that do not exist are left out."""
        found: list[tuple[Any, ...]] = []
        with self.database.read() as transaction:
            for start in range(0, len(execution_ids), _MANY):
                some = execution_ids[start : start + _MANY]
                asked = {f"id{place}": some[place] if place < len(some) else "" for place in range(_MANY)}
                found += transaction.rows(_STANDINGS, asked)
        for state in {ExecutionState(state) for *_, state in found}:
            self.seen(state)
        return {id: (int(sequence), ExecutionState(state)) for id, sequence, state in found}

    def retry_or_worker(self, transaction: Transaction, execution_id: str) -> str:
        """What ready jobs wait for, in words: a worker, or a retry if all are due later."""
        return "a retry" if transaction.row(_DUE, {"execution_id": execution_id}) is None else "a worker"

    def seen(self, state: ExecutionState) -> None:
        """See to the workers of an execution that was found in this state."""
        if state in (ExecutionState.PENDING, ExecutionState.RUNNING):
            self._attend()

    def execution_in(self, transaction: Transaction, execution_id: str) -> Execution:
        """The execution as a transaction sees it. Raises RunNotFound."""
        found = transaction.row(_ONE, {"execution_id": execution_id})
        if found is None:
            raise RunNotFound.of(execution_id)
        return read_execution(found)

    def _rows(self, transaction: Transaction, execution_id: str) -> list[tuple[Any, dict[str, Any]]]:
        found = transaction.rows(_ROWS, {"execution_id": execution_id})
        return [(json.loads(label), json.loads(values)) for label, values in found]


def has_active_work(database_url: str) -> bool:
    """Whether any execution has jobs that a worker could be running now."""
    with closing(Database(database_url, pool_size=1)) as database, database.read() as transaction:
        return transaction.row(sql.ACTIVE) is not None


def _read_events(transaction: Transaction, execution_id: str, after: int, limit: int) -> list[Event]:
    found = transaction.rows(EVENTS, {"execution_id": execution_id, "after": after, "limit": limit})
    return [read_event(execution_id, row) for row in found]


def read_execution(row: tuple[Any, ...]) -> Execution:
    """The Execution in a row of `EXECUTION`."""
    values = dict(zip(_EXECUTION_FIELDS, row, strict=True))
    return Execution(**(values | {"state": ExecutionState(values["state"]), "shape": json.loads(values["shape"])}))


def read_event(execution_id: str, row: tuple[Any, ...]) -> Event:
    """The Event in a row of `EVENTS`."""
    sequence, time, kind, node, item, data = row
    return Event(
        execution_id=execution_id,
        sequence=sequence,
        time=time,
        kind=EventKind(kind),
        node=node,
        item=item,
        data=json.loads(data) if data else {},
    )


def read_job(row: tuple[Any, ...]) -> Job:
    """The Job in a row of `JOB_COLUMNS`."""
    values = dict(zip(_JOB_FIELDS, row, strict=True))
    money = {name: dollars(values[name]) for name in ("cost", "saved")}
    warning = CUT_WORDS if values["warning"] else None
    read = {"state": JobState(values["state"]), "cached": bool(values["cached"]), "warning": warning}
    return Job(**(values | money | read))
