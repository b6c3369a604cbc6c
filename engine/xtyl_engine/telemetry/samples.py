"""What the parts of a worker say of their work, turned into samples: what happened, by which labels, how much. It counts nothing
itself; `metrics` does, in this process or by `relay` in another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from xtyl_engine.scheduler.outcomes import Claim, Completed, Failed, Outcome, Retrying

Sample = tuple[str, tuple[str, ...], float]
Tell = Callable[[Sequence[Sample]], None]


def nobody(*_: object) -> None:
    """Listens to what nobody asked for."""


@dataclass(eq=False)
class Meter:
    """One per worker process. While nobody listens a call costs next to nothing."""

    tell: Tell = nobody
    started: Callable[[Claim, str], None] = nobody
    committed: Callable[[str, int, float], None] = nobody

    def ended(self, outcome: Outcome, type: str, seconds: float) -> None:
        """An attempt is over."""
        if self.tell is nobody:
            return
        self.started(outcome.claim, type)
        self.tell(samples_of(outcome, type, seconds))

    def recorded(self, execution_id: str, count: int, seconds: float) -> None:
        """So many outcomes are committed."""
        if self.tell is not nobody:
            self.tell([("xtyl_commit_seconds", (), seconds)])
        self.committed(execution_id, count, seconds)

    def called(self, provider: str, seconds: float, is_answer: bool) -> None:
        """A provider answered, or failed to."""
        self.tell([("xtyl_provider_seconds", (provider, "answered" if is_answer else "failed"), seconds)])

    def hinted(self, direction: Literal["sent", "received"], count: int = 1) -> None:
        """Hints went out or came in."""
        self.tell([("xtyl_hints", (direction,), count)])

    def lost(self, type: str, is_poison: bool) -> None:
        """A lease ran out."""
        self.tell([("xtyl_lease_losses", (type, "quarantined" if is_poison else "ready"), 1)])

    def held_up(self, cause: Literal["disk", "database"], seconds: float) -> None:
        """A result waits to be kept."""
        self.tell([("xtyl_result_wait_seconds", (cause,), seconds)])


def samples_of(outcome: Outcome, type: str, seconds: float) -> list[Sample]:
    """What there is to count of an outcome. Only a completed job that really ran says how long such jobs run."""
    found: list[Sample] = [("xtyl_jobs", (type, outcome_name(outcome)), 1)]
    if isinstance(outcome, Failed | Retrying):
        found.append(("xtyl_job_errors", (type, str(outcome.failure.error_class)), 1))
    if isinstance(outcome, Retrying):
        found.append(("xtyl_job_retries", (type,), 1))
    if isinstance(outcome, Completed) and not outcome.cached:
        found.append(("xtyl_job_seconds", (type,), seconds))
        if outcome.usage is not None and outcome.usage.provider:
            labels = str(outcome.usage.provider), str(outcome.usage.model or "")
            found.append(("xtyl_tokens", labels, _amount(outcome.usage.tokens)))
            found.append(("xtyl_cost_dollars", labels, _amount(outcome.usage.cost)))
    return found


def _amount(told: object) -> float:
    """What a provider says it took. A provider may be anybody's: what is no amount must not cost a job its result."""
    return told if isinstance(told, int | float) and 0 <= told < math.inf else 0


def outcome_name(outcome: Outcome) -> str:
    """completed, cached, waiting, retrying, failed or released."""
    if isinstance(outcome, Completed) and outcome.cached:
        return "cached"
    return type(outcome).__name__.lower()
