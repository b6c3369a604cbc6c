"""The text or the image in a reply, in any of the shapes in which servers give them. What is paid for and holds neither is an
error that says what came instead, with its usage; no part of an answer is taken for the whole.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from xtyl_engine.errors import PermanentError, TransientError
from xtyl_engine.limits import MAX_IMAGE_BYTES
from xtyl_engine.providers.openai.replies import Reply
from xtyl_engine.providers.reasons import read_reason, shortened
from xtyl_engine.values.images import ImageRefused, check_image

_URL_ALPHABET = str.maketrans("-_", "+/")
_DATA_LINK = re.compile(r"\s*data:[^,]{0,200},", re.IGNORECASE)
_REASONING = ("reasoning_content", "reasoning", "thinking")


def read_text(reply: Reply) -> tuple[str, str | None]:
    """The text, and why it ends, in the server's word."""
    choice = _first(reply, "choices", "it holds no message")
    message, reason = choice.get("message"), choice.get("finish_reason")
    if not isinstance(message, Mapping):
        raise _malformed("it holds no message", reply)
    said, refusal = _spoken(message.get("content"))
    refusal = _words(message.get("refusal")) or refusal
    if reason == "content_filter" or refusal:
        words = refusal or "its content filter stopped the answer"
        raise PermanentError(
            f"the model refused to write this: {shortened(words)}", hint="Change the prompt.", usage=reply.usage
        )
    if choice.get("error"):
        raise TransientError(f"the server's answer broke off: {read_reason(choice['error']).words}", usage=reply.usage)
    if said.strip():
        return said.strip(), reason if isinstance(reason, str) else None
    raise _silent(message, reason, reply)


def _silent(message: Mapping[str, Any], reason: Any, reply: Reply) -> Exception:
    """The error for a message without a text: what it holds instead, which another try would mostly repeat."""
    if reason == "length":
        return PermanentError(
            "the model used up max_tokens before it wrote anything",
            hint="Raise `max_tokens`; a model that reasons needs room for that too.",
            usage=reply.usage,
        )
    if calls := message.get("tool_calls") or message.get("function_call"):
        call = calls[0] if isinstance(calls, list) else calls
        function = call.get("function", call) if isinstance(call, Mapping) else {}
        name = function.get("name") if isinstance(function, Mapping) else None
        return PermanentError(
            f"the model called a tool, {str(name)[:100]!r}, and wrote no text",
            hint="Say in the prompt that it is to answer with a text, or set up the server to offer the model no tools.",
            usage=reply.usage,
        )
    if any(message.get(name) for name in _REASONING):
        return PermanentError(
            "the model reasoned, and wrote no answer",
            hint="Raise `max_tokens`, or check how the server tells reasoning and answer apart.",
            usage=reply.usage,
        )
    kinds = _kinds(message.get("content"))
    if kinds:
        return PermanentError(
            f"the model answered with {', '.join(kinds)} instead of a text",
            hint="Choose a model that writes texts.",
            usage=reply.usage,
        )
    return _malformed("its message is empty", reply)


def _spoken(content: Any) -> tuple[str, str]:
    """The text of a message, and its refusal; both may come in parts, among others such as reasoning."""
    if isinstance(content, str):
        return content, ""
    parts = [each for each in content if isinstance(each, Mapping | str)] if isinstance(content, list) else []
    texts = [
        each if isinstance(each, str) else _words(each.get("text"))
        for each in parts
        if isinstance(each, str) or each.get("type", "text") in ("text", "output_text")
    ]
    refusals = [_words(each.get("refusal")) for each in parts if isinstance(each, Mapping)]
    return "".join(texts), "".join(refusals)


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _kinds(content: Any) -> list[str]:
    found = content if isinstance(content, list) else []
    return sorted({str(each.get("type"))[:40] for each in found if isinstance(each, Mapping)} - {"text", "output_text"})


def read_image(reply: Reply) -> bytes | str:
    """The bytes of the image, or the link that the server gives instead."""
    image = _first(reply, "data", "it holds no image")
    encoded = image.get("b64_json")
    link = image.get("url")
    if not isinstance(encoded, str) or not encoded:
        if not isinstance(link, str) or not link:
            raise _malformed("its image is empty", reply)
        if not _DATA_LINK.match(link[:300]):
            return link
        encoded = link
    if len(encoded) > MAX_IMAGE_BYTES * 3 // 2:
        raise too_large(reply)
    data = _decoded(encoded)
    if data is None:
        raise _malformed("its image is not whole base64", reply)
    return data


def too_large(reply: Reply) -> PermanentError:
    """The error for an image with more bytes than are kept."""
    return PermanentError(
        f"the image has more than {MAX_IMAGE_BYTES:,} bytes", hint="Ask for a smaller `size`.", usage=reply.usage
    )


def _decoded(encoded: str) -> bytes | None:
    """The bytes of base64 in either alphabet, with or without lines, a prefix or the marks at its end; None where it is cut."""
    found = _DATA_LINK.match(encoded[:300])
    plain = "".join(encoded[found.end() if found else 0 :].split()).translate(_URL_ALPHABET)
    if not plain:
        return None
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        if len(plain) % 4:
            # Some leave out the marks at its end; then only the image itself shows whether it is whole.
            check_image(data)
    except (ValueError, ImageRefused):
        return None
    return data


def _first(reply: Reply, name: str, otherwise: str) -> Mapping[str, Any]:
    document = reply.document
    found = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(found, list) or not found or not isinstance(found[0], Mapping):
        raise _malformed(otherwise, reply)
    first: Mapping[str, Any] = found[0]
    return first


def _malformed(why: str, reply: Reply) -> TransientError:
    text = reply.document if isinstance(reply.document, str) else None
    said = "cannot be used" if text is None else "is malformed"
    quoted = f": {shortened(' '.join(text.split()))[:300]}" if text else ""
    return TransientError(
        f"the server's answer {said}: {why}{quoted}",
        hint="Check OPENAI_BASE_URL if this happens again.",
        usage=reply.usage,
    )
