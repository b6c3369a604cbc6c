"""What a node type is: its parameters, its output's fields, and one function that does the work.

A handler gets its config with every template rendered, and a Context; it returns Done or Wait. It is a plain function that
runs in a worker's slot. Raise TransientError, PermanentError or PartialFailureError to say what a failure means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import logging

    from xtyl_engine.artifacts import ArtifactStore
    from xtyl_engine.providers.base import Provider


class Retry(BaseModel):
    """How often and how soon to try again after a transient error; seconds, doubled each time, with jitter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=3, ge=1, le=100)
    base_seconds: float = Field(default=1.0, gt=0, le=3600)
    max_seconds: float = Field(default=60.0, gt=0, le=86400)


class NodeConfig(BaseModel):
    """The parameters every node takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    over: str | None = None
    retry: Retry = Retry()
    timeout: float | None = Field(default=None, gt=0)
    cache: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a provider did for one job. `tokens` in and out together; `cost` in US dollars."""

    provider: str
    model: str
    tokens: int | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A finished job. `output` is plain JSON; `items` the length of the list it holds under `items`, if it is one;
    `branch` the way a conditional took."""

    output: Mapping[str, Any]
    items: int | None = None
    branch: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A job that waits for a person. `output` holds what the person is shown."""

    output: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a handler may know and use besides its config.

    `key` is the same for every attempt at one job: hand it to providers as an idempotency key. `place` is the job's
    position in its node's own list (0 unless `n > 1`). `upstream` holds, per node read, the output or the list of
    outputs, as templates see them.
    """

    execution_id: str
    node: str
    item: str
    attempt: int
    key: str
    place: int = 0
    upstream: Mapping[str, Any] = field(default_factory=dict)
    artifacts: ArtifactStore
    provider: Callable[[str], Provider]
    function: Callable[[Mapping[str, Any]], Callable[..., Any]]
    cancelled: Callable[[], bool]
    log: logging.Logger


class Handler(Protocol):
    """The work of a node type."""

    def __call__(self, config: Any, context: Context, /) -> Done | Wait: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeType:
    """One kind of node.

    `fields` gives the output's fields for a config, None where any name may be right (a user's function).
    `main` is the field that stands for the whole output: in text, in a frame. `templates` names the config fields
    that are rendered for each job, nested values included. `bears` says that the output may be a list at run time.
    """

    name: str
    config: type[NodeConfig]
    run: Handler
    fields: Callable[[Mapping[str, Any]], Sequence[str] | None]
    main: str | None
    templates: tuple[str, ...] = ()
    bears: bool = False
    cached: bool = False
    branches: Callable[[Mapping[str, Any]], Sequence[str]] = lambda config: ()
