"""Which parameters go with a prompt: those that the user set, and others for as long as the model takes them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from xtyl_engine.providers.base import TextRequest
from xtyl_engine.providers.schemas.words import response_format, told_in_words
from xtyl_engine.providers.vendors.table import Vendor

LIMIT, SCHEMA = "max_tokens", "response_format"
# As vendors call it where they refuse one.
_SCHEMAS = ("response_format", "output_config", "output_format", "json_schema", "response_schema", "jsonschema")
# What every model of a vendor that requires a limit takes.
SMALL_LIMIT = 4096


def parameters(
    vendor: Vendor, request: TextRequest, refused: Collection[str]
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """The parameters, the names of those that may be left out or made smaller, and what to tell of it. `refused` are names that
    the model has refused before."""
    sent: dict[str, Any] = {}
    unasked: list[str] = []
    notes: list[str] = []
    if request.temperature is not None:
        sent["temperature"] = request.temperature
    if request.is_seeded:
        if vendor.seed is None or vendor.seed in refused:
            notes.append(f"{vendor.name} takes no seed here, so none was sent: texts of one prompt differ by chance.")
        else:
            sent[vendor.seed] = request.seed % 2**31
            unasked += [] if "seed" in request.asked else [vendor.seed]
    if request.schema is not None and SCHEMA in refused:
        notes.append("The model takes no schema here. The schema stands in the prompt instead.")
    elif request.schema is not None:
        sent[SCHEMA] = response_format(request.schema)
        unasked.append(SCHEMA)
    if request.max_tokens is not None:
        sent[LIMIT] = request.max_tokens
    elif vendor.limit is not None and LIMIT in refused:
        sent[LIMIT] = SMALL_LIMIT
        notes.append(f"The model takes no limit of {vendor.limit:,} tokens, so {SMALL_LIMIT:,} were allowed.")
    elif vendor.limit is not None:
        sent[LIMIT] = vendor.limit
        unasked.append(LIMIT)
    return sent, tuple(unasked), tuple(notes)


def prompt_of(request: TextRequest, refused: Collection[str]) -> str:
    """The prompt, with the schema in words for a model that takes none."""
    return (
        told_in_words(request.prompt, request.schema)
        if request.schema is not None and SCHEMA in refused
        else request.prompt
    )


def refused_in(words: str, unasked: Collection[str]) -> str | None:
    """Which of these parameters a refusal is about, by its words."""
    said = words.lower()
    return next(
        (name for name in unasked if any(each in said for each in (_SCHEMAS if name == SCHEMA else (name,)))), None
    )
