"""Reads an Overview from SQL: counts per node, the latest result of each, the reviews that wait. It takes a few queries however
many jobs there are, so that a widget may ask ten times a second; single jobs are in `job_detail`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.database.tables import jobs
from xtyl_engine.errors import WorkflowException
from xtyl_engine.nodes.registry import main_value
from xtyl_engine.nodes.review import option_text
from xtyl_engine.queries.executions import Queries
from xtyl_engine.queries.views import Execution, NodeOverview, Option, Overview, Review, shared
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy, next_start
from xtyl_engine.scheduler.routing import awaited
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.values.artifacts import ArtifactStore, is_artifact
from xtyl_engine.values.plain import unspill
from xtyl_engine.workflow.plan import Plan

MAX_REVIEWS = 50
MOST_REVIEWS = 500
AT_WORK = (JobState.RUNNING, JobState.WAITING)
MAX_IMAGES = 4
_J = jobs.c
_COUNTS = (
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
_LATEST = select(_J.output).where(sql.OF_NODE, _J.state == "completed").order_by(_J.id.desc()).limit(MAX_IMAGES)
_ERROR = (
    select(_J.item, _J.error)
    .where(sql.OF_NODE, sql.job_in(JobState.FAILED, JobState.QUARANTINED))
    .order_by(_J.id)
    .limit(1)
)
_BRANCHES = (
    select(_J.node, _J.branch, func.count())
    .where(sql.OF_EXECUTION, _J.branch.is_not(None))
    .group_by(_J.node, _J.branch)
)
_REVIEWS = (
    select(_J.node, _J.item, _J.output)
    .where(sql.OF_EXECUTION, _J.state == "waiting", _J.id > sql.B("after"))
    .order_by(_J.id)
    .limit(sql.B("count"))
)


class Overviews:
    """Reads overviews of executions. Remembers each node's latest result until its number of completed jobs changes."""

    def __init__(self, queries: Queries, store: ArtifactStore, rates: ClaimPolicy):
        self._queries = queries
        self._store = store
        self._rates = rates
        self._seen: dict[tuple[str, str, int], dict[str, Any]] = {}

    def overview(self, execution_id: str) -> Overview:
        """The overview of one execution. Raises RunNotFound."""
        execution = self._queries.execution(execution_id)
        with self._queries.database.read() as transaction:
            plan = self._queries.plans.load(transaction, execution.template_id)
            counted = _by_node(transaction.rows(_COUNTS, {"execution_id": execution_id}))
            taken = _branches_taken(transaction, plan, execution_id)
            nodes = {
                name: self._node(transaction, plan, execution, name, counted.get(name, []), taken.get(name, {}))
                for name in plan.nodes
            }
            reviews = self._reviews(transaction, execution_id, 0, MAX_REVIEWS)
            waiting_for = self._waits(transaction, plan, execution, nodes)
        stopped = sum(node.counts.get(JobState.STOPPED, 0) for node in nodes.values())
        known = shared(execution, Overview) | {"done": max(0, execution.done - stopped)}
        return Overview(**known, waiting_for=waiting_for, nodes=nodes, reviews=reviews)

    def reviews(self, execution_id: str, after: tuple[str, str] | None, count: int) -> tuple[Review, ...]:
        """Up to `count` waiting reviews in order, those that follow the review `after`, given by node and item; that one may be
        decided already."""
        self._queries.execution(execution_id)
        with self._queries.database.read() as transaction:
            at = {"execution_id": execution_id, **dict(zip(("node", "item"), after or ("", ""), strict=True))}
            place = transaction.row(sql.JOB_ID, at)
            return self._reviews(transaction, execution_id, place[0] if place else 0, min(count, MOST_REVIEWS))

    def _node(
        self,
        transaction: Transaction,
        plan: Plan,
        execution: Execution,
        name: str,
        counted: list[tuple[Any, ...]],
        branches: Mapping[str, int],
    ) -> NodeOverview:
        counts = {JobState(state): count for state, count, *_ in counted}
        started = [time for _, _, time, *_ in counted if time is not None]
        finished = [time for _, _, _, time, *_ in counted if time is not None]
        at_work = [(count, starts) for state, count, *_, starts in counted if state in AT_WORK and starts is not None]
        node = NodeOverview(counts=counts)
        facts: dict[str, Any] = {}
        if counts.get(JobState.COMPLETED):
            facts = self._latest(transaction, plan, execution.id, name, counts[JobState.COMPLETED])
        if counts.get(JobState.FAILED) or counts.get(JobState.QUARANTINED):
            facts = {**facts, "error": _first_error(transaction, execution.id, name)}
        return NodeOverview(
            counts=counts,
            started=min(started, default=None),
            finished=max(finished, default=None) if node.is_over else None,
            worked=sum(seconds or 0.0 for state, *_, seconds, _ in counted if state not in AT_WORK),
            at_work=sum(count for count, _ in at_work),
            starts=sum(starts for _, starts in at_work),
            branches=branches,
            **facts,
        )

    def _latest(self, transaction: Transaction, plan: Plan, id: str, name: str, count: int) -> dict[str, Any]:
        key = (id, name, count)
        if key not in self._seen:
            if len(self._seen) > 5_000:
                self._seen.clear()
            found = transaction.rows(_LATEST, {"execution_id": id, "node": name})
            shown = [self._shown(plan, name, output) for (output,) in found if output]
            texts = [text for text, _ in shown if text]
            images = [image for _, image in shown if image]
            self._seen[key] = {"text": texts[0] if texts else None, "images": tuple(images)}
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
        return self._text(main_value(kind, value)), self._image(value)

    def _image(self, value: Any) -> str | None:
        if is_artifact(value):
            is_image = str(value.get("media_type", "")).startswith("image/")
            return str(self._store.path(value)) if is_image else None
        if isinstance(value, Mapping):
            return next((image for each in value.values() if (image := self._image(each))), None)
        return None

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
                Option(index=index, text=self._option_text(option, shown), image=self._image(option))
                for index, option in enumerate(shown.get("options", ()))
            ),
        )

    def _option_text(self, option: Mapping[str, Any], shown: Mapping[str, Any]) -> str | None:
        """The whole text of an option, since a reviewer may edit it; a short form of a result that is neither text nor image."""
        of = str(shown.get("of"))
        text = option_text(option, of)
        return text if text is not None or self._image(option.get(of)) else self._text(option.get(of))

    def _waits(
        self, transaction: Transaction, plan: Plan, execution: Execution, nodes: Mapping[str, NodeOverview]
    ) -> str | None:
        """What the execution waits for, in words; None while a job runs."""
        if execution.state.is_terminal:
            return None
        if execution.state is ExecutionState.PAUSED:
            return "paused: `run.resume()` goes on"
        sums = {state: sum(node.counts.get(state, 0) for node in nodes.values()) for state in JobState}
        if sums[JobState.RUNNING]:
            return None
        if sums[JobState.READY]:
            ready = [name for name, node in nodes.items() if node.counts.get(JobState.READY)]
            limit = self._limit(transaction, plan, ready)
            words = limit or self._queries.retry_or_worker(transaction, execution.id)
            types = {plan.nodes[name].type for name in ready}
            return awaited(self._rates.route.heavy, types) if words == "a worker" else words
        waiting = [name for name, node in nodes.items() if node.counts.get(JobState.WAITING)]
        if not waiting:
            return None
        count = sums[JobState.WAITING]
        return f"a person: {count} decision{'s' if count != 1 else ''} at {', '.join(waiting)}"

    def _limit(self, transaction: Transaction, plan: Plan, ready: list[str]) -> str | None:
        shut = next_start(transaction, plan, ready, self._rates)
        return f"the rate limit of {', '.join(shut[0])}: next start in {shut[1]:.0f} s" if shut else None


def _by_node(found: list[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for node, *rest in found:
        grouped.setdefault(node, []).append(tuple(rest))
    return grouped


def _branches_taken(transaction: Transaction, plan: Plan, id: str) -> dict[str, dict[str, int]]:
    """How often each conditional took which branch; no query where the plan has none."""
    taken: dict[str, dict[str, int]] = {}
    if any(node.kind.exclusive_branches for node in plan.nodes.values()):
        for name, branch, count in transaction.rows(_BRANCHES, {"execution_id": id}):
            taken.setdefault(name, {})[branch] = count
    return taken


def _first_error(transaction: Transaction, id: str, name: str) -> str | None:
    found = transaction.row(_ERROR, {"execution_id": id, "node": name})
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
    """A row's readable label: its name in the frame's index if that is text, else its first text value, else its number."""
    texts = (
        text for text in (json.loads(label), *json.loads(values).values()) if isinstance(text, str) and text.strip()
    )
    return next(texts, f"row {label}")[:60]
