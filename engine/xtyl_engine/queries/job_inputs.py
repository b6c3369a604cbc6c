"""What a job reads: its row's values, and the outputs of the nodes it refers to, as its Jinja sees them. It only reads, and
takes no lock: a job's parents are committed before the job is claimed, so their outputs no longer change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.nodes.registry import node_type
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.plain import unspill
from xtyl_engine.workflow.plan import Plan, PlanNode, head, place_of, shared_axes
from xtyl_engine.workflow.templating.skipped import SKIPPED
from xtyl_engine.workflow.templating.texts import Output


def read_row(transaction: Transaction, claim: Claim) -> dict[str, Any]:
    """The values of the job's row."""
    position = int(head(claim.item, 1))
    found = transaction.row(sql.ROW, {"execution_id": claim.execution_id, "position": position})
    return {} if found is None else json.loads(found[0])


def read_surroundings(transaction: Transaction, execution_id: str) -> str | None:
    """What of its kernel a run finds again, signed; None for runs of a fleet, over HTTP, and of earlier releases."""
    (found,) = transaction.row(sql.SURROUNDINGS, {"execution_id": execution_id}) or (None,)
    return None if found is None else str(found)


def read_upstream(transaction: Transaction, plan: Plan, claim: Claim, store: ArtifactStore) -> dict[str, Any]:
    """Per node that the job refers to: its output, the item of its list that the job runs over, or the list that the job
    gathers. A review reads the nodes behind its options too, aligned with the options item by item."""
    node = plan.nodes[claim.node]
    if node.kind.waits:
        return _read_lineage(transaction, plan, node, claim, store)
    return {name: _read(transaction, plan.nodes[name], node, claim, store) for name in node.reads.nodes}


def _read(transaction: Transaction, source: PlanNode, reader: PlanNode, claim: Claim, store: ArtifactStore) -> Any:
    shared = shared_axes(source.axes, reader.axes)
    if shared < len(source.axes):
        return [value for _, value in _read_below(transaction, source, claim, shared, store)]
    at = {"execution_id": claim.execution_id, "node": source.id, "item": head(claim.item, shared)}
    state, output = transaction.row(sql.OUTPUT, at) or (JobState.SKIPPED, None)
    place = int(claim.item.split(".")[shared]) if source.expands and source.id in reader.axes else None
    return visible(source, state, output, place, store)


def _read_below(
    transaction: Transaction, source: PlanNode, claim: Claim, level: int, store: ArtifactStore
) -> Iterator[tuple[str, Any]]:
    """The outputs that a job gathers, in item order, without skipped jobs."""
    at = {"execution_id": claim.execution_id, "node": source.id, "item": head(claim.item, level)}
    found = sorted(transaction.rows(sql.OUTPUTS_BELOW, at), key=lambda row: place_of(row[0]))
    for item, state, output in found:
        if state == JobState.COMPLETED:
            yield item, visible(source, state, output, None, store)


def _read_lineage(
    transaction: Transaction, plan: Plan, review: PlanNode, claim: Claim, store: ArtifactStore
) -> dict[str, Any]:
    source = plan.nodes[review.config["of"]]
    shared = shared_axes(source.axes, review.axes)
    if shared == len(source.axes):
        return {name: _read(transaction, plan.nodes[name], review, claim, store) for name in review.reads.nodes}
    reviewed = dict(_read_below(transaction, source, claim, shared, store))
    lineage: dict[str, Any] = {source.id: list(reviewed.values())}
    for name in review.reads.nodes:
        other = plan.nodes[name]
        depth = len(other.axes)
        if name == source.id:
            continue
        if depth <= shared:
            lineage[name] = [_read(transaction, other, review, claim, store)] * len(reviewed)
        else:
            found = dict(_read_below(transaction, other, claim, shared, store))
            lineage[name] = [found.get(head(item, depth), SKIPPED) for item in reviewed]
    return lineage


def visible(source: PlanNode, state: str, output: str | None, place: int | None, store: ArtifactStore) -> Any:
    """One output as Jinja sees it: SKIPPED where there is none; with `place`, that item of its list."""
    if state != JobState.COMPLETED or output is None:
        return SKIPPED
    value = unspill(output, store)
    kind = node_type(source.type)
    if kind.waits:
        value = _with_outputs(value)
    if kind.expands and isinstance(items := value.get("items"), list):
        items = [_as_output(item, value.get("of")) for item in items]
        return items if place is None else items[place]
    if kind.main is not None and kind.fields(source.config) is None:
        return _as_output(value[kind.main])
    return Output(value, main=kind.main)


def _as_output(value: Any, of: str | None = None) -> Any:
    """What a function returned, or an option that was chosen, for which its text stands, or that of the node `of`."""
    if not isinstance(value, dict):
        return value
    if of in value:
        return Output(_with_outputs(value), main=of)
    return Output(value, main="text") if isinstance(value.get("text"), str) else value


def _with_outputs(option: dict[str, Any]) -> dict[str, Any]:
    return {name: _as_output(value) for name, value in option.items()}
