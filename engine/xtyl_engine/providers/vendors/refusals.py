"""What a vendor's refusal means for a job: whether another try makes sense, and what to do. It reads statuses, codes and words as
Anthropic, Google and Mistral write them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from socket import gaierror
from typing import Any

from xtyl_engine.errors import AnswerLost, NodeTimeout, PermanentError, TransientError, WorkflowException
from xtyl_engine.providers.retry_after import retry_after
from xtyl_engine.providers.vendors.calls import Exchange
from xtyl_engine.providers.vendors.table import Vendor

AGAIN = "Try again; if it goes on so, look into the server's log."
MOST_WORDS = 1000
_LATE = 408
_BUSY = frozenset({_LATE, 409, 425, 429})
_KEY = ("api_key_invalid", "api key not valid", "api key expired", "authentication_error", "invalid api key")
_QUOTA = (
    "credit balance is too low",
    "insufficient_quota",
    "billing_error",
    "payment required",
    "insufficient balance",
)
_CONTENT = ("content filtering policy", "content_policy", "content_filter", "blocked by our safety")
_LENGTH = (
    "prompt is too long",
    "exceeds the maximum number of tokens",
    "maximum context length",
    "context_length_exceeded",
)
_LENGTH_TOO = ("too large for model", "request_too_large", "input token count")
_MODEL = ("invalid model", "model not found", "no such model", "invalid_model")


def refusal(vendor: Vendor, place: str, exchange: Exchange, secret: str) -> WorkflowException:
    """The engine's error for an exchange that the server refused."""
    said = read_json(exchange.body)
    words = _words(said, exchange.body).replace(secret, "***")
    told = f"{words} {' '.join(_codes(said))}".lower()
    status = exchange.status or 0
    name, key = vendor.name, vendor.keys[0]
    if status == 402 or any(each in told for each in _QUOTA):
        return PermanentError(
            f"the account's quota at {name} is used up: {words}", hint="Check plan and billing there."
        )
    if status in _BUSY or status >= 500:
        seconds = retry_after(exchange.headers)
        seconds = _retry_delay(said) if seconds is None else seconds
        # What a server took that failed, or that was not in time, is not known.
        is_refused = status < 500 and status != _LATE
        return TransientError(f"{name} answered {status}: {words}", retry_after=seconds, is_refused=is_refused)
    if status == 401 or any(each in told for each in _KEY):
        hint = f"Set {key} in the notebook, or where the workers of a shared back end run; then `run.retry()`."
        return PermanentError(f"{name} does not take the key in {key}: {words}", hint=hint)
    if any(each in told for each in _CONTENT):
        return PermanentError(f"the content policy of {name} refused this prompt: {words}", hint="Change the prompt.")
    if status == 413 or any(each in told for each in (*_LENGTH, *_LENGTH_TOO)):
        hint = "Shorten the prompt, or take a model with a larger context."
        return PermanentError(f"the prompt is longer than the model takes: {words}", hint=hint)
    if status == 404 or any(each in told for each in _MODEL):
        hint = f"Check `model`, and {vendor.address_variable} if it is set: it is {place} here."
        return PermanentError(
            f"{name} answered {status}, it does not know the model or the address: {words}", hint=hint
        )
    if 300 <= status < 400:
        said_to = exchange.headers.get("location", "another address")[:200]
        hint = f"Set {vendor.address_variable} to where the server really is; keys do not follow."
        return PermanentError(f"{place} sends on to {said_to}", hint=hint)
    hint = "Check the project and the rights of this key." if status == 403 else "Check the parameters of this step."
    return PermanentError(f"{name} answered {status}: {words}", hint=hint)


def failure(vendor: Vendor, place: str, error: BaseException, exchange: Exchange, secret: str) -> WorkflowException:
    """An error of a call as one of ours, with the secret removed from its text. `place` is the server without a password."""
    if isinstance(error, WorkflowException):
        return error
    if isinstance(error, TimeoutError):
        return NodeTimeout(f"{place} did not answer in time", hint="Raise `timeout`, or try later.")
    if exchange.status is not None and not 200 <= exchange.status < 300:
        return refusal(vendor, place, exchange, secret)
    cause = _first(error)
    if exchange.status is not None:
        why = f"it broke off, or cannot be read ({type(cause).__name__})"
        return AnswerLost(f"the answer of {vendor.name} cannot be used: {why}", hint=AGAIN)
    if "timeout" in type(cause).__name__.lower():
        return NodeTimeout(f"{place} did not answer in time", hint="Raise `timeout`, or try later.")
    if _is_of_network(error):
        if not any("Connect" in type(each).__name__ or isinstance(each, gaierror) for each in _causes(error)):
            return AnswerLost(f"{place} broke off before its answer was whole: {type(cause).__name__}", hint=AGAIN)
        hint = f"Check the network and {vendor.address_variable}."
        return TransientError(f"{place} cannot be reached: {type(cause).__name__}", hint=hint, is_refused=True)
    text = str(cause).replace(secret, "***")[:MOST_WORDS]
    return PermanentError(f"the {vendor.name} provider failed: {type(cause).__name__}: {text}")


def malformed(vendor: Vendor, why: str, **data: Any) -> TransientError:
    """The error for an answer that is none."""
    hint = f"Check {vendor.address_variable} if this happens again."
    return TransientError(f"the answer of {vendor.name} cannot be used: {why}", hint=hint, **data)


def read_json(body: bytes) -> Any:
    """What a server said, None if it is no JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, outermost first."""
    found: BaseException | None = error
    for _ in range(10):
        if found is None:
            return
        yield found
        found = getattr(found, "original_exception", None) or found.__cause__ or found.__context__


def _first(error: BaseException) -> BaseException:
    return next((each for each in _causes(error) if _is_http(each)), [*_causes(error)][-1])


def _is_http(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2")


def _is_of_network(error: BaseException) -> bool:
    return any(_is_http(each) or isinstance(each, OSError) for each in _causes(error))


def _words(said: Any, body: bytes) -> str:
    error = said.get("error", said) if isinstance(said, dict) else said
    found = error
    if isinstance(error, dict):
        found = error.get("message", error.get("detail", error))
    if isinstance(found, list | dict):
        # Mistral says of each parameter where it stands and what is wrong with it.
        found = json.dumps(found)
    text = found if isinstance(found, str) and found else body.decode(errors="replace")
    return " ".join(text.split())[:MOST_WORDS] or "no reason given"


def _codes(said: Any) -> Iterator[str]:
    error = said.get("error", said) if isinstance(said, dict) else said
    if isinstance(error, dict):
        yield from (str(error[name]) for name in ("type", "code", "status") if name in error)
        yield from (str(each.get("reason", "")) for each in _details(error))


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = error.get("details")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _retry_delay(said: Any) -> float | None:
    """The seconds that Google asks to wait: it says so in the body, as `"retryDelay": "34s"`."""
    error = said.get("error") if isinstance(said, dict) else None
    for each in _details(error) if isinstance(error, dict) else []:
        delay = each.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return retry_after({"retry-after": delay[:-1]})
    return None
