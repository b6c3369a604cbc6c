"""What an error answer of an OpenAI-compatible server means for a job: whether a retry makes sense, and what to do.
Knows the protocol's statuses and codes, not the requests that led to them.
"""

from __future__ import annotations

from collections.abc import Mapping

from xtyl_engine.errors import PermanentError, TransientError, WorkflowException
from xtyl_engine.providers.base import Usage
from xtyl_engine.providers.reasons import Reason
from xtyl_engine.providers.retry_after import retry_after

_CURES = {
    401: "Set OPENAI_API_KEY in the notebook, or where the workers of a shared back end run; then `run.retry()`.",
    402: "Check plan and billing at the provider.",
    403: "Check the project and the rights of this key: it may not use the model or the service.",
    404: "Check `model` and OPENAI_BASE_URL; the address usually ends in /v1.",
    413: "Shorten the prompt.",
}
_BUSY = frozenset({408, 409, 425, 429})
_ABSENT = frozenset({404, 405, 501})
_EXHAUSTED = ("insufficient_quota", "billing_hard_limit_reached")
_CONTENT = ("content_policy_violation", "content_filter", "moderation_blocked")


def read_status(
    status: int, reason: Reason, headers: Mapping[str, str], usage: Usage | None = None
) -> WorkflowException:
    """The engine's error for a refusal: its HTTP status, its reason, and its headers, named in lower case."""
    # An answer may be in order for HTTP, and hold the refusal of a service behind the server.
    status = status if status >= 300 else reason.status or status
    said = f"the server answered {status}: {reason.words}"
    if reason.code in _EXHAUSTED:
        return PermanentError(
            f"the account's quota is used up: {reason.words}",
            hint="Check plan and billing at the provider.",
            usage=usage,
        )
    if reason.code in _CONTENT:
        return PermanentError(
            f"the server's content policy refused this prompt: {reason.words}", hint="Change the prompt.", usage=usage
        )
    if status in _BUSY or status >= 500 or status < 300:
        told = retry_after(headers)
        return TransientError(said, retry_after=reason.retry_after if told is None else told, usage=usage)
    where = f" It sends on to {headers['location'][:200]}." if "location" in headers and status < 400 else ""
    cure = "Write the address that it sends on to into OPENAI_BASE_URL." if where else "Check this step's parameters."
    return PermanentError(f"{said}{where}", hint=_CURES.get(status, cure), usage=usage)


def read_no_images(
    status: int, reason: Reason, place: str, usage: Usage | None = None, does: str = "makes"
) -> WorkflowException | None:
    """The error for a server that has no way to ask for an image, or to have one changed; None where the refusal is another."""
    names_model = "model" in f"{reason.words} {reason.code}".lower()
    if (reason.status or status) not in _ABSENT or names_model:
        return None
    return PermanentError(
        f"{place} {does} no images: it answered {status} to a request for one: {reason.words}",
        hint=f"Take a server or a provider that {does} images. "
        "If this one should, check OPENAI_BASE_URL; it usually ends in /v1.",
        usage=usage,
    )
