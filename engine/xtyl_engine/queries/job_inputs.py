"""What a job reads: its row's values, and the outputs of the nodes it refers to, as its Jinja sees them. It only reads, and
takes no lock: a job's parents are committed before the job is claimed, so their outputs no longer change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import func, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.database.tables import events, jobs
from xtyl_engine.events import EventKind
from xtyl_engine.limits import MAX_ITEMS
from xtyl_engine.nodes.base import Misfitting
from xtyl_engine.nodes.registry import node_type
from xtyl_engine.providers.schemas.fields import texts_of
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.plain import unspill
from xtyl_engine.workflow.plan import Plan, PlanNode, head, place_of, shared_axes
from xtyl_engine.workflow.templating.render import Wish
from xtyl_engine.workflow.templating.skipped import SKIPPED
from xtyl_engine.workflow.templating.texts import Output
from xtyl_engine.workflow.unfolding import DOT, is_unfolded

# Of the options so far, as many and as much of each as a model is told of.
MOST_OPTIONS, OPTION_SHOWN = 12, 400
_ASKED = (
    select(events.c.data)
    .where(events.c.execution_id == sql.B("execution_id"), events.c.kind == str(EventKind.ANOTHER_ASKED))
    .order_by(events.c.sequence.desc())
)

_LARGEST = select(func.coalesce(func.max(jobs.c.output_tokens), 0)).where(sql.OF_NODE)


def read_row(transaction: Transaction, claim: Claim) -> dict[str, Any]:
    """The values of the job's row."""
    position = int(head(claim.item, 1))
    found = transaction.row(sql.ROW, {"execution_id": claim.execution_id, "position": position})
    return {} if found is None else json.loads(found[0])


def read_misfits(transaction: Transaction, job_id: int) -> list[Misfitting]:
    """The answers that did not fit since the job was last begun anew, in order."""
    found = transaction.rows(sql.MISFITS, {"job_id": job_id})
    return [Misfitting(answer=answer, reason=reason) for answer, reason in found]


def is_added(plan: Plan, claim: Claim) -> bool:
    """Whether the job is there because a person asked for one more option."""
    return _added_level(plan, claim) is not None


def read_wish(transaction: Transaction, plan: Plan, claim: Claim, store: ArtifactStore) -> Wish | None:
    """What a person asked of the option that the job makes, where it was added to its list with a comment."""
    level = _added_level(plan, claim)
    if level is None:
        return None
    option, found = head(claim.item, level + 1), transaction.rows(_ASKED, {"execution_id": claim.execution_id})
    asked = (json.loads(data) for (data,) in found if data)
    words = next((said["comment"] for said in asked if said.get("option") == option and said.get("comment")), None)
    if words is None:
        return None
    is_maker = plan.nodes[claim.node].axes[level] == claim.node
    return Wish(words, tuple(_options_so_far(transaction, plan, claim, level, store)) if is_maker else ())


def _added_level(plan: Plan, claim: Claim) -> int | None:
    """The place in the job's item that is beyond the length which its list had at submission."""
    axes, places = plan.nodes[claim.node].axes, claim.item.split(".")
    beyond = (level for level in range(1, len(axes)) if int(places[level]) >= plan.lengths.get(axes[level], MAX_ITEMS))
    return next(beyond, None)


def _options_so_far(
    transaction: Transaction, plan: Plan, claim: Claim, level: int, store: ArtifactStore
) -> Iterator[str]:
    """The first texts of the list to which the job adds."""
    below = _read_below(transaction, plan, plan.nodes[claim.node], claim, level, store)
    texts = (
        str(value) for item, value in below if item != claim.item and isinstance(value, Output) and value.main == "text"
    )
    yield from (text[:OPTION_SHOWN] for text in islice(texts, MOST_OPTIONS))


def read_largest(transaction: Transaction, claim: Claim) -> int:
    """The largest answer of the claim's node in its run, in tokens."""
    (largest,) = transaction.row(_LARGEST, {"execution_id": claim.execution_id, "node": claim.node}) or (0,)
    return int(largest)


def read_surroundings(transaction: Transaction, execution_id: str) -> str | None:
    """What of its kernel a run finds again, signed; None for runs of a fleet, over HTTP, and of earlier releases."""
    (found,) = transaction.row(sql.SURROUNDINGS, {"execution_id": execution_id}) or (None,)
    return None if found is None else str(found)


def read_upstream(transaction: Transaction, plan: Plan, claim: Claim, store: ArtifactStore) -> dict[str, Any]:
    """Per node that the job refers to: its output, the item of its list that the job runs over, or the list that the job
    gathers. A review reads the nodes behind its options too, aligned with the options item by item."""
    node = plan.nodes[claim.node]
    if node.kind.waits:
        return with_items(_read_lineage(transaction, plan, node, claim, store))
    return with_items(
        {name: _read(transaction, plan, plan.nodes[name], node, claim, store) for name in node.reads.nodes}
    )


def with_items(found: dict[str, Any]) -> dict[str, Any]:
    """The outputs with the items of lists in their fields in place of the lists, where a job runs over these."""
    for name in [name for name in found if is_unfolded(name)]:
        item, (root, *path) = found.pop(name), name.split(DOT)
        outer = found.get(root)
        if isinstance(outer, list) and isinstance(item, list):
            found[root] = [_with_item(each, path, one) for each, one in zip(outer, item, strict=True)]
        elif outer is not None:
            found[root] = _with_item(outer, path, item)
    return found


def _with_item(value: Any, path: list[str], item: Any) -> Any:
    if not path or not isinstance(value, dict):
        return item if not path else value
    inner = {**value, path[0]: _with_item(value.get(path[0]), path[1:], item)}
    return Output(inner, main=value.main, texts=value.texts) if isinstance(value, Output) else inner


def _read(
    transaction: Transaction, plan: Plan, source: PlanNode, reader: PlanNode, claim: Claim, store: ArtifactStore
) -> Any:
    shared = shared_axes(source.axes, reader.axes)
    if shared < len(source.axes):
        return [value for _, value in _read_below(transaction, plan, source, claim, shared, store)]
    at = {"execution_id": claim.execution_id, "node": source.id, "item": head(claim.item, shared)}
    state, output = transaction.row(sql.OUTPUT, at) or (JobState.SKIPPED, None)
    place = int(claim.item.split(".")[shared]) if source.expands and source.id in reader.axes else None
    return visible(plan, source, state, output, place, store)


def _read_below(
    transaction: Transaction, plan: Plan, source: PlanNode, claim: Claim, level: int, store: ArtifactStore
) -> Iterator[tuple[str, Any]]:
    """The outputs that a job gathers, in item order, without skipped jobs."""
    at = {"execution_id": claim.execution_id, "node": source.id, "item": head(claim.item, level)}
    found = sorted(transaction.rows(sql.OUTPUTS_BELOW, at), key=lambda row: place_of(row[0]))
    for item, state, output in found:
        if state == JobState.COMPLETED:
            yield item, visible(plan, source, state, output, None, store)


def _read_lineage(
    transaction: Transaction, plan: Plan, review: PlanNode, claim: Claim, store: ArtifactStore
) -> dict[str, Any]:
    source = plan.nodes[review.config["of"]]
    shared = shared_axes(source.axes, review.axes)
    if shared == len(source.axes):
        return {name: _read(transaction, plan, plan.nodes[name], review, claim, store) for name in review.reads.nodes}
    reviewed = dict(_read_below(transaction, plan, source, claim, shared, store))
    lineage: dict[str, Any] = {source.id: list(reviewed.values())}
    for name in review.reads.nodes:
        other = plan.nodes[name]
        depth = len(other.axes)
        if name == source.id:
            continue
        if depth <= shared:
            lineage[name] = [_read(transaction, plan, other, review, claim, store)] * len(reviewed)
        else:
            found = dict(_read_below(transaction, plan, other, claim, shared, store))
            lineage[name] = [found.get(head(item, depth), SKIPPED) for item in reviewed]
        if is_unfolded(name) and name in source.axes:
            places = [int(item.split(".")[source.axes.index(name)]) for item in reviewed]
            lineage[name] = [value[place] for value, place in zip(lineage[name], places, strict=True)]
    return lineage


def visible(
    plan: Plan, source: PlanNode, state: str, output: str | None, place: int | None, store: ArtifactStore
) -> Any:
    """One output as Jinja sees it: SKIPPED where there is none; with `place`, that item of its list."""
    if state != JobState.COMPLETED or output is None:
        return SKIPPED
    value = unspill(output, store)
    kind = node_type(source.type)
    main = kind.main_of(source.config)
    if kind.waits:
        value = _with_outputs(plan, value)
    if kind.expands and isinstance(items := value.get("items"), list):
        items = [_chosen(plan, item, value["of"]) if "of" in value else _as_output(item) for item in items]
        return items if place is None else items[place]
    if main is not None and kind.fields(source.config) is None:
        return _as_output(value[main])
    schema = kind.schema(source.config)
    return Output(value, main=main, texts=() if schema is None else texts_of(schema))


def _chosen(plan: Plan, option: Any, of: str) -> Any:
    """An option that was chosen, for which the output of the node that was reviewed stands."""
    if isinstance(option, dict) and of in option:
        return Output(_with_outputs(plan, option), main=of)
    return _as_output(option)


def _as_output(value: Any, main: str | None = None) -> Any:
    """What a function returned, or a node's output in an option, for which its main field stands, or its text."""
    if not isinstance(value, dict):
        return value
    main = main if main in value else "text" if isinstance(value.get("text"), str) else None
    return value if main is None else Output(value, main=main)


def _with_outputs(plan: Plan, option: dict[str, Any]) -> dict[str, Any]:
    return {name: _as_output(value, _structured_main(plan, name)) for name, value in option.items()}


def _structured_main(plan: Plan, name: str) -> str | None:
    node = plan.nodes.get(name)
    return None if node is None or node.kind.schema(node.config) is None else plan.main_of(name)
