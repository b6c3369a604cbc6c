"""The canvas of a poster, in relative units, and palettes of colours that go together. Shapes are drawn without smoothing
at twice the size; `poster` reduces them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours that go together: the sky from top to bottom, layers from far to near, a light and a dark."""

    sky: tuple[Colour, Colour]
    layers: tuple[Colour, ...]
    accent: Colour
    light: Colour
    dark: Colour


def _palette(sky: str, layers: str, accent: str, light: str, dark: str) -> Palette:
    top, bottom = (_colour(code) for code in sky.split())
    return Palette(
        sky=(top, bottom),
        layers=tuple(_colour(code) for code in layers.split()),
        accent=_colour(accent),
        light=_colour(light),
        dark=_colour(dark),
    )


def _colour(code: str) -> Colour:
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


PALETTES = (
    _palette("f9d9b0 f2a97e", "e88d67 cf6f5b a8505a 6b3a57 3b2646", "fff1d0", "fff6e6", "3b2646"),
    _palette("16213e 3f4a7e", "5b5f97 4a4e82 37396a 272a52 191b3a", "ffc86b", "f6efe0", "10142b"),
    _palette("d7ece6 a8d5cf", "7cbcb6 4f9d9c 2f7b82 1e5a68 123d4c", "ff8a5b", "fbfaf3", "123d4c"),
    _palette("fbe7dd f6c5bd", "ee9c9a d9717c b24e6c 7d3560 4b2450", "ffd26e", "fff7f2", "4b2450"),
    _palette("f3ecd9 e5d5ac", "cdbb80 a3a565 74884f 4a683f 294832", "d9603b", "fbf8ec", "26402d"),
    _palette("0e2a35 1f5560", "2d7273 3b8c80 62a98a 9cc797 d9e2ad", "f5a25d", "f3f3df", "0b2029"),
    _palette("ffdf8e ffc45c", "f99b45 ef7141 d94a3d a5303f 631f3c", "fffae5", "fffbee", "4f1833"),
    _palette("e6e3f4 c4bfe6", "9f96d3 7b70ba 594e9a 3d3577 272150", "ff9d8a", "faf8ff", "272150"),
    _palette("f4f1ea e3ddd0", "c9c0b0 a39a8b 77706a 4b474a 2a282e", "e4572e", "fbfaf6", "232127"),
    _palette("2b1b3d 6a2c5c", "8f3a63 b84c65 dd6a61 f29462 f9c784", "ffe6a7", "fff3e0", "21132f"),
)


class Sheet:
    """A canvas in relative units: x and y from 0 to 1, lengths as parts of the shorter side."""

    def __init__(self, width: int, height: int, palette: Palette, source: random.Random, subject: str = ""):
        self.width, self.height = width, height
        self.unit = min(width, height)
        self.palette = palette
        self.source = source
        self.subject = subject
        self.image = _gradient(width, height, *palette.sky)
        self.draw = ImageDraw.Draw(self.image)

    def place(self, x: float, y: float) -> Point:
        return x * self.width, y * self.height

    def layer(self, part: float) -> Colour:
        """A colour between the farthest layer at 0 and the nearest at 1."""
        place = max(0.0, min(1.0, part)) * (len(self.palette.layers) - 1)
        first = min(int(place), len(self.palette.layers) - 2)
        return mix(self.palette.layers[first], self.palette.layers[first + 1], place - first)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        cx, cy = self.place(x, y)
        size = radius * self.unit
        self.draw.ellipse((cx - size, cy - size, cx + size, cy + size), fill=colour)

    def ring(self, x: float, y: float, radius: float, thickness: float, colour: Colour) -> None:
        cx, cy = self.place(x, y)
        size = radius * self.unit
        width = max(1, round(thickness * self.unit))
        self.draw.ellipse((cx - size, cy - size, cx + size, cy + size), outline=colour, width=width)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        cx, cy = self.place(x, y)
        size = max(2, round(2 * radius * self.unit))
        fade = Image.radial_gradient("L").point(
            [round(max(0, 181 - level) / 181 * 255 * strength) for level in range(256)]
        )
        mask = fade.resize((size, size), Image.Resampling.BILINEAR)
        self.image.paste(colour, (round(cx - size / 2), round(cy - size / 2)), mask)

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """A polygon whose points are coordinates from 0 to 1."""
        self.draw.polygon([self.place(*point) for point in points], fill=colour)

    def below(self, curve: Callable[[float], float], colour: Colour, steps: int = 160) -> None:
        """Fill everything below a curve."""
        line = [(step / steps, curve(step / steps)) for step in range(steps + 1)]
        self.shape([(0, 1.01), *line, (1, 1.01)], colour)

    def leaf(self, x: float, y: float, length: float, angle: float, colour: Colour) -> None:
        """A pointed leaf of this length, from a point towards an angle."""
        cx, cy = self.place(x, y)
        size = length * self.unit
        cos, sin = math.cos(angle), math.sin(angle)
        outline = [(step / 12, 0.17 * math.sin(math.pi * step / 12)) for step in range(13)]
        outline += [(along, -across) for along, across in reversed(outline[1:-1])]
        points = [(cx + size * (u * cos - v * sin), cy + size * (u * sin + v * cos)) for u, v in outline]
        self.draw.polygon(points, fill=colour)


def mix(first: Colour, second: Colour, part: float) -> Colour:
    """The colour at a part of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _gradient(width: int, height: int, top: Colour, bottom: Colour) -> Image.Image:
    mask = Image.linear_gradient("L").resize((1, height), Image.Resampling.BILINEAR).resize((width, height))
    return Image.composite(Image.new("RGB", (width, height), bottom), Image.new("RGB", (width, height), top), mask)
