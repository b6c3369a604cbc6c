"""What an error of the OpenAI SDK means for a job: whether another try makes sense, and what to do about it. Knows the
protocol's statuses and codes, not the requests that led to them.
"""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime
from typing import Any

from xtyl_engine.errors import NodeTimeout, PermanentError, TransientError, WorkflowException

_CURES = {
    401: "check OPENAI_API_KEY where the worker runs",
    403: "this key may not use the model or the service: check its project and rights",
    404: "check model= and OPENAI_BASE_URL; the address usually ends in /v1",
    413: "shorten the prompt",
}
_BUSY = frozenset({408, 409, 425, 429})
_EXHAUSTED = ("insufficient_quota", "billing_hard_limit_reached")
_CONTENT = ("content_policy_violation", "content_filter", "moderation_blocked")
_MAX_RETRY_AFTER = 3600.0


def translate(error: Exception, *, secret: str, address: str) -> WorkflowException:
    """The error in the engine's own classes, the secret removed from its words."""
    if isinstance(error, WorkflowException):
        return error
    import openai

    if isinstance(error, openai.APITimeoutError):
        return NodeTimeout(f"{address} did not answer in time", hint="raise timeout=, or try later")
    if isinstance(error, openai.APIConnectionError):
        cause = type(error.__cause__ or error).__name__
        return TransientError(f"{address} cannot be reached: {cause}", hint="check the network and OPENAI_BASE_URL")
    if isinstance(error, openai.APIStatusError):
        return _for_status(error.status_code, _words(error, secret), str(error.code or ""), error.response.headers)
    if isinstance(error, ValueError | openai.APIError):
        return TransientError(
            f"the answer of {address} is malformed: {type(error).__name__}", hint="check OPENAI_BASE_URL if it stays so"
        )
    return PermanentError(
        f"the openai provider failed: {type(error).__name__}: {str(error).replace(secret, '***')[:300]}"
    )


def retry_after(headers: Any) -> float | None:
    """Seconds to wait as the server said, in seconds or as a date; None if it did not, or not sensibly."""
    said = headers.get("retry-after")
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER) if math.isfinite(seconds) else None


def _for_status(status: int, words: str, code: str, headers: Any) -> WorkflowException:
    if code in _EXHAUSTED:
        return PermanentError(f"the account's quota is used up: {words}", hint="check plan and billing at the provider")
    if code in _CONTENT:
        return PermanentError(f"the server's content policy refused this prompt: {words}", hint="change the prompt")
    if status in _BUSY or status >= 500:
        return TransientError(f"the server answered {status}: {words}", retry_after=retry_after(headers))
    hint = _CURES.get(status, "check the parameters of this node")
    return PermanentError(f"the server answered {status}: {words}", hint=hint)


def _words(error: Any, secret: str) -> str:
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    text = said if isinstance(said, str) else error.response.reason_phrase or "no reason given"
    return " ".join(text.replace(secret, "***").split())[:300]
