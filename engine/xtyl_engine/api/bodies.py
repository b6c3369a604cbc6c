"""Bodies of requests: read with a limit and a deadline, and parsed strictly. Values that JSON allows and a database does not,
such as NUL, half a surrogate pair or a number beyond 64 bits, are refused here and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from xtyl_engine.api.problems import RequestRefused, invalid
from xtyl_engine.limits import MAX_VALUE_DEPTH

T = TypeVar("T", bound=BaseModel)
LARGE = 64 * 1024 * 1024
MIDDLE = 4 * 1024 * 1024
SMALL = 1024 * 1024
DEADLINE_SECONDS = 60.0
SILENT_SECONDS = 15.0
LEAST_BYTES_PER_SECOND = 100_000
# Parsed values are larger than their text, and copied while they are checked. As measured, a comma (one value) costs up to 100
# bytes and a bracket (one object or list) up to 600: 400 MB at most, and 100,000 rows of eight columns fit.
MAX_COMMAS = 1_000_000
MAX_BRACKETS = 500_000
# The levels of a document around the values in it.
MAX_DEPTH = MAX_VALUE_DEPTH + 16


async def read_body(
    request: Request,
    limit: int = SMALL,
    seconds: float = DEADLINE_SECONDS,
    rate: float = LEAST_BYTES_PER_SECOND,
    silence: float = SILENT_SECONDS,
) -> bytes:
    """The whole body. Raises RequestRefused once it is longer than `limit` bytes, arrives slower than `rate` bytes a second for
    longer than `seconds`, or stops for longer than `silence` seconds."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        _too_large(limit)
    parts, size = [], 0
    try:
        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.timeout(min(seconds, silence)) as patience:
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    _too_large(limit)
                parts.append(part)
                # Each byte received extends the deadline: a large body on a slow line is no attack.
                patience.reschedule(min(began + seconds + size / rate, clock() + silence))
    except TimeoutError:
        raise RequestRefused(
            f"only {size:,} bytes of the body arrived in {clock() - began:,.0f} s",
            status=408,
            code="api/slow-body",
            hint=f"Send it again, at {rate / 1000:,.0f} kB a second or faster.",
        ) from None
    return b"".join(parts)


def parse(data: bytes) -> Any:
    """Parse JSON from outside into plain values. Raises RequestRefused."""
    if data.count(b",") > MAX_COMMAS or data.count(b"{") + data.count(b"[") > MAX_BRACKETS:
        _refuse(
            f"the body has too many parts: more than {MAX_COMMAS:,} commas, or {MAX_BRACKETS:,} objects and lists",
            "Send a table in parts, or without the columns that are not read; send files to /api/artifacts.",
        )
    try:
        # The hooks are Python functions, so other threads get their turn while a large body is parsed.
        value = json.loads(
            data.decode(), parse_int=_whole, parse_float=_number, parse_constant=_constant, object_hook=_same
        )
    except UnicodeDecodeError:
        _refuse("the body is not UTF-8", "Send JSON in UTF-8.")
    except RecursionError:
        _too_deep()
    except json.JSONDecodeError as error:
        _refuse(
            f"the body is not JSON: line {error.lineno}, column {error.colno} cannot be read",
            "Send one JSON value in UTF-8: names and texts in double quotes, no comma before a closing bracket.",
        )
    _check(value)
    return value


def parse_as(model: type[T], value: Any) -> T:
    """A parsed body as a request model. Raises RequestRefused."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_input=False, include_context=False)) from None


def _check(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            _too_deep()
        below: list[Any] = []
        for each in level:
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, list):
                below += each
            elif isinstance(each, dict):
                for key in each:
                    _check_text(key)
                below += each.values()
        level = below


def _check_text(text: str) -> None:
    if "\0" in text:
        _refuse("a text holds a NUL character", "Remove \\u0000 from it: a database cannot store it.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            _refuse(
                "a text holds half of a surrogate pair",
                "Send the whole character, or leave it out: it was cut in two.",
            )


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= (number := int(digits)) < 2**63:
        _refuse("a whole number is beyond 64 bits", "Send it as a text.")
    return number


def _number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        _refuse("a number is too large", "Send one below 1.8e308, or null.")
    return number


def _constant(name: str) -> NoReturn:
    _refuse(f"{name} is not a JSON number", "Send null where there is no number.")


def _same(value: dict[str, Any]) -> dict[str, Any]:
    return value


def _refuse(words: str, hint: str) -> NoReturn:
    raise RequestRefused(words, hint=hint)


def _too_deep() -> NoReturn:
    _refuse(f"values are nested deeper than {MAX_DEPTH} levels", "Flatten them, or send a part of them as text.")


def _too_large(limit: int) -> NoReturn:
    raise RequestRefused(
        f"the body is larger than {limit // 2**20} MB", status=413, code="api/too-large", hint="Send less at a time."
    )
