"""What goes between executing and recording: a Claim goes out to a slot, an outcome comes back."""

from __future__ import annotations

from dataclasses import dataclass

from xtyl_engine.errors import ErrorClass
from xtyl_engine.providers.base import Usage

LICENCE_SECONDS = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attempt at one job, ours until its lease runs out. `number` counts attempts, `tries` those that spend the
    retry budget; `asked` is when this process asked for it, by its own monotonic clock: what it may start by this claim, it must
    start soon after; `permitted` is when its permits
    were taken, by the database's clock; `late_output` is a result that came after a stop and was kept."""

    job_id: int
    execution_id: str
    node: str
    item: str
    number: int
    tries: int
    epoch: int
    template_id: str
    owner: str
    asked: float = 0.0
    permitted: float = 0.0
    late_output: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed, as text that is safe to store."""

    error_class: ErrorClass
    message: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The job has its result. `output` is JSON text."""

    claim: Claim
    output: str
    items: int | None = None
    branch: str | None = None
    usage: Usage | None = None
    cache_key: str | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The job waits for a person; `output` is what the person is shown."""

    claim: Claim
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """The job is to be tried again after a delay. `hold_seconds` is how long its provider wants to be left alone by
    everybody; being told so is no failure, and spends nothing of the retry budget."""

    claim: Claim
    failure: Failure
    delay_seconds: float
    hold_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The job is over without a result. A partial failure pauses the execution and leaves the job ready instead."""

    claim: Claim
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The job is given back, its effect not started or not to be waited for (`may_have_started`); it spends nothing of the retry
    budget."""

    claim: Claim
    because: str
    delay_seconds: float = 0.0
    may_have_started: bool = False


Outcome = Completed | Waiting | Retrying | Failed | Released
