"""What the API answers where it is not one value of the engine's: pages, and values with something added. Only declared here, for
OpenAPI; what is sent is written by `wire`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from xtyl_engine.catalogue import Template
from xtyl_engine.events import Event
from xtyl_engine.forecast import NodeForecast
from xtyl_engine.overview import Review
from xtyl_engine.query import Execution
from xtyl_engine.states import JobState


class Status(BaseModel):
    """Whether the API is well; `missing` names what does not answer."""

    status: str


class StoredJob(BaseModel):
    """One job. `output` is its value as stored, null unless asked for."""

    id: int
    node: str
    item: str
    state: JobState
    attempts: int
    because: str
    started: float | None
    finished: float | None
    cached: bool
    provider: str | None
    model: str | None
    tokens: int | None
    cost: float | None
    error_class: str | None
    error: str | None
    traceback: str | None
    output: JsonValue = None


class RowAnswer(BaseModel):
    """One input row."""

    label: JsonValue
    values: dict[str, JsonValue]


class Paged(BaseModel):
    """`next` goes into `after=` for the next page; null is the end."""

    next: str | None = None


class Executions(Paged):
    executions: list[Execution]


class Jobs(Paged):
    jobs: list[StoredJob]


class Rows(Paged):
    rows: list[RowAnswer]


class Events(Paged):
    events: list[Event]


class Templates(Paged):
    templates: list[Template]


class Reviews(BaseModel):
    reviews: list[Review]
    next: str | None


class Forecasts(BaseModel):
    nodes: list[NodeForecast]


class TemplateWithWorkflow(BaseModel):
    """One version of a template, and what it holds."""

    project: str
    name: str
    version: int
    id: str
    created: float
    workflow: dict[str, Any]


class StoredFile(BaseModel):
    """A reference to a stored file, to be put into rows or documents as it is."""

    model_config = ConfigDict(extra="allow")

    artifact: str = Field(alias="$artifact")
    media_type: str
    size: int
    receipt: str
