"""The rules of retries: which errors are tried again, how often, and after what delay. Their numbers are a step's `retry=`, the
`Retry` of `nodes.base`. A job whose worker dies follows other rules, in `sweeper`.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import replace

from xtyl_engine.errors import AnswerMisfit, ErrorClass, TransientError, WorkflowException, sane_seconds
from xtyl_engine.nodes.base import Misfitting, Retry
from xtyl_engine.scheduler.outcomes import Claim, Failed, Failure, Outcome, Released, Retrying
from xtyl_engine.values.error_text import describe_error
from xtyl_engine.values.plain import mend

log = logging.getLogger("xtyl")
# A provider that says again and again when to come back is asked less and less often: each time after this part of all the time
# that was waited before, at least.
LATER = 0.25
# Of an answer that did not fit, so many characters are kept.
MAX_ANSWER = 100_000


def outcome_of(
    claim: Claim,
    retry: Retry,
    error: BaseException,
    asks_provider: bool,
    *,
    was_told: bool = False,
    hide: Callable[[str], str] = str,
    provider: str = "",
) -> Outcome:
    """What an exception of a handler makes of its claim: another try after a while, or a failed job. A handler that `was_told`
    that its run is stopped did not fail: its job is given back. `hide` takes secrets out of what it says. `provider` is the name
    of the one that was asked."""
    outcome = _judged(claim, retry, error, (provider or "its provider") if asks_provider else None, hide)
    if was_told:
        log.info("given back, its run was stopped: %s", outcome.failure.message)
        return Released(claim=claim, because="stopped", may_have_started=True, failure=outcome.failure)
    if isinstance(outcome, Retrying):
        log.info("retrying in %.1f s: %s", outcome.delay_seconds, outcome.failure.message)
    else:
        log.warning("failed: %s", outcome.failure.message)
    return outcome


def _judged(
    claim: Claim, retry: Retry, error: BaseException, provider: str | None, hide: Callable[[str], str]
) -> Failed | Retrying:
    try:
        return _ended(claim, retry, error, provider, hide)
    except Exception as broken:
        message = mend(f"{type(error).__name__} (its message could not be read: {type(broken).__name__})")
        return Failed(claim=claim, failure=Failure(error_class=ErrorClass.PERMANENT, message=message))


def _ended(
    claim: Claim, retry: Retry, error: BaseException, provider: str | None, hide: Callable[[str], str]
) -> Failed | Retrying:
    described = describe_error(error, hide)
    error_class = _class_of(error)
    is_ours = isinstance(error, WorkflowException)
    has_trace = not isinstance(error, WorkflowException) or bool(error.data.get("traceback"))
    failure = Failure(
        error_class=error_class,
        message=described.message if is_ours else mend(f"{described.type}: {described.message}"),
        traceback=described.traceback if has_trace else None,
        misfit=_misfit(error, hide),
    )
    if isinstance(error, AnswerMisfit) and error.asks_again:
        # At once: the provider is well, and is asked another question.
        return Retrying(claim=claim, failure=failure, delay_seconds=0.0)
    # Others' errors may bear these names too, with any value.
    told = sane_seconds(getattr(error, "retry_after", None)) or 0.0
    # A provider that says when to come back is busy, not broken.
    hold = told if provider is not None else 0.0
    is_refused = bool(hold) or _is_refused(error)
    if error_class is not ErrorClass.TRANSIENT or (claim.tries >= retry.attempts and not hold):
        return Failed(claim=claim, failure=failure, is_refused=is_refused)
    delay = min(retry.base_seconds * 2 ** (claim.tries - 1) * random.uniform(0.5, 1.5), retry.max_seconds)
    if not hold:
        return Retrying(claim=claim, failure=failure, delay_seconds=max(delay, told), is_refused=is_refused)
    delay = max(delay, told, min(claim.waited * LATER, retry.max_seconds))
    if claim.waited + delay > retry.busy_seconds:
        why = _waited(str(provider), claim.waited, told, retry.busy_seconds)
        failure = replace(failure, message=f"{failure.message}\n  {why}")
        return Failed(claim=claim, failure=failure, is_refused=is_refused)
    return Retrying(claim=claim, failure=failure, delay_seconds=delay, hold_seconds=hold, is_refused=is_refused)


def _is_refused(error: BaseException) -> bool:
    """Whether an error says that nothing was answered that may be billed. One of others' code says nothing of what was before."""
    if isinstance(error, TransientError):
        return error.is_refused
    return isinstance(error, WorkflowException) and error.error_class is ErrorClass.PERMANENT and error.usage is None


def _waited(provider: str, waited: float, told: float, most: float) -> str:
    """Why it is no longer waited for a provider that says when to come back."""
    return (
        f"The job waited {waited:.0f} s for {provider}, which asks for {told:g} s more; the bound is {most:.0f} s. `run.retry()` "
        f'takes it up again; retry={{"busy_seconds": ...}} sets the bound, XTYL_RATES how often {provider} is asked.'
    )


def _misfit(error: BaseException, hide: Callable[[str], str]) -> Misfitting | None:
    if not isinstance(error, AnswerMisfit):
        return None
    answer, reason = (mend(hide(text))[:MAX_ANSWER] for text in (error.answer, str(error.data.get("reason", ""))))
    return Misfitting(answer=answer, reason=reason)


def _class_of(error: BaseException) -> ErrorClass:
    try:
        return ErrorClass(getattr(error, "error_class", ErrorClass.PERMANENT))
    except ValueError:
        return ErrorClass.PERMANENT
