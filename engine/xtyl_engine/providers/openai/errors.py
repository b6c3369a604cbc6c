"""What an error answer of an OpenAI-compatible server means for a job: whether a retry makes sense, and what to do.
Knows the protocol's statuses and codes, not the requests that led to them.
"""

from __future__ import annotations

from collections.abc import Mapping

from xtyl_engine.errors import PermanentError, TransientError, WorkflowException
from xtyl_engine.providers.retry_after import retry_after

_CURES = {
    401: "Set OPENAI_API_KEY in the notebook, or where the workers of a shared back end run; then `run.retry()`.",
    403: "Check the project and the rights of this key: it may not use the model or the service.",
    404: "Check `model` and OPENAI_BASE_URL; the address usually ends in /v1.",
    413: "Shorten the prompt.",
}
_BUSY = frozenset({408, 409, 425, 429})
_EXHAUSTED = ("insufficient_quota", "billing_hard_limit_reached")
_CONTENT = ("content_policy_violation", "content_filter", "moderation_blocked")


def read_status(status: int, words: str, code: str, headers: Mapping[str, str]) -> WorkflowException:
    """The engine's error for an HTTP status, the server's words and code, and its headers, named in lower case."""
    if code in _EXHAUSTED:
        return PermanentError(
            f"the account's quota is used up: {words}", hint="Check plan and billing at the provider."
        )
    if code in _CONTENT:
        return PermanentError(f"the server's content policy refused this prompt: {words}", hint="Change the prompt.")
    if status in _BUSY or status >= 500:
        return TransientError(f"the server answered {status}: {words}", retry_after=retry_after(headers))
    hint = _CURES.get(status, "Check the parameters of this node.")
    return PermanentError(f"the server answered {status}: {words}", hint=hint)
