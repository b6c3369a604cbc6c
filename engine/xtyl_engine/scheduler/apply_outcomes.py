"""Applies outcomes within one transaction: each kind by its own guarded transition, and returns those that took effect. It reads
no clock and commits nothing; `commit` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.errors import ErrorClass
from xtyl_engine.events import EventKind
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.cascade import settle
from xtyl_engine.scheduler.keep_misfits import keep_misfits
from xtyl_engine.scheduler.keep_prints import keep_prints
from xtyl_engine.scheduler.keep_usage import keep_usage
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import (
    PARKED_UNTIL,
    Claim,
    Completed,
    Failed,
    Failure,
    Outcome,
    Released,
    Retrying,
    Waiting,
)
from xtyl_engine.scheduler.rules import EndedJob
from xtyl_engine.scheduler.spending import settle_charges
from xtyl_engine.states import End, JobState

MOST_GIVEN_BACK = 10
GIVEN_BACK = "its worker was told to end while it ran"
TOO_OFTEN = f"its worker was told to end each of {MOST_GIVEN_BACK} times while it ran"
SHORTEN = "Make it shorter than XTYL_SHUTDOWN_SECONDS, or find what in it ends the worker; then `run.retry()`."


class Raced(Exception):
    """An outcome in a batch lost a race, so each outcome must be applied alone."""


def accept(locked: LockedExecution, outcomes: Sequence[Outcome], alone: bool) -> list[Outcome]:
    """Apply outcomes; returns those that took effect, if only on their attempts. A lost race raises Raced in a batch; `alone` it
    is recorded as late or duplicate."""
    completed = [outcome for outcome in outcomes if isinstance(outcome, Completed)]
    if not alone and len({each.claim.node for each in completed if each.items is not None}) > 1:
        # Jobs of one new list may wait for jobs of another: each expansion must find the other list open, or already written.
        raise Raced
    won = _complete(locked, completed, alone) if completed else []
    others = [outcome for outcome in outcomes if not isinstance(outcome, Completed)]
    over: list[Outcome] = []
    for outcome in others:
        judged = _within_budget(locked, outcome)
        if _write(locked, judged):
            won.append(judged)
        else:
            over.append(outcome)
    ended = [job for outcome in won if (job := _ended_job(outcome))]
    if ended:
        settle(locked, ended)
    keep_prints(locked, outcomes)
    keep_misfits(locked, outcomes)
    if not keep_usage(locked, outcomes) and not alone:
        raise Raced
    return won + [outcome for outcome in over if _close(locked, outcome)]


def _within_budget(locked: LockedExecution, outcome: Outcome) -> Outcome:
    """An outcome as it is, or the failure of a job that was given back too often: each start may be paid for, and it may be what
    tells its worker to end."""
    if not _is_given_back(outcome):
        return outcome
    (before,) = locked.transaction.row(sql.ENDED_WITH, {"job_id": outcome.claim.job_id, "error": GIVEN_BACK}) or (0,)
    if before + 1 < MOST_GIVEN_BACK:
        return outcome
    failure = Failure(error_class=ErrorClass.PERMANENT, message=f"{TOO_OFTEN}\n  {SHORTEN}")
    return Failed(claim=outcome.claim, failure=failure, usage=outcome.usage, printed=outcome.printed)


def _is_given_back(outcome: Outcome) -> bool:
    """Whether its worker ended while the job ran. Others give back a job that did not start, or that was stopped."""
    return isinstance(outcome, Released) and outcome.because == "released" and outcome.may_have_started


def _write(locked: LockedExecution, outcome: Outcome) -> bool:
    """Apply any outcome but a success; returns whether it took effect."""
    match outcome:
        case Failed() if outcome.failure.error_class is ErrorClass.PARTIAL:
            return _pause(locked, outcome)
        case Failed():
            return _fail(locked, outcome)
        case Retrying():
            return _retry(locked, outcome)
        case Waiting():
            return _wait(locked, outcome)
        case Released():
            return _release(locked, outcome)
        case Completed():
            return False


def _close(locked: LockedExecution, outcome: Outcome) -> bool:
    """Record what became of an attempt whose job is over: it was stopped, or another attempt completed it. The job stays as it
    is, and a stopped one starts again when the run is resumed. Returns whether the attempt was still open."""
    settle_charges(locked, [outcome])
    if not locked.transaction.run(sql.CLOSE_ATTEMPT, _ended_row(locked, outcome)):
        return False
    failure = _failure_of(outcome)
    said = {} if failure is None else {"error": failure.message[:500]}
    locked.note(EventKind.JOB_RELEASED, outcome.claim.node, outcome.claim.item, because="over", **said)
    return True


def _ending(outcome: Outcome) -> str:
    """How an attempt ended, in one word."""
    match outcome:
        case Failed() if outcome.failure.error_class is ErrorClass.PARTIAL:
            return "partial"
        case Failed():
            return "failed"
        case Retrying():
            return "retrying"
        case Waiting():
            return "waiting"
        case Released():
            return "released"
        case Completed():
            return "completed"


def _ended_job(outcome: Outcome) -> EndedJob | None:
    claim = outcome.claim
    match outcome:
        case Completed():
            return EndedJob(claim.node, claim.item, End.LIVE, outcome.branch, outcome.items)
        case Failed() if outcome.failure.error_class is not ErrorClass.PARTIAL:
            return EndedJob(claim.node, claim.item, End.FAILURE)
        case _:
            return None


def _complete(locked: LockedExecution, outcomes: list[Completed], alone: bool) -> list[Outcome]:
    """Success is guarded by the job's state alone, not by owner or epoch: the first commit wins."""
    rows = [_completed_row(locked, outcome) for outcome in outcomes]
    # In a batch all run: one that is ready again, because its worker was thought lost, is completed alone.
    for source in (JobState.RUNNING, JobState.READY) if alone else (JobState.RUNNING,):
        if locked.transaction.many(transitions.COMPLETE[source], rows) == len(outcomes):
            break
    else:
        if not alone:
            raise Raced
        _keep_late(locked, outcomes[0])
        return []
    _end_attempts(locked, outcomes)
    for outcome in outcomes:
        locked.changes.complete(outcome.claim.node, source, outcome.claim.job_id, outcome.branch)
        cached = {"cached": True} if outcome.cached else {}
        locked.note(EventKind.JOB_COMPLETED, outcome.claim.node, outcome.claim.item, **cached)
    return list(outcomes)


def _keep_late(locked: LockedExecution, outcome: Completed) -> None:
    """Record a result that came after the job's end: the job was stopped, failed, or completed by another worker, or by this same
    commit when its answer was lost. It is kept unless another result was recorded first, and triggers nothing."""
    attempt = {"job_id": outcome.claim.job_id, "number": outcome.claim.number}
    found = locked.transaction.row(sql.ATTEMPT_OUTCOME, attempt)
    if found is not None and found[0] == "completed":
        return
    kept = locked.transaction.run(transitions.KEEP_LATE, _completed_row(locked, outcome))
    _end_attempts(locked, [outcome], "late" if kept else "duplicate")
    locked.note(EventKind.JOB_LATE, outcome.claim.node, outcome.claim.item, kept=bool(kept))


def _fail(locked: LockedExecution, outcome: Failed) -> bool:
    claim = outcome.claim
    if not locked.transaction.run(transitions.FAIL, mine(locked, claim, outcome.failure)):
        return False
    locked.changes.fail(claim.node, JobState.FAILED, claim.job_id)
    _end_attempts(locked, [outcome])
    locked.failed += 1
    locked.note(EventKind.JOB_FAILED, claim.node, claim.item, error=outcome.failure.message[:500])
    return True


def _pause(locked: LockedExecution, outcome: Failed) -> bool:
    """A partial failure needs a person: the job is ready again, and the execution is paused."""
    given = {"due": 0.0, "reason": "resumed", "tries": outcome.claim.tries, "waited": outcome.claim.waited}
    parameters = mine(locked, outcome.claim, outcome.failure) | given
    if not locked.transaction.run(transitions.RETRY, parameters):
        return False
    locked.changes.move(outcome.claim.node, JobState.RUNNING, JobState.READY)
    _end_attempts(locked, [outcome])
    node, item, error = outcome.claim.node, outcome.claim.item, outcome.failure.message
    locked.make("start")
    if locked.make("pause"):
        locked.error = error
        locked.note(EventKind.PAUSED, node, item, error=error[:500])
    else:
        # It is paused already, and this job waits for the resume as well.
        locked.note(EventKind.JOB_RELEASED, node, item, because="resumed", error=error[:500])
    return True


def _retry(locked: LockedExecution, outcome: Retrying) -> bool:
    claim = outcome.claim
    due = locked.now + outcome.delay_seconds
    tries = claim.tries - bool(outcome.hold_seconds or outcome.failure.misfit)
    waited = claim.waited + (outcome.delay_seconds if outcome.hold_seconds else 0.0)
    parameters = mine(locked, claim, outcome.failure) | {
        "due": due,
        "reason": "retry",
        "tries": tries,
        "waited": waited,
    }
    if not locked.transaction.run(transitions.RETRY, parameters):
        return False
    locked.changes.move(claim.node, JobState.RUNNING, JobState.READY)
    _end_attempts(locked, [outcome])
    error = outcome.failure.message[:500]
    locked.note(EventKind.JOB_RETRYING, claim.node, claim.item, error=error, seconds=round(outcome.delay_seconds, 3))
    return True


def _release(locked: LockedExecution, outcome: Released) -> bool:
    claim = outcome.claim
    due = PARKED_UNTIL if outcome.is_parked else locked.now + outcome.delay_seconds
    parameters = mine(locked, claim) | {"due": due, "reason": outcome.because, "needs": outcome.needs}
    if not locked.transaction.run(transitions.RELEASE, parameters):
        return False
    locked.changes.move(claim.node, JobState.RUNNING, JobState.READY)
    locked.budget.is_short |= outcome.needs is not None
    settle_charges(locked, [outcome])
    said = {"error": GIVEN_BACK} if _is_given_back(outcome) else {}
    locked.transaction.run(sql.END_ATTEMPT, _ended_row(locked, outcome) | said)
    locked.note(EventKind.JOB_RELEASED, claim.node, claim.item, because=outcome.because)
    return True


def _wait(locked: LockedExecution, outcome: Waiting) -> bool:
    parameters = mine(locked, outcome.claim) | {"output": outcome.output}
    if not locked.transaction.run(transitions.WAIT, parameters):
        return False
    locked.changes.move(outcome.claim.node, JobState.RUNNING, JobState.WAITING)
    _end_attempts(locked, [outcome])
    locked.note(EventKind.JOB_WAITING, outcome.claim.node, outcome.claim.item)
    return True


def mine(locked: LockedExecution, claim: Claim, failure: Failure | None = None) -> dict[str, Any]:
    """Parameters that guard by owner and attempt: the error of a worker that lost its lease must not fail the new attempt."""
    return {
        "job_id": claim.job_id,
        "number": claim.number,
        "owner": claim.owner,
        "now": locked.now,
        "error_class": None if failure is None else str(failure.error_class),
        "error": None if failure is None else failure.message,
        "traceback": None if failure is None else failure.traceback,
    }


def _end_attempts(locked: LockedExecution, outcomes: Sequence[Outcome], word: str | None = None) -> None:
    settle_charges(locked, outcomes)
    locked.transaction.many(sql.END_ATTEMPT, [_ended_row(locked, outcome, word) for outcome in outcomes])


def _ended_row(locked: LockedExecution, outcome: Outcome, word: str | None = None) -> dict[str, Any]:
    """An attempt's end, with the error that it ended with, if any."""
    return mine(locked, outcome.claim, _failure_of(outcome)) | {"outcome": word or _ending(outcome)}


def _failure_of(outcome: Outcome) -> Failure | None:
    return outcome.failure if isinstance(outcome, Failed | Retrying | Released) else None


def _completed_row(locked: LockedExecution, outcome: Completed) -> dict[str, Any]:
    usage = outcome.usage
    return {
        "job_id": outcome.claim.job_id,
        "output": outcome.output,
        "branch": outcome.branch,
        "cache_key": outcome.cache_key,
        "cached": int(outcome.cached),
        "provider": usage.provider if usage else None,
        "model": usage.model if usage else None,
        "tokens": usage.tokens if usage else None,
        "cost": usage.cost if usage else None,
        "now": locked.now,
    }
