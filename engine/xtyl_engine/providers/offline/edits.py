"""How the offline provider changes images: it hangs them, framed, on the poster that it draws for the prompt; with a mask it
draws the poster into the first image, where the mask is transparent.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

from xtyl_engine.values.pictures import Picture, decoded

# As parts of the poster's sides: the wall on which images hang, below the title, and the frame around each.
LEFT, TOP, RIGHT, BOTTOM = 0.08, 0.38, 0.92, 0.94
FRAME = 0.012
MOST_SHOWN = 4
Box = tuple[int, int, int, int]


def draw_over(poster: bytes, images: Sequence[Picture], mask: Picture | None) -> bytes:
    """A poster with images on it, as PNG of its size."""
    with Image.open(io.BytesIO(poster), formats=["PNG"]) as opened:
        ground = opened.convert("RGB")
    ground = _hung(ground, images[:MOST_SHOWN]) if mask is None else _masked(ground, images[0], mask)
    buffer = io.BytesIO()
    ground.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _hung(ground: Image.Image, images: Sequence[Picture]) -> Image.Image:
    draw = ImageDraw.Draw(ground)
    width, height = ground.size
    across = (RIGHT - LEFT) * width / len(images)
    frame = max(1, round(FRAME * min(width, height)))
    for place, picture in enumerate(images):
        left = LEFT * width + place * across
        box = (round(left) + frame, round(TOP * height), round(left + across) - frame, round(BOTTOM * height))
        _hang(ground, draw, picture, box, frame)
    return ground


def _hang(ground: Image.Image, draw: ImageDraw.ImageDraw, picture: Picture, box: Box, frame: int) -> None:
    left, top, right, bottom = box
    room = (max(1, right - left), max(1, bottom - top))
    scale = min(room[0] / picture.width, room[1] / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    x, y = (left + right - size[0]) // 2, (top + bottom - size[1]) // 2
    draw.rectangle((x - frame, y - frame, x + size[0] + frame - 1, y + size[1] + frame - 1), fill="white")
    with decoded(picture, max(size)) as image:
        shown = image.resize(size)
    ground.paste(shown, (x, y), shown)


def _masked(ground: Image.Image, picture: Picture, mask: Picture) -> Image.Image:
    with decoded(picture, max(ground.size)) as image:
        shown = image.resize(ground.size)
    with decoded(mask, max(ground.size)) as image:
        kept = image.getchannel("A").resize(ground.size)
    changed = ground.convert("RGBA")
    changed.paste(shown, (0, 0), kept)
    return changed.convert("RGB")
