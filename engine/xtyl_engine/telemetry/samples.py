"""Turns what a worker's parts report into samples: a metric's name, its labels, an amount. It counts nothing itself: `prometheus`
does, in this process or, through `worker.prefork`, in the main process of a pool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard

from xtyl_engine.providers.base import Usage
from xtyl_engine.scheduler.outcomes import Claim, Completed, Failed, Outcome, Retrying
from xtyl_engine.telemetry.log_lines import harmless

Sample = tuple[str, tuple[str, ...], float]
Tell = Callable[[Sequence[Sample]], None]


def discard(*_: object) -> None:
    """Ignore the report; the default while no listener is set."""


@dataclass(eq=False)
class Meter:
    """One per worker process. A call costs next to nothing while no listener is set, and a listener that breaks costs no job."""

    tell: Tell = discard
    started: Callable[[Claim, str], None] = discard
    committed: Callable[[str, int, float], None] = discard

    @harmless("counting")
    def ended(self, outcome: Outcome, type: str, seconds: float) -> None:
        """Report an attempt that has ended."""
        if self.tell is discard:
            return
        self.started(outcome.claim, type)
        self.tell(samples_of(outcome, type, seconds))

    @harmless("counting")
    def recorded(self, execution_id: str, count: int, seconds: float) -> None:
        """Report a commit of `count` outcomes."""
        if self.tell is not discard:
            self.tell([("xtyl_commit_seconds", (), seconds)])
        self.committed(execution_id, count, seconds)

    @harmless("counting")
    def called(self, provider: str, seconds: float, is_answer: bool) -> None:
        """Report a call to a provider, answered or failed."""
        self.tell([("xtyl_provider_seconds", (provider, "answered" if is_answer else "failed"), seconds)])

    @harmless("counting")
    def notified(self, direction: Literal["sent", "received"], count: int = 1) -> None:
        """Report notifications that were sent or received."""
        self.tell([("xtyl_hints", (direction,), count)])

    @harmless("counting")
    def lost(self, type: str, is_poison: bool) -> None:
        """Report a lease that ran out."""
        self.tell([("xtyl_lease_losses", (type, "quarantined" if is_poison else "ready"), 1)])

    @harmless("counting")
    def held_up(self, cause: Literal["disk", "database"], seconds: float) -> None:
        """Report that a result waited to be stored."""
        self.tell([("xtyl_result_wait_seconds", (cause,), seconds)])


def samples_of(outcome: Outcome, type: str, seconds: float) -> list[Sample]:
    """The samples of one outcome. Only jobs that ran and completed, not cached ones, count towards the duration of jobs."""
    found: list[Sample] = [("xtyl_jobs", (type, outcome_name(outcome)), 1)]
    if isinstance(outcome, Failed | Retrying):
        found.append(("xtyl_job_errors", (type, str(outcome.failure.error_class)), 1))
    if isinstance(outcome, Retrying):
        found.append(("xtyl_job_retries", (type,), 1))
    if isinstance(outcome, Completed) and not outcome.cached:
        found.append(("xtyl_job_seconds", (type,), seconds))
    if outcome.usage is not None and outcome.usage.provider and not (isinstance(outcome, Completed) and outcome.cached):
        found += _used(outcome.usage)
    return found


def _used(usage: Usage) -> list[Sample]:
    """What an attempt used, also one that failed after it was billed. A cost is 0 or more, or it is counted as unknown."""
    labels = str(usage.provider), str(usage.model or "")
    kinds = {name: getattr(usage, f"{name}_tokens", None) for name in ("input", "cached", "output", "image")}
    found: list[Sample] = [
        ("xtyl_tokens_by_kind", (*labels, kind), _amount(told)) for kind, told in kinds.items() if told
    ]
    found.append(("xtyl_tokens", labels, _amount(usage.tokens)))
    found.append(("xtyl_cost_dollars", labels, _amount(usage.cost)))
    return found if _is_amount(usage.cost) else [*found, ("xtyl_unpriced", labels, 1)]


def _amount(told: object) -> float:
    """The amount that a provider reports, 0 if it is not one: a third party's provider must not cost a job its result."""
    return told if _is_amount(told) else 0


def _is_amount(told: object) -> TypeGuard[float]:
    return isinstance(told, int | float) and 0 <= told < math.inf


def outcome_name(outcome: Outcome) -> str:
    """The outcome's label: completed, cached, waiting, retrying, failed or released."""
    if isinstance(outcome, Completed) and outcome.cached:
        return "cached"
    return type(outcome).__name__.lower()
