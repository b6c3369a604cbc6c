"""The node that writes a text with a provider, or with `returns` an answer with fields. With `n` it writes several, one job and
one seed each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from xtyl_engine.limits import MAX_ITEMS
from xtyl_engine.nodes import structured
from xtyl_engine.nodes.base import Context, Done, NodeType, Usage
from xtyl_engine.nodes.pictures import TOKENS_SEEN, SeeingConfig, count_pictures, pictures_for
from xtyl_engine.nodes.prompt import Prompt, most_tokens, variant
from xtyl_engine.nodes.usage import plain_usage
from xtyl_engine.providers.base import TextRequest
from xtyl_engine.providers.schemas.answers import usable_schema
from xtyl_engine.providers.schemas.fields import fields_of, main_of
from xtyl_engine.providers.schemas.reading import own_rules, read_schema
from xtyl_engine.values.plain import mend

FIELDS = ("text", "provider", "model", "tokens", "cost", "finish")


class GenerateCopy(SeeingConfig):
    """What to write, and how."""

    prompt: Prompt
    n: int = Field(default=1, ge=1, le=MAX_ITEMS, strict=True)
    system: Prompt | None = None
    provider: str | None = None
    model: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    returns: Annotated[dict[str, Any], BeforeValidator(usable_schema)] | None = None


def run(config: GenerateCopy, context: Context) -> Done:
    """Write one text."""
    provider = context.provider(config.provider or "")
    request = TextRequest(
        prompt=config.prompt,
        system=config.system,
        images=pictures_for(provider, config.images, context.artifacts),
        model=config.model,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        seed=config.seed + variant(context.item),
        is_seeded=config.n > 1 or "seed" in config.model_fields_set,
        asked=frozenset(config.model_fields_set),
        key=context.key,
        timeout_seconds=config.timeout or 60.0,
    )
    if config.returns is not None:
        request = structured.asked(request, config.returns, provider, context.misfits)
    result = provider.write(request)
    usage = plain_usage(result.usage) or Usage(provider="", model="")
    facts = (usage.provider, usage.model, usage.tokens, usage.cost, result.finish and mend(result.finish))
    if config.returns is None:
        made: dict[str, Any] = {"text": mend(result.text)}
    else:
        made = structured.answered(result, config.returns, usage, config.max_tokens, context.misfits)
    return Done(output=made | dict(zip(FIELDS[1:], facts, strict=True)), usage=usage)


def _most(config: GenerateCopy) -> Usage:
    schema = () if config.returns is None else structured.schema_texts(config.returns)
    tokens = most_tokens(config.prompt, config.system or "", *schema) + TOKENS_SEEN * count_pictures(config.images)
    return Usage(provider="", model=config.model or "", input_tokens=tokens, output_tokens=config.max_tokens)


def _schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema that a config returns; None for free text, and where it cannot be used, which is a problem of its own."""
    with suppress(ValueError):
        return None if config.get("returns") is None else read_schema(config["returns"])
    return None


def _fields(config: Mapping[str, Any]) -> tuple[str, ...]:
    schema = _schema(config)
    return FIELDS if schema is None else (*fields_of(schema), *FIELDS[1:])


def _main(config: Mapping[str, Any]) -> str:
    schema = _schema(config)
    return "text" if schema is None else main_of(schema)


def _stored(config: Mapping[str, Any]) -> Mapping[str, Any]:
    schema = _schema(config)
    return config if schema is None else {**config, "returns": schema}


def _doubts(config: Mapping[str, Any]) -> Iterator[str]:
    given = config.get("returns")
    if isinstance(given, type) and (rules := own_rules(given)):
        yield (
            f"the validators of {given.__name__} ({', '.join(rules)}) do not run: its JSON Schema alone is held against "
            "an answer. Write bounds into the fields, such as Field(max_length=40), and check the rest in a step of your own."
        )


NODE_TYPE = NodeType(
    name="generate_copy",
    config=GenerateCopy,
    run=run,
    fields=_fields,
    main=_main,
    schema=_schema,
    stored=_stored,
    doubts=_doubts,
    most=_most,
    rendered=("prompt", "system", "images"),
    pictures=("images",),
    cached=True,
)
