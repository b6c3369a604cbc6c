"""Turns the body of a submission into rows with their labels, a plan that fits them, and signed functions. Every problem is
reported here, before anything is written; nothing is written here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from xtyl_engine.api.request_models import FunctionBody, SubmissionBody
from xtyl_engine.errors import FunctionRejected, LimitExceeded, Problem, WorkflowError
from xtyl_engine.functions.allow_list import how_to_open, is_opened, named, not_opened
from xtyl_engine.functions.packed_function import PYTHON, PackedFunction, sign
from xtyl_engine.limits import MAX_ROWS
from xtyl_engine.scheduler.submit import Row
from xtyl_engine.workflow.document import parse_document
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.validate import find_problems, validate

DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The content of a submission: rows, the plan that runs over them, the functions sent for its nodes, and the facts that
    restore a frame from the rows. A stored plan runs unchanged."""

    rows: Sequence[Row]
    plan: Plan
    functions: Mapping[str, FunctionBody]
    shape: Mapping[str, Any]
    is_kept: bool


def read_submission(
    body: SubmissionBody, *, own: Callable[[Any], Any], kept: Callable[[SubmissionBody], Plan]
) -> Asked:
    """Read a body. `own` takes the receipts of files out of a value, `kept` finds the plan of a template.

    Raises LimitExceeded, WorkflowError, and what these two raise."""
    rows = [Row(label=row.label, values=own(dict(row.values))) for row in _read_rows(body)]
    columns = _shared_columns(rows)
    if body.workflow is not None:
        plan = validate(parse_document(own(body.workflow)), columns=columns)
    else:
        plan = kept(body)
        raise_problems(plan, find_problems(plan.document, columns=columns))
    shape = _shape(body, columns)
    return Asked(rows=rows, plan=plan, functions=body.functions, shape=shape, is_kept=body.workflow is None)


def _read_rows(body: SubmissionBody) -> list[Row]:
    """The given rows; or one for each of a list of inputs; or else one row. Raises LimitExceeded."""
    constants = body.inputs if isinstance(body.inputs, dict) else {}
    if body.rows is not None:
        # A label that was sent as null is a missing one of a frame's index.
        given = [
            (row.label if "label" in row.model_fields_set else place, {**row.values, **constants})
            for place, row in enumerate(body.rows)
        ]
    else:
        given = list(enumerate(body.inputs if isinstance(body.inputs, list) else [constants]))
    if len(given) > MAX_ROWS:
        raise LimitExceeded(f"{len(given):,} rows; at most {MAX_ROWS:,}", hint="Run the table in parts.")
    return [Row(label=label, values=values) for label, values in given]


def _shared_columns(rows: Sequence[Row]) -> list[str] | None:
    """The names that every row has; None where there is no row."""
    if not rows:
        return None
    first, *others = rows
    return [name for name in first.values if all(name in row.values for row in others)]


def _shape(body: SubmissionBody, columns: Sequence[str] | None) -> dict[str, Any]:
    if body.shape is not None:
        return body.shape.model_dump(mode="json")
    constants = list(body.inputs) if isinstance(body.inputs, dict) else []
    return {"columns": [name for name in columns or () if name not in constants], "dtypes": {}, "inputs": constants}


def check_portable(plan: Plan) -> None:
    """Check that a plan can be stored for others: no function in it comes from a notebook. Raises WorkflowError."""
    packed = [name for name, function in plan.functions.items() if _is_packed(function)]
    hint = "Put it in a module that the workers can import, and write its name: package.module:name."
    raise_problems(
        plan, [_problem("function-not-portable", name, "its function comes from a notebook", hint) for name in packed]
    )


def check_functions(plan: Plan, opened: str) -> None:
    """Check that a plan names no function that the operator has not opened. Raises WorkflowError."""
    names = {node: named(function) for node, function in plan.functions.items()}
    refused = {node: name for node, name in names.items() if name is not None and not is_opened(name, opened)}
    raise_problems(
        plan,
        [
            _problem("function-not-open", node, not_opened("this back end", name), how_to_open(name))
            for node, name in refused.items()
        ],
    )


def sign_functions(
    plan: Plan, given: Mapping[str, FunctionBody], *, key: bytes, execution_id: str, is_allowed: bool
) -> dict[str, PackedFunction]:
    """The packed functions of a plan's nodes, signed for this execution. Raises WorkflowError for one that the plan does not
    name or that is missing, FunctionRejected where this back end takes none, and LimitExceeded."""
    raise_problems(plan, list(_mismatches(plan.functions, given)))
    if given and not is_allowed:
        raise FunctionRejected(
            "this back end takes no functions from notebooks",
            hint="Put them in a module that the workers can import, or set XTYL_ACCEPT_FUNCTIONS=1 for API and workers.",
        )
    for each in given.values():
        if each.python != PYTHON:
            raise FunctionRejected(
                f"{each.name}() was packed by Python {each.python}, and this back end runs {PYTHON}",
                hint=f"Submit from Python {PYTHON}, or put the function in a module that the workers can import.",
            )
    packed = {
        name: PackedFunction(digest=plan.functions[name]["digest"], name=each.name, python=each.python, blob=each.blob)
        for name, each in given.items()
    }
    return {name: sign(each, key=key, execution_id=execution_id) for name, each in packed.items()}


def submission_digest(body: Any) -> str:
    """A digest that is equal for bodies that ask for the same."""
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def raise_problems(plan: Plan, problems: Sequence[Problem]) -> None:
    """Raise WorkflowError if there are any."""
    if problems:
        raise WorkflowError(problems, workflow=plan.name)


def _is_packed(function: Any) -> bool:
    return named(function) is None


def _mismatches(functions: Mapping[str, Any], given: Mapping[str, FunctionBody]) -> Any:
    for name, function in functions.items():
        if not _is_packed(function):
            continue
        digest = function.get("digest") if isinstance(function, Mapping) else None
        if name not in given:
            hint = 'Send it in "functions", or write the name of one that the workers can import: package.module:name.'
            yield _problem("bad-parameter", name, "its function is missing", hint)
        elif not (isinstance(digest, str) and DIGEST.fullmatch(digest)):
            hint = 'Write {"digest": ..., "name": ..., "python": ...}: 64 hex digits, equal for equal code.'
            yield _problem("bad-parameter", name, "`digest` is not that of a function", hint)
    for name in given:
        if name not in functions or not _is_packed(functions[name]):
            message = "a function is sent for it, but it names none by digest"
            yield _problem("bad-parameter", name, message, "Send functions only for the call nodes that need them.")


def _problem(code: str, node: str, message: str, hint: str) -> Problem:
    return Problem(code=f"workflow/{code}", node=node[:80], message=message, hint=hint)
