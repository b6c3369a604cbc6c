"""Structured answers of a step that `returns` a schema: what a provider is asked, once more after an answer that did not fit, and
what its answer gives. Schemas themselves are for `schemas`; how often a job is tried is for the worker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from xtyl_engine.errors import AnswerMisfit
from xtyl_engine.nodes.base import Misfitting, Usage
from xtyl_engine.nodes.prompt import most_tokens
from xtyl_engine.providers.base import Provider, TextRequest, TextResult
from xtyl_engine.providers.schemas.answers import Misfit, read_answer
from xtyl_engine.providers.schemas.words import told_in_words
from xtyl_engine.values.plain import encode

MAX_ASKED_AGAIN = 2
# Of an answer that did not fit, so much is shown to the model again.
SHOWN_AGAIN = 20_000
LOOSEN = "Say in the prompt what is wanted, loosen the schema, or take another model; then `run.retry()`."
LENGTHEN = "Raise `max_tokens`, or ask for less."


def asked(
    request: TextRequest, schema: Mapping[str, Any], provider: Provider, misfits: Sequence[Misfitting]
) -> TextRequest:
    """The request with its schema, in words for a provider that takes none. After misfits it has a key of its own, and the last
    of them stands in the prompt with the schema in words: a server may have passed over that."""
    prompt, key = request.prompt, request.key
    if misfits:
        last = misfits[-1]
        prompt = (
            f"{prompt}\n\nYour answer before was:\n{last.answer[:SHOWN_AGAIN]}\n\n"
            f"It does not fit: {last.reason}. Answer anew, and fit the schema."
        )
        key = f"{key}/again-{len(misfits)}"
    if misfits or not getattr(provider, "takes_schemas", False):
        prompt = told_in_words(prompt, schema)
    return replace(request, prompt=prompt, key=key, schema=schema)


def tokens_again(misfits: Sequence[Misfitting]) -> int:
    """The tokens that a request has more at most for answers before that did not fit."""
    return most_tokens(misfits[-1].answer[:SHOWN_AGAIN], misfits[-1].reason) if misfits else 0


def schema_texts(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """What a request holds of its schema at most: itself, and in words."""
    return json.dumps(schema), told_in_words("", schema)


def answered(
    result: TextResult, schema: Mapping[str, Any], usage: Usage, max_tokens: int | None, misfits: Sequence[Misfitting]
) -> dict[str, Any]:
    """The fields of an answer. Raises AnswerMisfit, which keeps the text as it came; the model is asked twice more."""
    try:
        # Mended where no database would take it.
        made: dict[str, Any] = json.loads(encode(read_answer(result.text, dict(schema))))
        return made
    except Misfit as error:
        reason, hint = str(error), LOOSEN
    if result.finish == "length":
        limit = "" if max_tokens is None else f" of {max_tokens:,}"
        reason, hint = f"it was cut at the limit{limit} tokens (finish: length), and {reason}", LENGTHEN
    asks_again = len(misfits) < MAX_ASKED_AGAIN
    raise AnswerMisfit(
        f"the answer does not fit `returns`: {reason}",
        hint=None if asks_again else hint,
        answer=result.text,
        reason=reason,
        asks_again=asks_again,
        usage=usage,
    )
