"""What the offline provider sees of images: how many, their sizes, and the colour that covers most of each."""

from __future__ import annotations

from collections.abc import Sequence

from xtyl_engine.values.pictures import Picture, decoded

# Names that anyone would use, and how each looks.
COLOURS = {
    "black": (20, 20, 20),
    "grey": (128, 128, 128),
    "white": (245, 245, 245),
    "red": (205, 45, 45),
    "orange": (235, 140, 50),
    "yellow": (240, 215, 75),
    "green": (70, 150, 80),
    "teal": (60, 150, 150),
    "blue": (60, 100, 200),
    "purple": (125, 70, 165),
    "pink": (235, 150, 180),
    "brown": (115, 75, 50),
    "beige": (225, 205, 170),
}
MOST_TOLD = 4
_LOOKED_AT = 32


def describe(images: Sequence[Picture]) -> str:
    """A sentence about images, the first of them one by one."""
    told = [f"{each.width} x {each.height} pixels, mostly {main_colour(each)}" for each in images[:MOST_TOLD]]
    more = f"; and {len(images) - MOST_TOLD} more" if len(images) > MOST_TOLD else ""
    return f"(Seen: {'; '.join(told)}{more}.)"


def main_colour(picture: Picture) -> str:
    """The name of the colour that covers most of a picture; what is transparent counts as white."""
    from PIL import Image

    with decoded(picture, _LOOKED_AT) as image:
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image)
    counted: dict[str, int] = {}
    for count, colour in ground.convert("RGB").getcolors(_LOOKED_AT**2) or ():
        name = min(COLOURS, key=lambda each: _distance(COLOURS[each], colour))
        counted[name] = counted.get(name, 0) + count
    return max(counted, key=lambda name: counted[name])


def _distance(one: tuple[int, int, int], other: object) -> int:
    assert isinstance(other, tuple)
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
