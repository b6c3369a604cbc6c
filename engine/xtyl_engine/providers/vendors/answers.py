"""Reads a vendor's answer: the text or image, why it ends, and what it took. The library says what stands in it; how it ended,
which model wrote it and under which name it was asked are read as the vendor wrote them, because the library keeps none of these.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from xtyl_engine.errors import PermanentError
from xtyl_engine.limits import MAX_IMAGE_BYTES
from xtyl_engine.providers.base import ImageResult, TextResult, Usage
from xtyl_engine.providers.vendors.calls import Exchange
from xtyl_engine.providers.vendors.refusals import malformed, read_json
from xtyl_engine.providers.vendors.table import Vendor

# As Anthropic, Google and Mistral write them. What stands in none of these is no end of a whole answer.
_WHOLE = frozenset({"end_turn", "stop_sequence", "STOP", "stop"})
_CUT = frozenset({"max_tokens", "model_context_window_exceeded", "MAX_TOKENS", "length", "model_length"})
_REFUSALS = {"refusal", "content_filter", "SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "LANGUAGE"}
_REFUSED = _REFUSALS | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
_REQUEST_HEADERS = ("request-id", "x-request-id", "mistral-correlation-id", "x-goog-request-id")
_REQUEST_FIELDS = ("responseId", "id")


def read_text(
    vendor: Vendor, model: str, completion: Any, exchange: Exchange, notes: tuple[str, ...] = ()
) -> TextResult:
    """The text of an answer, and its usage. Raises PermanentError for a refusal, TransientError for half an answer."""
    usage, message, ended = _opened(vendor, model, completion, exchange, notes)
    text = message.content if isinstance(message.content, str) else ""
    if not text.strip():
        if ended in _CUT:
            hint = "Raise `max_tokens`."
            raise PermanentError("the model used up its tokens before it wrote anything", hint=hint, usage=usage)
        raise malformed(vendor, "it holds no text", usage=usage)
    return TextResult(text=text.strip(), usage=usage, finish="length" if ended in _CUT else "stop")


def read_image(vendor: Vendor, model: str, completion: Any, exchange: Exchange, notes: tuple[str, ...]) -> ImageResult:
    """The first image of an answer. Raises as `read_text`; a text in its place is what the model says instead."""
    usage, message, _ = _opened(vendor, model, completion, exchange, notes)
    images = getattr(message, "images", None)
    if not images:
        said = message.content if isinstance(message.content, str) else ""
        if said.strip():
            hint = "Change the prompt, or take a `model` that draws."
            raise PermanentError(f"the model wrote in place of drawing: {said.strip()[:500]}", hint=hint, usage=usage)
        raise malformed(vendor, "it holds no image", usage=usage)
    encoded = str(_get(_get(images[0], "image_url"), "url") or "").partition(";base64,")[2]
    if len(encoded) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        hint = "Ask for a smaller `size`."
        raise PermanentError(f"the image has more than {MAX_IMAGE_BYTES:,} bytes", hint=hint, usage=usage)
    try:
        return ImageResult(data=base64.b64decode(encoded, validate=True), usage=usage)
    except binascii.Error:
        raise malformed(vendor, "its image is not whole base64", usage=usage) from None


def _opened(
    vendor: Vendor, model: str, completion: Any, exchange: Exchange, notes: tuple[str, ...]
) -> tuple[Usage, Any, str]:
    """Usage, message and how the answer ended. Raises PermanentError if it is a refusal."""
    said = read_json(exchange.body)
    if not isinstance(said, dict):
        raise malformed(vendor, "it is no JSON object")
    usage = _usage(vendor, model, completion, exchange, said, notes)
    ended = _ended(said)
    choices = getattr(completion, "choices", None) or [None]
    message = getattr(choices[0], "message", None)
    if ended in _REFUSED:
        words = _refusal_words(said) or str(ended)
        raise PermanentError(f"the model refused this: {words[:500]}", hint="Change the prompt.", usage=usage)
    if message is None:
        raise malformed(vendor, "it holds no message", usage=usage)
    if ended is None:
        raise malformed(vendor, "it does not say why it ends", usage=usage)
    if ended not in _WHOLE | _CUT:
        raise malformed(vendor, f"it ended by {ended[:80]!r}, before it was whole", usage=usage)
    return usage, message, ended


def _ended(said: Mapping[str, Any]) -> str | None:
    """Why an answer ends, in its vendor's word."""
    blocked = _get(said.get("promptFeedback"), "blockReason")
    if isinstance(blocked, str) and blocked:
        return "SAFETY"
    for word in (
        said.get("stop_reason"),
        _get(_one(said.get("candidates")), "finishReason"),
        _get(_one(said.get("choices")), "finish_reason"),
    ):
        if isinstance(word, str) and word:
            return word
    return None


def _refusal_words(said: Mapping[str, Any]) -> str:
    details = _get(said.get("stop_details"), "explanation")
    blocked = _get(said.get("promptFeedback"), "blockReason")
    message = _get(_one(said.get("candidates")), "finishMessage")
    return next((str(each) for each in (details, message, blocked) if each), "")


def _usage(
    vendor: Vendor,
    model: str,
    completion: Any,
    exchange: Exchange,
    said: Mapping[str, Any],
    notes: tuple[str, ...],
) -> Usage:
    named = next((said[name] for name in ("modelVersion", "model") if isinstance(said.get(name), str)), model)
    counts = _counts(completion) if isinstance(said.get("usage", said.get("usageMetadata")), dict) else {}
    return Usage(provider=vendor.name, model=named, request_id=request_id(exchange, said), notes=notes, **counts)


def _counts(completion: Any) -> dict[str, Any]:
    """The tokens of an answer, apart. The library counts cached tokens into the input, and thoughts and images into the output,
    as OpenAI does."""
    usage = getattr(completion, "usage", None)
    output = _count(usage, "completion_tokens")
    image = _count(getattr(usage, "completion_tokens_details", None), "image_tokens")
    return {
        "tokens": _count(usage, "total_tokens"),
        "input_tokens": _count(usage, "prompt_tokens"),
        "cached_tokens": _count(getattr(usage, "prompt_tokens_details", None), "cached_tokens"),
        "output_tokens": output if output is None or image is None else max(output - image, 0),
        "image_tokens": image,
    }


def request_id(exchange: Exchange, said: Any) -> str | None:
    """The vendor's name of a request: in a header, or in what it said."""
    found = [exchange.headers.get(name) for name in _REQUEST_HEADERS]
    found += [said.get(name) for name in _REQUEST_FIELDS] if isinstance(said, dict) else []
    return next((each[:200] for each in found if isinstance(each, str) and each), None)


def _count(holder: Any, name: str) -> int | None:
    value = getattr(holder, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _one(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else None


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
