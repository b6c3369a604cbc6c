"""The node that draws an image with a provider, or changes one, and stores it as an artifact. With `n` it draws several, one
job and one seed each.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from xtyl_engine.errors import TransientError
from xtyl_engine.limits import MAX_IMAGE_PIXELS, MAX_ITEMS
from xtyl_engine.nodes.base import Context, Done, NodeType, Usage
from xtyl_engine.nodes.pictures import TOKENS_CHANGED, Mask, SeeingConfig, count_pictures, pictures_and_mask
from xtyl_engine.nodes.prompt import Prompt, most_tokens, variant
from xtyl_engine.nodes.usage import plain_usage
from xtyl_engine.providers.base import ImageRequest
from xtyl_engine.values.images import ImageRefused

DEFAULT_SIZE = 1024, 1024
# OpenAI's image models take so many tokens for a square image of the highest quality, and as many more as there are pixels more.
TOKENS_OF_LARGEST, LARGEST_PIXELS = 4160, 1024 * 1024
FIELDS = ("image", "width", "height", "provider", "model", "prompt", "tokens", "cost")


def read_size(text: str) -> tuple[int, int]:
    """Width and height in pixels from text such as `1024x768`. Raises ValueError."""
    width, cross, height = text.lower().partition("x")
    if not (cross and all(side.isascii() and side.isdigit() and 1 <= len(side) <= 5 for side in (width, height))):
        raise ValueError(f"a size is width x height in pixels, such as 1024x1024, not {text[:40]!r}")
    if not 0 < int(width) * int(height) <= MAX_IMAGE_PIXELS:
        raise ValueError(f"{text} is not between 1 and {MAX_IMAGE_PIXELS:,} pixels")
    return int(width), int(height)


def _is_plain(text: str) -> bool:
    return "{{" not in text and "{%" not in text


def _check_size(text: str) -> str:
    if _is_plain(text):
        read_size(text)
    return text


class GenerateImage(SeeingConfig):
    """What to draw, from which images, and how large."""

    prompt: Prompt
    n: int = Field(default=1, ge=1, le=MAX_ITEMS, strict=True)
    size: Annotated[str, AfterValidator(_check_size)] = "1024x1024"
    provider: str | None = None
    model: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**31)
    mask: Mask = None


def run(config: GenerateImage, context: Context) -> Done:
    """Draw one image and store it; the reference is the output's main value."""
    width, height = read_size(config.size)
    provider = context.provider(config.provider or "")
    images, mask = pictures_and_mask(provider, config.images, config.mask, context.artifacts)
    result = provider.draw(
        ImageRequest(
            prompt=config.prompt,
            images=images,
            mask=mask,
            width=width,
            height=height,
            model=config.model,
            seed=config.seed + variant(context.item),
            asked=frozenset(config.model_fields_set),
            key=context.key,
            timeout_seconds=config.timeout or 180.0,
        )
    )
    try:
        image = context.artifacts.save_image(result.data)
    except ImageRefused as refused:
        # It is paid for, and the next one may be whole.
        raise TransientError(f"the provider's image cannot be used: {refused.message}", usage=result.usage) from None
    usage = plain_usage(result.usage) or Usage(provider="", model="")
    facts = (usage.provider, usage.model, config.prompt, usage.tokens, usage.cost)
    output = (image, image["width"], image["height"], *facts)
    return Done(output=dict(zip(FIELDS, output, strict=True)), usage=usage)


def _most(config: GenerateImage) -> Usage:
    # The dearest quality of the models whose tokens have a price: as many as an image of this size takes at most.
    width, height = read_size(config.size) if _is_plain(config.size) else DEFAULT_SIZE
    tokens = -(-width * height * TOKENS_OF_LARGEST // LARGEST_PIXELS)
    return Usage(
        provider="",
        model=config.model or "",
        input_tokens=most_tokens(config.prompt)
        + TOKENS_CHANGED * (count_pictures(config.images) + count_pictures(config.mask)),
        output_tokens=0,
        image_tokens=tokens,
    )


NODE_TYPE = NodeType(
    name="generate_image",
    config=GenerateImage,
    run=run,
    fields=lambda config: FIELDS,
    main="image",
    rendered=("prompt", "size", "images", "mask"),
    pictures=("images", "mask"),
    cached=True,
    makes_images=True,
    most=_most,
    card_height=110.0,
)
