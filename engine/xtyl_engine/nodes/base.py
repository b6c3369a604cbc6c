"""What a node type is: its parameters, its output's fields, and one function that does the work.

A handler takes its config, every Jinja text in it rendered, and a Context; it returns Done or Wait. It is a plain function
that runs in a worker's slot. It raises TransientError, PermanentError or PartialFailureError to say what a failure means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, wraps
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from xtyl_engine.providers.base import Provider
from xtyl_engine.providers.base import Usage as Usage

if TYPE_CHECKING:
    import logging

    from xtyl_engine.values.artifacts import ArtifactStore

T = TypeVar("T")
DECISION_FIELDS = ("choice", "by", "comment", "original")
"""The fields of a person's decision, besides the outputs of nodes."""


class Retry(BaseModel):
    """How often and how soon to retry after a transient error: in seconds, doubled each time, with jitter. `busy_seconds` bounds
    how long in all a job waits for a provider that says when to come back, which spends no attempt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=3, ge=1, le=100)
    base_seconds: float = Field(default=1.0, gt=0, le=3600)
    max_seconds: float = Field(default=60.0, gt=0, le=86400)
    busy_seconds: float = Field(default=600.0, ge=0, le=604800)


class NodeConfig(BaseModel):
    """The parameters that every node takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    over: str | None = None
    retry: Retry = Retry()
    timeout: float | None = Field(default=None, gt=0)
    cache: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfitting:
    """An answer of a provider that did not fit what its step `returns`, and what about it does not."""

    answer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A finished job. `output` is plain JSON; `items` is the length of the list under the output's `items`, if it has one;
    `branch` is the branch that is taken, for a type with exclusive branches."""

    output: Mapping[str, Any]
    items: int | None = None
    branch: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A job that waits for a person. `output` is shown to that person."""

    output: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a handler may know and use besides its config.

    `key` is the same for every attempt at one job: pass it to providers as an idempotency key. `place` is the job's
    position in its node's own list (0 unless `n > 1`). `upstream` holds, per node read, the output or the list of
    outputs, as Jinja sees them. `call` has a function called with keyword arguments, in a process of its own; `function` gives
    the function itself, to be called in the worker. `misfits` are the answers of earlier attempts that did not fit, in order.
    """

    execution_id: str
    node: str
    item: str
    attempt: int
    key: str
    place: int = 0
    upstream: Mapping[str, Any] = field(default_factory=dict)
    misfits: Sequence[Misfitting] = ()
    artifacts: ArtifactStore
    provider: Callable[[str], Provider]
    function: Callable[[Mapping[str, Any]], Callable[..., Any]]
    call: Callable[[Any, Mapping[str, Any]], Done]
    cancelled: Callable[[], bool]
    log: logging.Logger


class Handler(Protocol):
    """The work of a node type."""

    def __call__(self, config: Any, context: Context, /) -> Done | Wait: ...


def _formerly(**names: str) -> Callable[[type[T]], type[T]]:
    """Accept a class's former field names too, as `former="present"`: other packages still use them."""

    def decorate(cls: type[T]) -> type[T]:
        init: Callable[..., None] = cls.__init__

        @wraps(init)
        def renamed(self: T, **facts: Any) -> None:
            # `dataclasses.replace` hands over the present name too: what was written by the former one is what is meant.
            meant = {names[name]: facts.pop(name) for name in names if name in facts}
            init(self, **facts | meant)

        cls.__init__ = renamed  # type: ignore[assignment]
        for former, present in names.items():
            setattr(cls, former, property(attrgetter(present)))
        return cls

    return decorate


@_formerly(templates="rendered", bears="expands")
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeType:
    """One kind of node: its parameters, its work, and every fact about it that other modules ask for. Only the file that
    defines a type knows its name."""

    name: str
    config: type[NodeConfig]
    run: Handler
    fields: Callable[[Mapping[str, Any]], Sequence[str] | None] = lambda config: None
    """The output's fields for a config; None where they are not known, as with a user's function."""
    main: str | Callable[[Mapping[str, Any]], str | None] | None = None
    """The field that stands for the whole output: in text, in a frame; or what tells it for a config."""
    schema: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] = lambda config: None
    """The JSON Schema that an answer in the output fits, a plain one as `schemas.reading` gives it; None for free text."""
    stored: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda config: config
    """A written config as it is stored: without what this process alone knows, such as a class."""
    doubts: Callable[[Mapping[str, Any]], Iterable[str]] = lambda config: ()
    """What of a written config is probably not meant, as sentences."""
    rendered: tuple[str, ...] = ()
    """The parameters that are rendered as Jinja for each job, nested values included."""
    pictures: tuple[str, ...] = ()
    """Those of the rendered parameters that take images, by the values of expressions."""
    expressions: tuple[str, ...] = ()
    """Those of the rendered parameters that must be one expression where they are text: other text is never false."""
    expands: bool = False
    """The output may be a list at run time."""
    most: Callable[[Any], Usage | None] = lambda config: None
    """The most that a job will likely use of its provider, for a config: tokens in and out, `model` if the config names one.
    `output_tokens` is None where the config sets no limit. None where nothing is known of it: then no run with a budget may have
    such a node."""
    cached: bool = False
    """The result of an equal job is reused, unless `cache=` says otherwise."""
    computed: bool = False
    """The output follows from the config and from what the node reads, and nothing else is done: `flow.plan` has the node do its
    work, to know what comes of it."""
    branches: Callable[[Mapping[str, Any]], Sequence[str]] = lambda config: ()
    """The names of the branches that a config opens."""
    exclusive_branches: bool = False
    """Only one branch runs, `Done.branch`; the others are skipped."""
    branch_example: str = ""
    """How a step is put into a branch, for the hint where no step is in one; empty for a type without branches."""
    waits: bool = False
    """A person decides: `of` names the node whose items are the options, each with the upstream outputs that belong to it;
    `choose` is how many to choose. The handler may return Wait."""
    takes_function: bool = False
    """`function` is a Python function, which travels beside the plan; `arguments` are its keyword arguments."""
    runs_apart: bool = False
    """Its work is done by `context.call`, in a process of its own, which ends when `timeout=` is over."""
    makes_images: bool = False
    """The output may hold images made by this node, which the run's picture shows."""
    delivers: bool = False
    """The output is a deliverable, which `run.save` writes."""
    card_height: float = 96.0
    """The height of its card in the graph, in pixels."""

    def main_of(self, config: Mapping[str, Any]) -> str | None:
        """The field that stands for the output of a node with this config."""
        return self.main(config) if callable(self.main) else self.main

    @property
    def texts(self) -> tuple[str, ...]:
        """Those of the rendered parameters that are text, whatever is rendered into them."""
        return _texts(self.config, self.rendered)

    @property
    def asks_provider(self) -> bool:
        """Whether the node calls a provider: the one that its parameter `provider` names, or the default."""
        return "provider" in self.config.model_fields


@cache
def _texts(config: type[NodeConfig], rendered: tuple[str, ...]) -> tuple[str, ...]:
    fields = config.model_fields
    return tuple(each for each in rendered if each in fields and fields[each].annotation in (str, str | None))
