"""The texts of generating nodes: Jinja when a workflow is built, any rendered value in a job. Rendering itself is for
`workflow.templating`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from xtyl_engine.limits import MAX_ITEMS, MAX_PROMPT_BYTES
from xtyl_engine.values.plain import encode

BYTES_A_TOKEN, AROUND_TOKENS = 3, 50


def as_text(value: Any) -> str:
    """A rendered value as text: a list line by line, a node's output as its text."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "\n".join(as_text(part) for part in value)
    if isinstance(value, Mapping):
        return value["text"] if isinstance(value.get("text"), str) else encode(value)
    raise ValueError("there is no text here; the Jinja text gave nothing" if value is None else "this is not text")


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is empty")
    if len(text) * 4 > MAX_PROMPT_BYTES and len(text.encode("utf-8", "replace")) > MAX_PROMPT_BYTES:
        raise ValueError(f"the text has more than {MAX_PROMPT_BYTES:,} bytes")
    return text


Prompt = Annotated[str, BeforeValidator(as_text), AfterValidator(_filled)]


def variant(item: str) -> int:
    """A number that differs between the items of one row, and is the same in every row. With one axis it is the place."""
    number = 0
    for place in item.split(".")[1:]:
        number = number * MAX_ITEMS + int(place)
    return number


def most_tokens(*texts: str) -> int:
    """The tokens that texts take at most, what stands around them in a request included: a token is seldom under three bytes."""
    return AROUND_TOKENS + sum(len(text.encode("utf-8", "replace")) for text in texts) // BYTES_A_TOKEN
