"""The values that reads return: executions, jobs, overviews, reviews, job details. They are plain and frozen; the widget, the
terminal and the API draw from them. Nothing here reads SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from xtyl_engine import DEFAULT_PROJECT
from xtyl_engine.events import Event
from xtyl_engine.states import ExecutionState, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One thing a person may choose: its position, its text, the path of its image, and of an answer with fields its texts by
    field."""

    index: int
    text: str | None = None
    image: str | None = None
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review that waits for a decision. `row` is the row's position in the frame, `label` its name in the frame's index or its
    first text."""

    node: str
    item: str
    row: int
    label: str
    choose: int
    edit: bool = False
    instructions: str | None = None
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOverview:
    """One node's jobs in numbers. Times are seconds since the epoch; `images` are paths, newest first; `branches` is how
    often a conditional took each branch. `busy_seconds` are those in which at least one job ran, before `busy_since`, the
    time since when at least one runs; None where none does, or no worker lives. They go on until `busy_until` only: by then a
    living worker has beaten again. `printed` is the last line that a running job printed, at `printed_at`; `progress_done` of
    `progress_of` are the sums over the running jobs that say how far they are. `spent` is what is known of the cost of its
    jobs and `saved` what those `from_cache` had cost, in whole 1e-9 dollars; `unpriced` attempts cost an unknown amount; None
    where an earlier release began to count. `cut` is how many texts a limit on tokens cut: of the latest ones, and of all
    once the node is over. Clients of the release before read `worked`, which sums the seconds that jobs ran or waited for a
    person up to a moment, `at_work`, how many do so now, and `starts`, which has that moment once for each."""

    counts: Mapping[JobState, int] = field(default_factory=dict)
    started: float | None = None
    finished: float | None = None
    worked: float = 0.0
    at_work: int = 0
    starts: float = 0.0
    busy_seconds: float | None = None
    busy_since: float | None = None
    busy_until: float | None = None
    printed: str | None = None
    printed_at: float | None = None
    progress_done: float | None = None
    progress_of: float | None = None
    spent: int | None = None
    unpriced: int | None = None
    from_cache: int | None = None
    saved: int | None = None
    text: str | None = None
    images: tuple[str, ...] = ()
    error: str | None = None
    branches: Mapping[str, int] = field(default_factory=dict)
    cut: int = 0

    @property
    def said(self) -> str | None:
        """The latest text, after the number of texts that were cut."""
        return " · ".join(part for part in (self.cut_words, self.text) if part) or None

    @property
    def cut_words(self) -> str:
        """How many texts were cut, in words; empty if none was."""
        return f"{self.cut:,} cut at max_tokens" if self.cut else ""

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """How many jobs have ended, without those that a stop ended."""
        return sum(count for state, count in self.counts.items() if state.is_terminal and state is not JobState.STOPPED)

    @property
    def is_exact(self) -> bool:
        """Whether the time at work is known, and not only the sum over all jobs."""
        return self.busy_seconds is not None

    @property
    def work(self) -> tuple[float, int, float]:
        """Seconds at work, in the form of `worked`, `at_work` and `starts`: they are `worked + at_work * now - starts`."""
        if self.busy_seconds is None:
            return self.worked, self.at_work, self.starts
        return self.busy_seconds, int(self.busy_since is not None), self.busy_since or 0.0

    def seconds_at_work(self, now: float) -> float | None:
        """How long at least one job of the node ran: waits between jobs, for a person or in a pause do not count. None before the
        first start. Where only the sum over all jobs is known, it is at most that, and at most the time from the first start to
        the last end."""
        if self.started is None:
            return None
        worked, at_work, starts = self.work
        together = worked + at_work * (now if self.busy_until is None else min(now, self.busy_until)) - starts
        span = together if self.is_exact else (now if self.finished is None else self.finished) - self.started
        return max(0.0, min(span, together))

    @property
    def is_over(self) -> bool:
        """Whether every job of the node has ended."""
        return all(state.is_terminal for state, count in self.counts.items() if count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One execution in numbers, as of event number `sequence`, and of `now` by the database's clock. `nodes` has one entry per
    node of the plan. What is `charged` of its `budget` is in whole 1e-9 dollars; None without one."""

    id: str
    name: str
    state: ExecutionState
    sequence: int
    total: int
    done: int
    failed: int
    rows: int
    started: float | None
    finished: float | None
    now: float | None = None
    waiting_for: str | None = None
    error: str | None = None
    budget: int | None = None
    charged: int | None = None
    nodes: Mapping[str, NodeOverview] = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()

    def paid(self, name: str) -> int | None:
        """The sum of `spent`, `unpriced`, `from_cache` or `saved` over its nodes; None where that of a node is not known."""
        amounts = [getattr(node, name) for node in self.nodes.values()]
        return None if None in amounts else sum(amounts)

    @property
    def progress(self) -> float:
        """Percent of jobs that are done, 0-100."""
        return 100.0 * self.done / self.total if self.total else 100.0 * self.state.is_terminal


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a job: why, when, and how it ended; what it printed, and how far it said it was, `done` of `of`. Times are
    seconds since the epoch. What its request used and cost is None where that was not told; `notes` are facts about the request,
    `cost_kind` is `known`, `assumed`, `unknown`, or `none` for a result from the cache, and `price` the source of the price and
    the day as of which it is. `answer` is what its provider wrote where that did not fit."""

    number: int
    because: str
    started: float
    finished: float | None
    outcome: str | None
    error: str | None
    printed: str | None = None
    done: float | None = None
    of: float | None = None
    answer: str | None = None
    request_id: str | None = None
    notes: tuple[str, ...] = ()
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    image_tokens: int | None = None
    cost: float | None = None
    cost_kind: str | None = None
    price: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLog:
    """What one attempt at a job printed, and how far it said it was, `done` of `of`. `label` is the row's; `outcome` is None
    while it runs."""

    job_id: int
    node: str
    item: str
    label: str
    number: int
    outcome: str | None
    text: str
    done: float | None = None
    of: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision at a review: `approve` or `reject`, by whom, when (seconds since the epoch), the options taken, and each
    edited text as node, former text, new text."""

    action: str
    by: str
    time: float
    comment: str | None = None
    choice: tuple[int, ...] = ()
    edits: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """One job in detail. `asked` is its config with all its Jinja rendered, `images` are paths; `cost` is in US dollars,
    times are seconds since the epoch. `warning` says what is wrong with a result all the same."""

    node: str
    item: str
    label: str
    state: JobState
    attempts_made: int
    because: str
    started: float | None = None
    finished: float | None = None
    cached: bool = False
    provider: str | None = None
    model: str | None = None
    tokens: int | None = None
    cost: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    image_tokens: int | None = None
    price: str | None = None
    unpriced: int = 0
    saved: float | None = None
    error: str | None = None
    error_class: str | None = None
    traceback: str | None = None
    text: str | None = None
    images: tuple[str, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    decision: Decision | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some of a node's jobs, from the `start`-th on, of `total`."""

    total: int
    start: int
    jobs: tuple[JobDetail, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution's own row. Times are seconds since the epoch, UTC, money is whole 1e-9 dollars. `spent` is what is known of
    its cost, and `unpriced` how many attempts cost an unknown amount besides; None where an earlier release began to count. Of a
    `budget` all is `charged` that ended attempts took, what is only assumed too; None without a budget."""

    id: str
    name: str
    template_id: str
    state: ExecutionState
    epoch: int
    shape: Mapping[str, Any]
    rows: int
    total: int
    done: int
    failed: int
    sequence: int
    error: str | None
    created: float
    started: float | None
    finished: float | None
    project: str = DEFAULT_PROJECT
    budget: int | None = None
    charged: int | None = None
    spent: int | None = None
    unpriced: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job. `output` is JSON text, None unless outputs were asked for. `tokens` are those of its result; the other counts and
    `cost`, in US dollars, are sums over its attempts, without the `unpriced` ones that cost an unknown amount. `saved` is what a
    result from the cache had cost, `warning` says what is wrong with a result all the same."""

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
    output: str | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    image_tokens: int | None = None
    price: str | None = None
    unpriced: int = 0
    saved: float | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCost:
    """What a node's jobs used and cost so far, all their attempts together; money is in whole 1e-9 dollars. `cached` of its
    `jobs` took their results from the cache, which had cost `saved`. `spent` is the sum of what is known: `unpriced` attempts
    cost an unknown amount besides. Counts of tokens are None where none was told."""

    node: str
    jobs: int
    cached: int
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    image_tokens: int | None
    spent: int
    saved: int
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The last event number and the state of an execution, and new events. `events` may go beyond `sequence`: they are read after
    it."""

    sequence: int
    state: ExecutionState
    events: tuple[Event, ...] = ()


def shared(source: Any, kind: type) -> dict[str, Any]:
    """The fields of a value that values of another kind have too."""
    names = {each.name for each in fields(kind)}
    return {each.name: getattr(source, each.name) for each in fields(source) if each.name in names}
