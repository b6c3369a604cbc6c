"""Reads an Overview from SQL: counts per node, the latest result of each, the reviews that wait. It reads a few rows for each
node however many jobs there are, so that a widget may ask ten times a second; single jobs are in `job_detail`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import and_, case, func, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Now, Transaction
from xtyl_engine.database.node_counts import PAID, NodeCounts, database_time, kept_counts, scanned_counts
from xtyl_engine.database.tables import attempt_logs, jobs
from xtyl_engine.errors import WorkflowException
from xtyl_engine.nodes.review import option_fields, option_text
from xtyl_engine.queries.cut_texts import CUT, HAS_CUT
from xtyl_engine.queries.executions import Queries
from xtyl_engine.queries.views import Execution, NodeOverview, Option, Overview, Review, shared
from xtyl_engine.scheduler.budget import MONEY, Budget, advised
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy, held, next_start
from xtyl_engine.scheduler.routing import awaited
from xtyl_engine.scheduler.spending import AT_WORK, LEAST, short_words
from xtyl_engine.scheduler.transitions import VARIABLE, WANTED
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.values.artifacts import ArtifactStore, is_artifact
from xtyl_engine.values.plain import unspill
from xtyl_engine.workflow.plan import Plan

MAX_REVIEWS = 50
MOST_REVIEWS = 500
MOST_SCANNED = 100
MOST_SEEN = 5_000
UNSWEPT_SECONDS = 3.0
_J, _L = jobs.c, attempt_logs.c
LINE_SHOWN = 300
_LAST_LEASE = select(func.max(_J.lease), Now()).where(sql.job_in(JobState.RUNNING))
_SUSPECT = select(_J.id).where(sql.job_in(JobState.RUNNING), _J.lost >= sql.SUSPECT_LOST).limit(1)
_SOONEST = (
    select(_J.node, _J.due - Now(), _J.waited)
    .where(sql.OF_EXECUTION, sql.job_in(JobState.READY))
    .order_by(_J.due)
    .limit(1)
)
_OUTPUT = select(_J.output).where(_J.id == sql.B("job_id"))
_CUT = select(func.count()).where(sql.OF_NODE, sql.job_in(JobState.COMPLETED), HAS_CUT)
_ERROR = select(_J.item, _J.error).where(_J.id == sql.B("job_id"))
# Of the running jobs of an execution: the end of what each printed, the latest last.
_PRINTED = (
    select(
        _J.node,
        func.substr(
            _L.text, case((func.length(_L.text) > sql.B("most"), func.length(_L.text) - sql.B("most")), else_=1)
        ),
        _L.done,
        _L.of,
        _L.written,
    )
    .join(attempt_logs, and_(_L.job_id == _J.id, _L.number == _J.attempt))
    .where(sql.AND_OF_EXECUTION, sql.job_in(JobState.RUNNING))
    .order_by(_L.written)
)
_REVIEWS = (
    select(_J.node, _J.item, _J.output)
    .where(sql.OF_EXECUTION, sql.job_in(JobState.WAITING), _J.id > sql.B("after"))
    .order_by(_J.id)
    .limit(sql.B("count"))
)


def none_missing(is_begun: bool) -> None:
    """Nothing is known to be missing; the default."""


class Overviews:
    """Reads overviews of executions. Remembers each node's latest results until another of its jobs completes. `missing` says
    what this process knows to be missing for work to go on, and is told whether all that is left to do `is_begun`. With
    `sees_worker` it looks for the worker itself, and a lease that ran out does not mean that it is gone: the clock may have
    moved, the disk may be full."""

    def __init__(
        self,
        queries: Queries,
        store: ArtifactStore,
        rates: ClaimPolicy,
        missing: Callable[[bool], str | None] = none_missing,
        silent_seconds: float = 60.0,
        sees_worker: bool = False,
    ):
        self._queries = queries
        self._store = store
        self._rates = rates
        self._missing = missing
        self._silent_seconds = silent_seconds
        self._sees_worker = sees_worker
        self._lease: tuple[float, float] | None = None
        self._seen: dict[tuple[str, str, tuple[int, ...]], dict[str, Any]] = {}
        self._cuts: dict[tuple[str, str, tuple[int, ...]], int] = {}
        self._scanned: dict[str, tuple[int, Mapping[str, NodeCounts]]] = {}

    def overview(self, execution_id: str) -> Overview:
        """The overview of one execution. Raises RunNotFound."""
        with self._queries.database.read(is_snapshot=True) as transaction:
            execution = self._queries.execution_in(transaction, execution_id)
            plan = self._queries.plans.load(transaction, execution.template_id)
            now, counted = self._counted(transaction, execution)
            nodes = {
                name: self._node(transaction, plan, execution, name, counted.get(name), now) for name in plan.nodes
            }
            if any(_may_print(plan, name, node) for name, node in nodes.items()):
                nodes |= _with_prints(transaction, execution_id, nodes)
            is_waiting = any(node.counts.get(JobState.WAITING) for node in nodes.values())
            reviews = self._reviews(transaction, execution_id, 0, MAX_REVIEWS) if is_waiting else ()
            waiting_for = self._waits(transaction, plan, execution, nodes)
        self._queries.seen(execution.state)
        stopped = sum(node.counts.get(JobState.STOPPED, 0) for node in nodes.values())
        known = shared(execution, Overview) | {"done": max(0, execution.done - stopped)}
        return Overview(**known, now=now, waiting_for=waiting_for, nodes=nodes, reviews=reviews)

    def reviews(self, execution_id: str, after: tuple[str, str] | None, count: int) -> tuple[Review, ...]:
        """Up to `count` waiting reviews in order, those that follow the review `after`, given by node and item; that one may be
        decided already."""
        self._queries.execution(execution_id)
        with self._queries.database.read() as transaction:
            at = {"execution_id": execution_id, **dict(zip(("node", "item"), after or ("", ""), strict=True))}
            place = transaction.row(sql.JOB_ID, at)
            return self._reviews(transaction, execution_id, place[0] if place else 0, min(count, MOST_REVIEWS))

    def _counted(self, transaction: Transaction, execution: Execution) -> tuple[float, Mapping[str, NodeCounts]]:
        """The database's time and the counts by node; where none are kept, as they were when each job was looked at last."""
        kept = kept_counts(transaction, execution.id)
        if kept is not None:
            return kept
        sequence, scanned = self._scanned.get(execution.id, (0, {}))
        if sequence != execution.sequence:
            scanned = scanned_counts(transaction, execution.id)
            self._scanned.clear() if len(self._scanned) > MOST_SCANNED else None
            self._scanned[execution.id] = execution.sequence, scanned
        return database_time(transaction), scanned

    def _node(
        self,
        transaction: Transaction,
        plan: Plan,
        execution: Execution,
        name: str,
        found: NodeCounts | None,
        now: float,
    ) -> NodeOverview:
        if found is None:
            return NodeOverview()
        facts: dict[str, Any] = {}
        if found.latest:
            facts = self._latest(transaction, plan, execution.id, name, found)
        if found.failure is not None:
            facts = {**facts, "error": _error(transaction, execution.id, found.failure)}
        busy = found.busy(now)
        node = NodeOverview(
            counts=found.counts,
            started=found.started,
            worked=found.job_seconds,
            at_work=found.at_work,
            starts=found.at_work * found.since,
            busy_seconds=busy.seconds,
            busy_since=busy.since,
            busy_until=busy.until,
            branches=found.taken,
            **{name: getattr(found, name) for name in PAID},
            **facts,
        )
        if not node.is_over:
            return node
        return replace(node, finished=found.finished, cut=self._cut(transaction, plan, execution.id, name, found))

    def _cut(self, transaction: Transaction, plan: Plan, id: str, name: str, found: NodeCounts) -> int:
        """How many texts were cut, of all jobs of a node that is over: they are looked at once."""
        if "finish" not in (plan.nodes[name].kind.fields(plan.nodes[name].config) or ()) or not found.latest:
            return 0
        key = (id, name, found.latest)
        if key not in self._cuts:
            if len(self._cuts) > MOST_SEEN:
                self._cuts.clear()
            (self._cuts[key],) = transaction.row(_CUT, {"execution_id": id, "node": name}) or (0,)
        return self._cuts[key]

    def _latest(self, transaction: Transaction, plan: Plan, id: str, name: str, found: NodeCounts) -> dict[str, Any]:
        key = (id, name, found.latest)
        if key not in self._seen:
            if len(self._seen) > MOST_SEEN:
                self._seen.clear()
            outputs = [transaction.row(_OUTPUT, {"job_id": job}) or (None,) for job in found.latest]
            shown = [self._shown(plan, name, output) for (output,) in outputs if output]
            texts = [text for text, _ in shown if text]
            images = [image for _, image in shown if image]
            cut = sum(CUT in output for (output,) in outputs if output)
            self._seen[key] = {"text": texts[0] if texts else None, "images": tuple(images), "cut": cut}
        return self._seen[key]

    def _shown(self, plan: Plan, name: str, output: str) -> tuple[str | None, str | None]:
        """Text and image of a result, where it has them."""
        try:
            value = unspill(output, self._store)
        except WorkflowException as error:
            return str(error), None
        kind = plan.nodes[name].kind
        if kind.branches(plan.nodes[name].config):
            return None, None
        return self._text(plan.main_value(name, value)), self._image(value)

    def _image(self, value: Any) -> str | None:
        if is_artifact(value):
            is_image = str(value.get("media_type", "")).startswith("image/")
            return str(self._store.path(value)) if is_image else None
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        return next((image for each in parts if (image := self._image(each))), None)

    def _text(self, value: Any) -> str | None:
        if isinstance(value, str):
            return value[:300]
        if isinstance(value, Mapping) and not is_artifact(value):
            return next(
                (text for key in ("text", "value", *value) if key in value and (text := self._text(value[key]))), None
            )
        if isinstance(value, list):
            return f"{len(value)} items"
        return None if value is None or is_artifact(value) else str(value)[:300]

    def _reviews(self, transaction: Transaction, id: str, after: int, count: int) -> tuple[Review, ...]:
        found = transaction.rows(_REVIEWS, {"execution_id": id, "after": after, "count": count})
        return tuple(
            self._review(transaction, id, node, item, unspill(shown, self._store)) for node, item, shown in found
        )

    def _review(self, transaction: Transaction, id: str, node: str, item: str, shown: Mapping[str, Any]) -> Review:
        row = int(item.split(".")[0])
        return Review(
            node=node,
            item=item,
            row=row,
            label=label_of(transaction, id, item) or str(row),
            choose=shown.get("choose", 1),
            edit=shown.get("edit", False),
            instructions=shown.get("instructions"),
            options=tuple(
                Option(
                    index=index,
                    text=self._option_text(option, shown),
                    image=self._image(option),
                    fields=option_fields(option, str(shown.get("of")), shown.get("texts", {})),
                )
                for index, option in enumerate(shown.get("options", ()))
            ),
        )

    def _option_text(self, option: Mapping[str, Any], shown: Mapping[str, Any]) -> str | None:
        """The whole text of an option, since a reviewer may edit it; a short form of a result that is neither text nor image."""
        of = str(shown.get("of"))
        text = option_text(option, of, shown.get("texts", {}))
        return text if text is not None or self._image(option.get(of)) else self._text(option.get(of))

    def _waits(
        self, transaction: Transaction, plan: Plan, execution: Execution, nodes: Mapping[str, NodeOverview]
    ) -> str | None:
        """What the execution waits for, in words; None while a worker runs a job."""
        if execution.state.is_terminal:
            return None
        if execution.state is ExecutionState.PAUSED:
            return self._paused(transaction, execution)
        sums = {state: sum(node.counts.get(state, 0) for node in nodes.values()) for state in JobState}
        is_begun = not sums[JobState.READY]
        if (sums[JobState.RUNNING] or not is_begun) and (missing := self._missing(is_begun)):
            return missing
        if sums[JobState.RUNNING]:
            return self._unattended(transaction)
        if sums[JobState.READY]:
            ready = [name for name, node in nodes.items() if node.counts.get(JobState.READY)]
            limit = self._limit(transaction, plan, ready)
            words = limit or self._queries.retry_or_worker(transaction, execution.id)
            if words == "a retry" and (parked := transaction.row(WANTED, {"execution_id": execution.id})):
                return _variable_words(execution.id, *parked)
            if words == "a retry":
                return self._later(transaction, plan, execution.id)
            if words != "a worker":
                return words
            if transaction.row(_SUSPECT) is not None:
                return "a worker: one of another run is running alone, because its worker died twice while it ran"
            return awaited(self._rates.route.heavy, {plan.nodes[name].type for name in ready})
        waiting = [name for name, node in nodes.items() if node.counts.get(JobState.WAITING)]
        if not waiting:
            return None
        count = sums[JobState.WAITING]
        return f"a person: {count} decision{'s' if count != 1 else ''} at {', '.join(waiting)}"

    def _paused(self, transaction: Transaction, execution: Execution) -> str:
        of = {"execution_id": execution.id}
        budget = Budget(*(transaction.row(MONEY, of) or (None, 0, 0, 0)))
        (needs,) = (transaction.row(LEAST, of) if budget.is_short else None) or (None,)
        if needs is None or transaction.row(AT_WORK, of) is not None:
            return "paused: `run.resume()` goes on"
        advice = advised(max(budget.limit or 0, budget.spent + needs))
        return f"money: {short_words(budget.left, needs)}; `run.resume(budget={advice})` goes on"

    def _unattended(self, transaction: Transaction) -> str | None:
        """The words for running jobs that no worker sees to; None while one does. Any worker would have put back jobs whose lease
        ran out, so one lease that counts is enough. One that lies far ahead, because the clock was set back, must change too."""
        lease, now = transaction.row(_LAST_LEASE) or (None, None)
        if lease is None:
            return None
        if not self._sees_worker and lease < now - UNSWEPT_SECONDS:
            return "a worker: the leases of its running jobs ran out, and no worker has put them back"
        moment, known = time.monotonic(), self._lease
        self._lease = known = known if known is not None and known[0] == lease else (lease, moment)
        if moment - known[1] < self._silent_seconds:
            return None
        advice = "; `xtyl doctor` looks for the cause" if self._sees_worker else ""
        return f"a worker: the leases of its running jobs were not renewed for {self._silent_seconds:g} s{advice}"

    def _limit(self, transaction: Transaction, plan: Plan, ready: list[str]) -> str | None:
        shut = next_start(transaction, plan, ready, self._rates)
        if shut is None:
            return None
        asking = held(transaction, shut[0])
        why = f", as {' and '.join(asking)} asked" if asking else ""
        return f"the rate limit of {', '.join(shut[0])}: next start in {shut[1]:.0f} s{why}"

    def _later(self, transaction: Transaction, plan: Plan, id: str) -> str:
        """What a run waits for whose ready jobs are all due later, in words: a retry, and the provider that asked for it."""
        node, seconds, waited = transaction.row(_SOONEST, {"execution_id": id}) or ("", 0.0, 0.0)
        provider = self._rates.provider_of(plan.nodes[node]) if waited else None
        return f"a retry in {seconds:.0f} s: {provider} is busy, and said when to come back" if provider else "a retry"


def _variable_words(id: str, because: str) -> str:
    """What a run waits for whose kernel's variables are gone with the back end that had them in its memory."""
    name = because.removeprefix(VARIABLE)
    return f"{name}, which is gone with the back end that had it: `xt.attach({id!r})` in a notebook that has it goes on"


def _may_print(plan: Plan, name: str, node: NodeOverview) -> bool:
    """Whether jobs of a node run that may print: only functions do."""
    return bool(node.counts.get(JobState.RUNNING)) and plan.nodes[name].kind.takes_function


def _with_prints(transaction: Transaction, id: str, nodes: Mapping[str, NodeOverview]) -> dict[str, NodeOverview]:
    """The nodes whose running jobs have printed something, with the last line, and with how far they are together."""
    found: dict[str, NodeOverview] = {}
    for name, text, done, of, written in transaction.rows(_PRINTED, {"execution_id": id, "most": LINE_SHOWN}):
        node = found.get(name, nodes[name])
        line = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), None)
        found[name] = replace(
            node,
            printed=line or node.printed,
            printed_at=written,
            progress_done=_sum(node.progress_done, done),
            progress_of=_sum(node.progress_of, of),
        )
    return found


def _sum(first: float | None, second: float | None) -> float | None:
    return first if second is None else second + (first or 0.0)


def _error(transaction: Transaction, id: str, job: int) -> str | None:
    """The error of a job that failed, with its row."""
    found = transaction.row(_ERROR, {"job_id": job})
    if found is None:
        return None
    item, error = found
    words = error.splitlines()[0] if error else ""
    return f"{label_of(transaction, id, item) or item}: {words}"


def label_of(transaction: Transaction, id: str, item: str) -> str | None:
    """The readable label of an item's row, None where there is no such row."""
    found = transaction.row(sql.LABELLED_ROW, {"execution_id": id, "position": int(item.split(".")[0])})
    return row_label(*found) if found else None


def row_label(label: str, values: str) -> str:
    """A row's readable label, see `readable_label`; both are JSON."""
    return readable_label(json.loads(label), json.loads(values))


def readable_label(label: Any, values: Mapping[str, Any]) -> str:
    """A row's name in the frame's index if that is text, else its first text value, else its number."""
    texts = (text for text in (label, *values.values()) if isinstance(text, str) and text.strip())
    return next(texts, f"row {json.dumps(label)}")[:60]
