"""The node that writes a text with a provider. With `n` it writes several, one job and one seed each."""

from __future__ import annotations

from pydantic import Field

from xtyl_engine.limits import MAX_ITEMS
from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType, Usage
from xtyl_engine.nodes.prompt import Prompt, variant
from xtyl_engine.nodes.usage import plain_usage
from xtyl_engine.providers.base import TextRequest
from xtyl_engine.values.plain import mend

FIELDS = ("text", "provider", "model", "tokens", "cost", "finish")


class GenerateCopy(NodeConfig):
    """What to write, and how."""

    prompt: Prompt
    n: int = Field(default=1, ge=1, le=MAX_ITEMS, strict=True)
    system: Prompt | None = None
    provider: str | None = None
    model: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)


def run(config: GenerateCopy, context: Context) -> Done:
    """Write one text."""
    result = context.provider(config.provider or "").write(
        TextRequest(
            prompt=config.prompt,
            system=config.system,
            model=config.model,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
            seed=config.seed + variant(context.item),
            is_seeded=config.n > 1 or "seed" in config.model_fields_set,
            key=context.key,
            timeout_seconds=config.timeout or 60.0,
        )
    )
    usage = plain_usage(result.usage) or Usage(provider="", model="")
    output = (
        mend(result.text),
        usage.provider,
        usage.model,
        usage.tokens,
        usage.cost,
        result.finish and mend(result.finish),
    )
    return Done(output=dict(zip(FIELDS, output, strict=True)), usage=usage)


NODE_TYPE = NodeType(
    name="generate_copy",
    config=GenerateCopy,
    run=run,
    fields=lambda config: FIELDS,
    main="text",
    rendered=("prompt", "system"),
    cached=True,
)
