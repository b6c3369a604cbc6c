"""Turns a run's jobs, events and reviews into frames. Cells hold text, numbers, paths and lists, never bytes or dicts; status is
an ordered Categorical, times are UTC, durations timedelta64, numbers nullable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import pandas as pd

from xtyl_engine.errors import FrameError, closest_name
from xtyl_engine.providers.prices import dollars
from xtyl_engine.states import FATAL, End, JobState
from xtyl_engine.values.artifacts import ArtifactStore, is_artifact, with_references
from xtyl_engine.values.plain import unspill
from xtyl_engine.workflow.plan import ROWS, Plan, place_of, reading_order
from xtyl_engine.workflow.unfolding import is_unfolded
from xtyl_nb.frames.dtypes import columns_again, index_again
from xtyl_nb.frames.result_frame import ResultFrame, with_images

if TYPE_CHECKING:
    from xtyl_engine.queries.executions import Snapshot
    from xtyl_engine.queries.views import Execution, Job, NodeCost, Review
    from xtyl_nb.backends.protocol import Backend

TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "image_tokens")
JOB_STATUS = pd.CategoricalDtype([str(state) for state in JobState], ordered=True)
ROW_STATUS = pd.CategoricalDtype(
    ["pending", "running", "waiting", "completed", "rejected", "stopped", "failed"], ordered=True
)


def result_frame(backend: Backend, id: str, plan: Plan, frame: pd.DataFrame | None) -> pd.DataFrame:
    """The input rows on their index, then one column per node with its main value, then status and error, all of one moment."""
    snapshot, store = backend.queries.snapshot(id, rows=frame is None), backend.store_of(id)
    execution = snapshot.execution
    inputs = _inputs_again(snapshot, store) if frame is None else frame.copy(deep=False)
    by_node: dict[str, dict[int, list[Any]]] = {name: {} for name in plan.nodes}
    states: list[dict[JobState, int]] = [{} for _ in range(execution.rows)]
    rejected: dict[int, str] = {}
    failed: dict[int, str] = {}
    results = sorted(snapshot.results, key=reading_order(plan))
    store.prepare(each.output for each in results if each.state is JobState.COMPLETED and each.output is not None)
    for each in results:
        row = int(each.item.split(".")[0])
        states[row][each.state] = states[row].get(each.state, 0) + 1
        if each.error:
            failed.setdefault(row, f"{each.node}: {each.error}")
        if each.state is JobState.COMPLETED and each.output is not None:
            if each.because == End.REJECTED:
                rejected[row] = f"rejected: {json.loads(each.output).get('rejected') or 'no reason given'}"
            else:
                by_node[each.node].setdefault(row, []).append(_main(store, plan, each.node, each.output))
    columns: dict[str, Any] = {
        name: _nullable([_gathered(plan, name, by_node[name].get(row)) for row in range(execution.rows)])
        for name in plan.nodes
        if not is_unfolded(name)
    }
    errors = failed | rejected
    columns["status"] = pd.Categorical(
        [_row_status(counts, row in rejected) for row, counts in enumerate(states)], dtype=ROW_STATUS
    )
    columns["error"] = pd.array([errors.get(row) for row in range(execution.rows)], dtype="str")
    outcome = pd.DataFrame(columns, index=inputs.index)
    constants = {name: inputs[name] for name in inputs.columns}
    whole = pd.concat([pd.DataFrame(constants, index=inputs.index), outcome], axis=1)
    return with_images(whole, store.folder)


def outputs_frame(backend: Backend, id: str, plan: Plan, node: str) -> pd.DataFrame:
    """One row per job of a node, indexed by row (and item), one column per field. A job that makes a list has one row per item.

    An index with several levels keeps them, under their own names.
    """
    check_node(plan, node)
    records, places, store = [], [], backend.store_of(id)
    jobs = sorted(backend.queries.node_jobs(id, node), key=lambda job: place_of(job.item))
    store.prepare(job.output for job in jobs if job.output is not None)
    for job in jobs:
        if job.state is not JobState.COMPLETED or job.output is None or job.because in FATAL:
            continue
        place = place_of(job.item)
        value = unspill(job.output, store)
        items = value["items"] if isinstance(value.get("items"), list) else None
        for number, each in enumerate([value] if items is None else items):
            records.append(_fields(each if isinstance(each, Mapping) else {"value": each}, store))
            places.append(place if items is None else (*place, number))
    table = with_images(pd.DataFrame(records), store.folder)
    table.index = _output_index(_index(backend, id), places, len(plan.nodes[node].axes))
    return table


def jobs_frame(backend: Backend, id: str, plan: Plan) -> pd.DataFrame:
    """One row per job."""
    labels = _index(backend, id).to_flat_index()
    jobs = backend.queries.jobs(id)
    started, finished = (_times(getattr(job, name) for job in jobs) for name in ("started", "finished"))
    columns = {
        "node": _texts(job.node for job in jobs),
        "row": pd.Series(labels.take([int(job.item.split(".")[0]) for job in jobs])),
        "item": _texts(job.item.partition(".")[2] or None for job in jobs),
        "type": _texts(plan.nodes[job.node].type for job in jobs),
        "status": pd.Categorical([str(job.state) for job in jobs], dtype=JOB_STATUS),
        "attempts": pd.array([job.attempts for job in jobs], dtype="Int64"),
        "started": started,
        "finished": finished,
        "duration": finished - started,
        "cached": pd.array([job.cached for job in jobs], dtype="boolean"),
        "provider": _texts(job.provider for job in jobs),
        "model": _texts(job.model for job in jobs),
        "tokens": pd.array([job.tokens for job in jobs], dtype="Int64"),
        **{name: pd.array([getattr(job, name) for job in jobs], dtype="Int64") for name in TOKENS},
        "cost": pd.array([job.cost for job in jobs], dtype="Float64"),
        "price": _texts(job.price for job in jobs),
        "unpriced": pd.array([job.unpriced for job in jobs], dtype="Int64"),
        "error_class": _texts(_open_error(job, job.error_class) for job in jobs),
        "error": _texts(_open_error(job, job.error) for job in jobs),
        "warning": _texts(job.warning for job in jobs),
    }
    return ResultFrame(columns)


TOTAL = "total"


def cost_frame(backend: Backend, id: str, plan: Plan) -> pd.DataFrame:
    """One row per node that asks a provider, and a total."""
    found = [each for each in backend.queries.costs(id) if plan.nodes[each.node].kind.asks_provider or _has_used(each)]
    names = ("jobs", "cached", *TOKENS, "spent", "saved", "unpriced")
    rows = [{name: getattr(each, name) for name in names} for each in found]
    told = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    # Of tokens, a sum of nothing is not known; of all else it is nothing.
    rows.append({name: None if name in TOKENS and not told[name] else sum(told[name]) for name in names})
    columns: dict[str, Any] = {name: pd.array([row[name] for row in rows], dtype="Int64") for name in names[:-3]}
    # Where nothing is known of what was paid, its sum is not nothing.
    costs = [None if row["unpriced"] and not row["spent"] else dollars(row["spent"]) for row in rows]
    columns["cost"] = pd.array(costs, dtype="Float64")
    columns["saved"] = pd.array([dollars(row["saved"]) for row in rows], dtype="Float64")
    columns["unpriced"] = pd.array([row["unpriced"] for row in rows], dtype="Int64")
    table = pd.DataFrame(columns)
    table.index = pd.Index([*(each.node for each in found), TOTAL], name="node", dtype="str")
    return ResultFrame(table)


def _has_used(cost: NodeCost) -> bool:
    return bool(cost.unpriced or cost.spent or cost.saved) or any(getattr(cost, name) is not None for name in TOKENS)


def events_frame(backend: Backend, id: str) -> pd.DataFrame:
    """One row per event, in order."""
    labels = list(_index(backend, id))
    events = backend.queries.events(id)
    rows = [None if event.item is None else labels[int(event.item.split(".")[0])] for event in events]
    return ResultFrame(
        {
            "sequence": pd.array([event.sequence for event in events], dtype="Int64"),
            "time": _times(event.time for event in events),
            "kind": _texts(str(event.kind) for event in events),
            "node": _texts(event.node for event in events),
            "row": pd.Series(rows, dtype="object").convert_dtypes(),
            "item": _texts(event.item.partition(".")[2] or None if event.item else None for event in events),
        }
    )


def reviews_frame(backend: Backend, id: str, reviews: Iterable[Review]) -> pd.DataFrame:
    """One row per option of every open review."""
    labels, store = _index(backend, id).to_flat_index(), backend.store_of(id)
    options = [(review, option) for review in reviews for option in review.options]
    index = pd.MultiIndex.from_arrays(
        [
            _texts(review.node for review, _ in options),
            labels.take([review.row for review, _ in options]),
            [option.index for _, option in options],
        ],
        names=["node", "row", "option"],
    )
    table = pd.DataFrame(
        {
            "text": _texts(option.text for _, option in options),
            "image": _texts(option.image and store.original(option.image) for _, option in options),
            "choose": pd.array([review.choose for review, _ in options], dtype="Int64"),
        }
    )
    table.index = index
    return with_images(table, store.folder)


class ListedRun(Protocol):
    """A run of a list: its execution, and where it stands."""

    @property
    def execution(self) -> Execution: ...

    @property
    def done(self) -> int: ...

    @property
    def waiting_for(self) -> str | None: ...


def runs_frame(listed: Iterable[ListedRun]) -> pd.DataFrame:
    """Past executions, newest first."""
    standings = list(listed)
    found = [each.execution for each in standings]
    created, finished = (_times(getattr(each, name) for each in found) for name in ("created", "finished"))
    columns = {
        "name": _texts(each.name for each in found),
        "state": _texts(str(each.state) for each in found),
        "rows": pd.array([each.rows for each in found], dtype="Int64"),
        "jobs": pd.array([each.total for each in found], dtype="Int64"),
        "done": pd.array([each.done for each in standings], dtype="Int64"),
        "failed": pd.array([each.failed for each in found], dtype="Int64"),
        "cost": pd.array([_known_cost(each) for each in found], dtype="Float64"),
        "unpriced": pd.array([each.unpriced for each in found], dtype="Int64"),
        "waiting_for": _texts(each.waiting_for for each in standings),
        "created": created,
        "finished": finished,
    }
    table = pd.DataFrame(columns)
    table.index = pd.Index([each.id for each in found], name="run", dtype="str")
    return ResultFrame(table)


def _known_cost(execution: Execution) -> float | None:
    return None if execution.unpriced and not execution.spent else dollars(execution.spent)


def _inputs_again(snapshot: Snapshot, store: ArtifactStore) -> pd.DataFrame:
    """The user's frame, restored from the database: same columns, same index, same dtypes where they can be restored. A file is
    the path that it has now."""
    rows, shape = snapshot.rows, snapshot.execution.shape
    store.prepare(json.dumps(values) for _, values in rows)
    cells = [with_references(values, lambda each: str(store.path(each))) for _, values in rows]
    table = pd.DataFrame(columns_again(cells, shape), index=range(len(rows)))
    table.index = index_again([label for label, _ in rows], shape)
    return table


def _index(backend: Backend, id: str) -> pd.Index[Any]:
    """The user's own index."""
    return index_again([label for label, _ in backend.queries.rows(id)], backend.queries.execution(id).shape)


def _output_index(index: pd.Index[Any], places: list[tuple[int, ...]], depth: int) -> pd.Index[Any]:
    rows = index.take([row for row, *_ in places])
    levels: list[Any] = [rows.get_level_values(level) for level in range(rows.nlevels)]
    names = ["row"] if rows.nlevels == 1 else [name or f"row_{level}" for level, name in enumerate(rows.names)]
    for level in range(1, max(map(len, places), default=depth)):
        levels.append(pd.array([place[level] if level < len(place) else None for place in places], dtype="Int64"))
        names.append("item" if level == 1 else f"item_{level}")
    return pd.MultiIndex.from_arrays(levels, names=names) if len(levels) > 1 else levels[0].rename(names[0])


def _main(store: ArtifactStore, plan: Plan, node: str, output: str) -> Any:
    return _cell(plan.main_value(node, unspill(output, store)), store)


def _gathered(plan: Plan, node: str, found: list[Any] | None) -> Any:
    """A node's cell in one row: the value, or the list of its items' values."""
    if plan.nodes[node].axes == (ROWS,):
        return found[0] if found else None
    return found or []


def _cell(value: Any, store: ArtifactStore) -> Any:
    if is_artifact(value):
        return str(store.path(value))
    if isinstance(value, Mapping):
        return json.dumps(with_references(value, lambda each: str(store.path(each))), ensure_ascii=False)
    return [_cell(each, store) for each in value] if isinstance(value, list) else value


def _fields(value: Mapping[str, Any], store: ArtifactStore) -> dict[str, Any]:
    """The fields of an output; those of a nested output under `node.field`."""
    fields: dict[str, Any] = {}
    for name, part in value.items():
        if isinstance(part, Mapping) and not is_artifact(part):
            fields |= {f"{name}.{key}": _cell(each, store) for key, each in part.items()}
        else:
            fields[name] = _cell(part, store)
    return fields


def _row_status(counts: Mapping[JobState, int], is_rejected: bool) -> str:
    if counts.get(JobState.FAILED) or counts.get(JobState.QUARANTINED):
        return "failed"
    for state in (JobState.STOPPED, JobState.RUNNING, JobState.WAITING):
        if counts.get(state):
            return str(state)
    if counts.get(JobState.READY) or counts.get(JobState.BLOCKED):
        return "running" if counts.get(JobState.COMPLETED) else "pending"
    return "rejected" if is_rejected else "completed"


def _open_error(job: Job, words: str | None) -> str | None:
    """A job's error; None for one that a later attempt made good, which the attempts still list."""
    return None if job.state is JobState.COMPLETED else words


def check_node(plan: Plan, node: str) -> None:
    """Raise FrameError for a node that the plan does not have."""
    if node not in plan.nodes:
        raise FrameError(f"there is no node {node!r} in this run", hint=closest_name(node, plan.nodes))


def _nullable(cells: list[Any]) -> Any:
    """A column whose whole numbers stay whole beside missing values; other values stay as they are."""
    kinds = {type(cell) for cell in cells if cell is not None}
    dtype = {frozenset([bool]): "boolean", frozenset([int]): "Int64", frozenset([float]): "Float64"}.get(
        frozenset(kinds)
    )
    return cells if dtype is None else pd.Series(cells, dtype=cast(Any, dtype)).array


def _times(seconds: Iterable[float | None]) -> pd.Series[Any]:
    return pd.Series(pd.to_datetime(pd.Series(list(seconds), dtype="float64"), unit="s", utc=True)).dt.round("ms")


def _texts(values: Iterable[str | None]) -> pd.Series[Any]:
    return pd.Series(list(values), dtype="str")
