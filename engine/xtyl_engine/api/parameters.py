"""The parameters that routes share, with their limits, and the declarations of answers and bodies. It reads no request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Path, Query

from xtyl_engine.api.problems import declared
from xtyl_engine.api.request_models import PROJECT, Body
from xtyl_engine.states import ExecutionState, JobState

ALWAYS = (401, 403, 404, 421, 422, 503)
VISIBLE = r"^[^\x00-\x1f\x7f]*$"
Id = Annotated[str, Path(min_length=1, max_length=100, description="An execution's id.")]
Node = Annotated[str, Path(min_length=1, max_length=64, description="A node's id.")]
Item = Annotated[
    str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=100, description="Where a job stands: `3` or `3.0`.")
]
Name = Annotated[str, Path(min_length=1, max_length=200, description="A template's name.")]
Version = Annotated[int | None, Query(ge=1, le=2**31 - 2, description="The newest if omitted.")]
Project = Annotated[
    str | None, Query(pattern=PROJECT, max_length=64, description="The token's own, or `default`, if omitted.")
]
After = Annotated[
    str | None, Query(min_length=1, max_length=600, description="`next` of the previous page.", pattern=VISIBLE)
]
Limit = Annotated[int, Query(ge=1, le=1_000, description="The most to return.")]
OfExecutionState = Annotated[ExecutionState | None, Query(description="Only executions in this state.")]
OfState = Annotated[JobState | None, Query(description="Only jobs in this state.")]
OfName = Annotated[str | None, Query(max_length=200, pattern=VISIBLE, description="Only executions of this name.")]
OfNode = Annotated[str | None, Query(max_length=64, pattern=VISIBLE, description="Only jobs of this node.")]
OfItem = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]+(\.[0-9]+)*$",
        max_length=100,
        description="Only jobs at this item, or under it: `3` has `3.0`.",
    ),
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]*$",
        description="Of the submissions with one key in a project, only the first counts: send it again after a lost answer.",
    ),
]


def answers(model: Any, *problems: int, status: int = 200, also: int | None = None) -> dict[int | str, dict[str, Any]]:
    """The declared answers of a route: its value, its own problems, and those that any route may have."""
    good: dict[int | str, dict[str, Any]] = {
        code: {"model": model, "description": "Done."} for code in (status, also) if code is not None
    }
    return {**good, **declared(*sorted({*ALWAYS, *problems}))}


def takes(body: type[Body], *, is_required: bool = True) -> dict[str, Any]:
    """The declaration of a JSON body that a route reads by itself."""
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    examples = {name: {"value": value} for name, value in body.examples.items()}
    content = {"application/json": {"schema": schema, "examples": examples}}
    return {"requestBody": {"required": is_required, "content": content}}
