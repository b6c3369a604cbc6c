"""The node type `fit_image`: an image, scaled and cut evenly until it fills the format of a channel."""

from __future__ import annotations

from typing import Annotated, Any

from PIL import ImageOps
from pydantic import Field

from xtyl_engine.errors import PermanentError
from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType

FIELDS = ("image", "width", "height")


class FitImage(NodeConfig):
    """The image, and the format in pixels. In a workflow both may be Jinja; a job gets them rendered."""

    image: Any
    size: Annotated[str, Field(pattern=r"^[1-9]\d{0,3}x[1-9]\d{0,3}$")] = "1080x1080"


def run(config: FitImage, context: Context) -> Done:
    """Cut one image and store the result."""
    if not context.artifacts.knows(config.image):
        raise PermanentError(
            f"`image` is {config.image!r:.60}, not an image of this run",
            hint='Pass on the image of another step: image="{{ poster.image }}".',
        )
    width, height = map(int, config.size.split("x"))
    with context.artifacts.artifact(config.image).open() as picture:
        fitted = ImageOps.fit(picture.convert("RGB"), (width, height))
    image = context.artifacts.save_picture(fitted)
    return Done(output=dict(zip(FIELDS, (image, width, height), strict=True)))


NODE_TYPE = NodeType(
    name="fit_image",
    config=FitImage,
    run=run,
    fields=lambda config: FIELDS,
    main="image",
    rendered=("image", "size"),
    cached=True,
    makes_images=True,
    card_height=110.0,
)
