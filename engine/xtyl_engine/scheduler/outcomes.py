"""The values between executing and recording: a Claim goes out to a slot, an Outcome comes back, each with what its attempt
printed, None where that is nothing. They are plain; nothing here reads or writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from xtyl_engine.errors import ErrorClass
from xtyl_engine.nodes.base import Misfitting
from xtyl_engine.providers.base import Usage
from xtyl_engine.values.prints import Printed

LICENCE_SECONDS = 0.15
# A job that waits for money, or for a variable of its kernel, is due no earlier.
PARKED_UNTIL = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attempt at one job, this process's until its lease runs out. `number` counts attempts, `tries` those that spend the
    retry budget. `asked` is when the process asked for the claim, in seconds since its machine's boot; the effect must start soon
    after. `permitted` is when its permits were taken, by the database's clock. `waited` are the seconds that its provider had it
    wait before. `late_output` is a late result that was kept. With `has_budget` the most that it may cost is held before it
    starts."""

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
    waited: float = 0.0
    late_output: str | None = None
    has_budget: bool = False

    @property
    def attempt(self) -> tuple[int, int]:
        """Which attempt this is, of all at all jobs: a slot may still be at an old one while another has the job's next."""
        return self.job_id, self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed, as text that is safe to store; with the answer that did not fit, if that is why."""

    error_class: ErrorClass
    message: str
    traceback: str | None = None
    misfit: Misfitting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The job has its result. `output` is JSON text. `saved` is what a result from the cache had cost, in whole 1e-9 dollars;
    None where that is not known."""

    claim: Claim
    output: str
    items: int | None = None
    branch: str | None = None
    usage: Usage | None = None
    cache_key: str | None = None
    cached: bool = False
    saved: int | None = None
    printed: Printed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The job waits for a person; `output` is shown to that person."""

    claim: Claim
    output: str
    usage: Usage | None = None
    printed: Printed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """The job is tried again after a delay. `hold_seconds` is how long its provider asks for no calls at all; an attempt that
    ends with such an answer spends nothing of the retry budget, and neither does one whose answer did not fit. `is_refused` says
    what it says of a failed one."""

    claim: Claim
    failure: Failure
    delay_seconds: float
    hold_seconds: float = 0.0
    is_refused: bool = False
    usage: Usage | None = None
    printed: Printed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The job ends without a result. A partial failure instead pauses the execution and leaves the job ready. What
    `is_refused` cost nothing: it did not get as far as an answer."""

    claim: Claim
    failure: Failure
    is_refused: bool = False
    usage: Usage | None = None
    printed: Printed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The job is given back: its effect did not start, or, with `may_have_started`, is not waited for. It spends nothing of the
    retry budget. `failure` is the error that a handler ended with because its run was stopped. A job that `is_parked` waits until
    it is freed: for money, if it says how much it `needs`."""

    claim: Claim
    because: str
    delay_seconds: float = 0.0
    may_have_started: bool = False
    is_parked: bool = False
    needs: int | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    printed: Printed | None = None


Outcome = Completed | Waiting | Retrying | Failed | Released
