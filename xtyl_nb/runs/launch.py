"""Launches a Workflow over a table as a Run: reads the inputs, validates against them, submits. Also the dry run, `plan`, and the
way back to a run, `attach`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import RunNotFound
from xtyl_nb.backends.connect import backend
from xtyl_nb.backends.retrying import patiently
from xtyl_nb.runs.listing import listed, not_found
from xtyl_nb.runs.made import Made
from xtyl_nb.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from xtyl_engine.scheduler.submit import Row
    from xtyl_engine.workflow.document import Document, Node
    from xtyl_engine.workflow.plan import Plan
    from xtyl_nb.backends.protocol import Backend

ATTACH_SECONDS = 15.0
# Stack frames between the warning and the user's `flow.run(...)`.
UPWARD = 4


def run_document(document: Document, frame: Any, inputs: Mapping[str, Any]) -> Run:
    """Validate against the data, submit, show. Raises WorkflowError, FrameError or BackendError before anything runs."""
    from xtyl_engine.workflow.checks.pictures import columns_of_images
    from xtyl_engine.workflow.checks.wording import list_names
    from xtyl_nb.frames.inputs import read_inputs
    from xtyl_nb.frames.tables import doubts_of_table, read_table

    table = read_table(frame, inputs)
    plan = _validated(_with_versions(document), table, inputs)
    doubts = [*doubts_of_table(table, frame)]
    if unread := [name for name in inputs if name not in plan.inputs]:
        subject = f"Input {list_names(unread)} is" if len(unread) == 1 else f"Inputs {list_names(unread)} are"
        hint = f"Write {{{{ {unread[0]} }}}} where it is wanted, or leave it out."
        doubts.append(f"{subject} not used by any step. {hint}")
    used = backend(to_run=True)
    rows, shape = read_inputs(table, inputs, used.store, plan.inputs, columns_of_images(plan))
    _tell((*doubts, *_doubts(document, plan, used, table, rows)))
    functions = {node: function for node, function in plan.functions.items() if callable(function)}
    made = Made(used)

    def make() -> Run:
        id = used.submit(plan, rows, shape=shape, functions=functions, named=made.name)
        run = Run(id, used, frame=None if frame is None else table)
        run.show()
        return run

    return made.call(make)


def plan_document(document: Document, frame: Any, inputs: Mapping[str, Any]) -> pd.DataFrame:
    """For each node what it would have to do, and between what amounts that will cost. Runs none of it."""
    from xtyl_engine.workflow.checks.pictures import columns_of_images
    from xtyl_nb.frames.inputs import read_inputs
    from xtyl_nb.frames.plans import Total, plan_frame
    from xtyl_nb.frames.tables import doubts_of_table, read_table

    table = read_table(frame, inputs)
    plan = _validated(_with_versions(document), table, inputs)
    used = backend()
    rows, _ = read_inputs(table, inputs, used.store, plan.inputs, columns_of_images(plan))
    doubts = [*doubts_of_table(table, frame), *_doubts(document, plan, used, table, rows)]
    found = used.forecast(plan, rows)
    if (short := Total.of(found).doubt(document.budget)) is not None:
        doubts.append(short)
    _tell(doubts)
    return plan_frame(plan, found, doubts)


def attach(run_id: str) -> Run:
    """Find a run again, from any kernel, even after the one that started it has ended.

    Args:
        run_id: The run's `id`; `runs()` lists them.

    Returns:
        A Run.

    Raises:
        RunNotFound: This back end has no such run, or it was pruned.
        BackendError: The back end cannot be reached.

    Example:
        >>> xt.attach(run.id)
        Run('launch')
    """
    used = backend()
    try:
        found = patiently(lambda: used.queries.execution(run_id), ATTACH_SECONDS)
    except RunNotFound:
        raise not_found(used, run_id) from None
    if not found.state.is_terminal:
        used.lend(run_id)
    return Run(run_id, used)


def runs(limit: int = 100) -> pd.DataFrame:
    """List the latest runs of this back end, newest first.

    Args:
        limit: The most rows.

    Returns:
        A DataFrame indexed by `run` (the id, for `attach`): `name`, `state`, the numbers of
        `rows` and `jobs`, of jobs `done` and `failed`, what it is `waiting_for` in words (a
        person, a retry, a worker; missing while it runs), `created` and `finished` (UTC).

    Raises:
        BackendError: The back end cannot be reached.

    Example:
        >>> latest = xt.runs(limit=1)
        >>> xt.attach(latest.index[0])
        Run('launch')
    """
    from xtyl_nb.frames.results import runs_frame

    return runs_frame(listed(backend(), limit))


def _with_versions(document: Document) -> Document:
    """The document with the versions that this kernel has of what functions depend on. A name that it lacks is for `validate`."""
    from xtyl_engine.functions.versions import versions

    def found(node: Node) -> Node:
        depends = node.config.get("depends") if node.kind.takes_function else None
        if not isinstance(depends, (list, tuple)):
            return node
        with suppress(ValueError, TypeError):
            return replace(node, config={**node.config, "depends": versions(depends)})
        return node

    return replace(document, nodes=tuple(map(found, document.nodes)))


def _tell(doubts: Sequence[str]) -> None:
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=UPWARD + 1)


def _doubts(document: Document, plan: Plan, used: Backend, table: pd.DataFrame, rows: Sequence[Row]) -> Iterator[str]:
    """What is probably not meant: in the workflow, in what its texts make of the rows, in what its providers lack. Raises
    WorkflowError for files in texts."""
    from xtyl_engine.errors import WorkflowError
    from xtyl_engine.workflow.checks.pictures import find_image_problems
    from xtyl_engine.workflow.checks.rows import find_doubts, find_row_problems, texts_of
    from xtyl_engine.workflow.document import doubts_of

    yield from doubts_of(document)
    texts, values, labels = texts_of(plan), [row.values for row in rows], table.index.tolist()
    if problems := (*find_row_problems(plan, texts, values, labels), *find_image_problems(plan, values, labels)):
        raise WorkflowError(problems, workflow=plan.name, document=plan.document)
    yield from find_doubts(plan, texts, values, labels, [*table.columns, *plan.inputs])
    yield from used.doubts(plan)


def _validated(document: Document, table: pd.DataFrame, inputs: Mapping[str, Any]) -> Plan:
    from xtyl_engine.workflow.validate import validate

    return validate(document, columns=[*table.columns, *inputs])
