"""The answers of the API that are more than one value of the engine: pages, and values with something added. They are only
declared here, for OpenAPI; `wire` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from xtyl_engine.events import Event
from xtyl_engine.queries.executions import JobGroup
from xtyl_engine.queries.forecast import NodeForecast
from xtyl_engine.queries.views import AttemptLog, Execution, Job, NodeCost, Review
from xtyl_engine.scheduler.templates import Template


class Status(BaseModel):
    """Whether the API is ready; `missing` names the parts that do not answer."""

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob(Job):
    """One job. `output` is its stored value, null unless requested."""

    output: JsonValue = None  # type: ignore[assignment]


class RowAnswer(BaseModel):
    """One input row."""

    label: JsonValue
    values: dict[str, JsonValue]


class Paged(BaseModel):
    """One page. Send `next` as `after=` for the next page; it is null on the last."""

    next: str | None = None


class Executions(Paged):
    executions: list[Execution]


class Jobs(Paged):
    jobs: list[StoredJob]


class States(Paged):
    states: list[JobGroup]


class Rows(Paged):
    rows: list[RowAnswer]


class AttemptLogs(Paged):
    logs: list[AttemptLog]


class Costs(BaseModel):
    costs: list[NodeCost]


class Events(Paged):
    events: list[Event]


class Templates(Paged):
    templates: list[Template]


class Reviews(BaseModel):
    reviews: list[Review]
    next: str | None


class Forecasts(BaseModel):
    nodes: list[NodeForecast]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateWithWorkflow(Template):
    """One version of a template, with its workflow's document."""

    workflow: dict[str, Any]


class StoredFile(BaseModel):
    """A reference to a stored file; put it into rows or documents unchanged."""

    model_config = ConfigDict(extra="allow")

    artifact: str = Field(alias="$artifact")
    media_type: str
    size: int
    receipt: str
