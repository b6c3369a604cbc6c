"""The pictures of the offline provider's posters: a handful of composed scenes, drawn from one palette and one random
source. Each leaves the upper third quiet, for the title.
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
    """A canvas in units of its own: x and y from 0 to 1, lengths in parts of the shorter side."""

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
        """A polygon whose points are offsets from nothing: plain 0 to 1 coordinates."""
        self.draw.polygon([self.place(*point) for point in points], fill=colour)

    def below(self, curve: Callable[[float], float], colour: Colour, steps: int = 160) -> None:
        """Fill everything below a curve."""
        line = [(step / steps, curve(step / steps)) for step in range(steps + 1)]
        self.shape([(0, 1.01), *line, (1, 1.01)], colour)


def mix(first: Colour, second: Colour, part: float) -> Colour:
    """The colour a part of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue


def hills(sheet: Sheet) -> None:
    """A low sun behind layered hills, with a few trees near."""
    pick = sheet.source
    x, y = pick.uniform(0.25, 0.75), pick.uniform(0.46, 0.54)
    sheet.glow(x, y, 0.62, sheet.palette.accent, 0.75)
    sheet.disc(x, y, pick.uniform(0.13, 0.18), sheet.palette.accent)
    count = pick.randint(4, 6)
    for number in range(count):
        part = number / (count - 1)
        curve = _waving(pick, 0.55 + 0.34 * part, 0.05 + 0.02 * part, 1.1 + part)
        sheet.below(curve, sheet.layer(part))
        if number == count - 2:
            for _ in range(pick.randint(5, 10)):
                tree_x = pick.uniform(0.03, 0.97)
                _fir(sheet, tree_x, curve(tree_x) + 0.008, pick.uniform(0.05, 0.1), sheet.layer(1.0))


def waves(sheet: Sheet) -> None:
    """A moon over bands of sea, each band with its bright crest."""
    pick = sheet.source
    x = pick.uniform(0.3, 0.7)
    sheet.glow(x, 0.47, 0.5, sheet.palette.accent, 0.6)
    sheet.disc(x, 0.47, pick.uniform(0.12, 0.17), sheet.palette.accent)
    count = pick.randint(6, 8)
    for number in range(count):
        part = number / (count - 1)
        height, swell, length = 0.52 + 0.4 * part, 0.012 + 0.02 * part, pick.uniform(1.6, 3.2)
        shift = pick.uniform(0, math.tau)

        def curve(t: float, height: float = height, swell: float = swell, k: float = length, s: float = shift) -> float:
            return height - swell * math.sin(t * k * math.tau + s) - swell * 0.4 * math.sin(t * k * 2.3 * math.tau)

        sheet.below(curve, mix(sheet.layer(part), sheet.palette.light, 0.55))
        sheet.below(lambda t, curve=curve: curve(t) + 0.007, sheet.layer(part))  # type: ignore[misc]


def peaks(sheet: Sheet) -> None:
    """Mountain ridges under stars, their lit sides facing a moon."""
    pick = sheet.source
    for _ in range(70):
        sheet.disc(pick.random(), pick.uniform(0, 0.6), pick.choice((0.0013, 0.002, 0.003)), sheet.palette.light)
    moon = pick.choice((0.22, 0.78))
    sheet.glow(moon, 0.44, 0.4, sheet.palette.accent, 0.6)
    sheet.disc(moon, 0.44, 0.085, sheet.palette.accent)
    for number in range(3):
        part = (0.15, 0.5, 0.85)[number]
        x = pick.uniform(-0.25, -0.05)
        while x < 1.05:
            half, top = pick.uniform(0.16, 0.3), 0.5 + 0.15 * number + pick.uniform(-0.05, 0.06)
            _peak(sheet, x + half, top, half, lit_left=moon < 0.5, part=part)
            x += half * pick.uniform(0.75, 1.15)
        sheet.below(lambda t, floor=0.8 + 0.08 * number: floor, sheet.layer(part))  # type: ignore[misc]


def arcs(sheet: Sheet) -> None:
    """Concentric arcs rising from the lower edge, as on a record sleeve."""
    pick = sheet.source
    x, count = pick.choice((0.0, 0.5, 0.5, 1.0)), pick.randint(6, 8)
    reach = 0.62 if x == 0.5 else 0.92
    reach *= min(1.25, 0.62 * sheet.height / sheet.unit / 0.62)
    reach = min(reach, 0.6 * sheet.height / sheet.unit)
    colours = [sheet.palette.accent, *sheet.palette.layers, sheet.palette.light]
    pick.shuffle(colours)
    for number in range(count):
        radius = reach * (1 - number / count)
        sheet.disc(x, 1.0, radius, colours[number % len(colours)])
        sheet.disc(x, 1.0, radius - reach / count * 0.86, sheet.palette.sky[1])
    sheet.disc(x, 1.0, reach / count, sheet.palette.dark)
    if x != 0.5:
        sheet.disc(1 - x + (0.2 if x else -0.2), 0.52, 0.07, sheet.palette.accent)


def bauhaus(sheet: Sheet) -> None:
    """A grid of quarter circles, half circles, discs and triangles."""
    pick = sheet.source
    room = 0.63 * sheet.height
    columns = max(range(4, 7), key=lambda count: room // (sheet.width / count) / count)
    side = sheet.width / columns
    rows = max(1, int(room // side))
    colours = [sheet.palette.accent, *sheet.palette.layers[:4], sheet.palette.light, sheet.palette.dark]
    for row in range(rows):
        for column in range(columns):
            ground, figure, dot = pick.sample(colours, 3)
            _tile(sheet, column * side, sheet.height - (row + 1) * side, side, ground, figure, dot)


def orbits(sheet: Sheet) -> None:
    """Planets on rings around a sun."""
    pick = sheet.source
    x, y = pick.uniform(0.4, 0.6), 0.9
    sheet.glow(x, y, 0.6, sheet.palette.accent, 0.55)
    for number in range(1, 6):
        radius = 0.12 + 0.08 * number
        sheet.ring(x, y, radius, 0.0025, mix(sheet.palette.sky[1], sheet.layer(0.6), 0.7))
        angle = pick.uniform(1.08, 1.92) * math.pi
        planet_x = x + radius * math.cos(angle) * sheet.unit / sheet.width
        planet_y = y + radius * math.sin(angle) * sheet.unit / sheet.height
        size = pick.uniform(0.018, 0.045)
        sheet.disc(planet_x, planet_y, size, sheet.layer(pick.uniform(0.3, 1)))
        if number in (2, 4):
            sheet.disc(planet_x - size * 0.3, planet_y - size * 0.3, size * 0.5, sheet.palette.light)
    sheet.disc(x, y, 0.12, sheet.palette.accent)


def leaves(sheet: Sheet) -> None:
    """Cut-out leaves growing from the lower edge, with a sun between them."""
    pick = sheet.source
    sheet.disc(pick.uniform(0.3, 0.7), 0.58, 0.2, sheet.palette.accent)
    stems = pick.randint(5, 7)
    for number in range(stems):
        root = (number + 0.5) / stems + pick.uniform(-0.04, 0.04)
        lean = (root - 0.5) * 0.5 + pick.uniform(-0.06, 0.06)
        height = pick.uniform(0.36, 0.56)
        _frond(sheet, root, lean, height, sheet.layer(pick.uniform(0.15, 1)), pick.randint(5, 7))
    sheet.below(_waving(pick, 0.955, 0.012, 1.5), sheet.layer(1.0))


def still_life(sheet: Sheet) -> None:
    """One object on a table before a round window of light; what it is follows the product's name."""
    pick = sheet.source
    table = 0.82
    sheet.glow(0.5, 0.6, 0.62, sheet.palette.accent, 0.55)
    sheet.disc(0.5, 0.62, 0.29, mix(sheet.palette.sky[1], sheet.palette.accent, 0.75))
    sheet.below(lambda t: table, sheet.layer(0.75))
    sheet.below(lambda t: table + 0.014, sheet.layer(0.9))
    words = sheet.subject.lower()
    known = next((draw for names, draw in OBJECTS if any(name in words for name in names)), None)
    (known or pick.choice([draw for _, draw in OBJECTS]))(sheet, table)


def _waving(pick: random.Random, height: float, swell: float, length: float) -> Callable[[float], float]:
    first, second = pick.uniform(0, math.tau), pick.uniform(0, math.tau)
    return lambda t: height - swell * (math.sin(t * length * 4 + first) + 0.45 * math.sin(t * length * 9.1 + second))


def _gradient(width: int, height: int, top: Colour, bottom: Colour) -> Image.Image:
    mask = Image.linear_gradient("L").resize((1, height), Image.Resampling.BILINEAR).resize((width, height))
    return Image.composite(Image.new("RGB", (width, height), bottom), Image.new("RGB", (width, height), top), mask)


def _fir(sheet: Sheet, x: float, y: float, height: float, colour: Colour) -> None:
    for step in range(3):
        half = height * (0.3 - 0.07 * step) * sheet.height / sheet.width
        low = y - height * 0.27 * step
        sheet.shape([(x - half, low), (x, low - height * 0.5), (x + half, low)], colour)


def _peak(sheet: Sheet, x: float, top: float, half: float, *, lit_left: bool, part: float) -> None:
    shade = sheet.layer(part)
    lit = mix(shade, sheet.layer(part - 0.45), 0.6) if part > 0.4 else mix(shade, sheet.palette.light, 0.25)
    ridge = x + half * 0.12
    left, right = (lit, shade) if lit_left else (shade, lit)
    sheet.shape([(x - half, 1), (x, top), (ridge, top + 0.2), (x, 1)], left)
    sheet.shape([(x, 1), (ridge, top + 0.2), (x, top), (x + half, 1)], right)


def _tile(sheet: Sheet, x: float, y: float, side: float, ground: Colour, figure: Colour, dot: Colour) -> None:
    draw, pick = sheet.draw, sheet.source
    draw.rectangle((x, y, x + side, y + side), fill=ground)
    kind, turn = pick.randrange(5), pick.randrange(4)
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    if kind <= 1:
        cx, cy = corners[turn]
        draw.pieslice((cx - side, cy - side, cx + side, cy + side), 90 * turn, 90 * turn + 90, fill=figure)
        if kind == 1:
            half = side / 2
            draw.pieslice((cx - half, cy - half, cx + half, cy + half), 90 * turn, 90 * turn + 90, fill=dot)
    elif kind == 2:
        draw.pieslice((x, y, x + side, y + side), 90 * turn, 90 * turn + 180, fill=figure)
    elif kind == 3:
        inset = side * 0.14
        draw.ellipse((x + inset, y + inset, x + side - inset, y + side - inset), fill=figure)
        inset = side * 0.36
        draw.ellipse((x + inset, y + inset, x + side - inset, y + side - inset), fill=dot)
    else:
        draw.polygon([corners[turn], corners[(turn + 1) % 4], corners[(turn + 2) % 4]], fill=figure)


def _frond(sheet: Sheet, root: float, lean: float, height: float, colour: Colour, pairs: int) -> None:
    tip = (root + lean, 0.97 - height)
    stem = [sheet.place(root, 1.0), sheet.place(*tip)]
    sheet.draw.line(stem, fill=colour, width=max(2, round(0.008 * sheet.unit)))
    for number in range(pairs):
        part = 0.3 + 0.7 * number / (pairs - 1)
        x, y = root + lean * part, 1.0 + (tip[1] - 1.0) * part
        length = 0.13 * (1.15 - 0.6 * part)
        for side in (-1, 1):
            angle = math.atan2(-1, lean) + side * (1.0 - 0.55 * part)
            _leaf(sheet, x, y, length, angle, colour)


def _leaf(sheet: Sheet, x: float, y: float, length: float, angle: float, colour: Colour) -> None:
    cx, cy = sheet.place(x, y)
    size = length * sheet.unit
    cos, sin = math.cos(angle), math.sin(angle)
    outline = [(t / 12, 0.17 * math.sin(math.pi * t / 12)) for t in range(13)]
    outline += [(t / 12, -0.17 * math.sin(math.pi * t / 12)) for t in range(11, 0, -1)]
    sheet.draw.polygon(
        [(cx + size * (u * cos - v * sin), cy + size * (u * sin + v * cos)) for u, v in outline], fill=colour
    )


def _box(
    sheet: Sheet, table: float, x: float, low: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """A rectangle in pixels, `low` above the table, all in parts of the shorter side and centred."""
    cx, floor = sheet.width / 2 + x * sheet.unit, table * sheet.height - low * sheet.unit
    return cx - width / 2 * sheet.unit, floor - height * sheet.unit, cx + width / 2 * sheet.unit, floor


def _outline(sheet: Sheet, table: float, points: Sequence[Point], colour: Colour) -> None:
    """A shape symmetric about the middle, its right side given from top to bottom."""
    cx, floor = sheet.width / 2, table * sheet.height
    right = [(cx + x * sheet.unit, floor - y * sheet.unit) for x, y in points]
    left = [(cx - x * sheet.unit, floor - y * sheet.unit) for x, y in reversed(points)]
    sheet.draw.polygon(right + left, fill=colour)


def _lamp(sheet: Sheet, table: float) -> None:
    sheet.glow(0.5, table - 0.2 * sheet.unit / sheet.height, 0.34, sheet.palette.light, 0.65)
    _outline(sheet, table, [(0.012, 0.2), (0.012, 0.02)], sheet.palette.dark)
    _outline(sheet, table, [(0.05, 0.026), (0.085, 0.008), (0.085, 0)], sheet.palette.dark)
    _outline(sheet, table, [(0.07, 0.36), (0.155, 0.19)], sheet.palette.dark)
    _outline(sheet, table, [(0.07, 0.36), (0.155, 0.19)], mix(sheet.palette.dark, sheet.layer(0.5), 0.35))
    sheet.draw.ellipse(_box(sheet, table, 0, 0.182, 0.31, 0.018), fill=sheet.palette.light)


def _mug(sheet: Sheet, table: float) -> None:
    body = mix(sheet.palette.dark, sheet.layer(0.5), 0.25)
    width = max(2, round(0.026 * sheet.unit))
    sheet.draw.arc(_box(sheet, table, 0.13, 0.055, 0.13, 0.13), 250, 110, fill=body, width=width)
    sheet.draw.rounded_rectangle(_box(sheet, table, 0, 0, 0.26, 0.23), round(0.045 * sheet.unit), fill=body)
    sheet.draw.rectangle(_box(sheet, table, 0, 0.12, 0.26, 0.11), fill=body)
    sheet.draw.ellipse(_box(sheet, table, 0, 0.212, 0.26, 0.036), fill=mix(body, sheet.palette.light, 0.4))
    for number, x in enumerate((-0.05, 0.0, 0.05)):
        points = [
            (sheet.width / 2 + (x + 0.012 * math.sin(t * 0.9 + number)) * sheet.unit,
             table * sheet.height - (0.265 + 0.012 * t) * sheet.unit)
            for t in range(10)
        ]  # fmt: skip
        sheet.draw.line(points, fill=sheet.palette.light, width=max(2, round(0.007 * sheet.unit)), joint="curve")


def _bottle(sheet: Sheet, table: float) -> None:
    profile = [(0.026, 0.38), (0.026, 0.29), (0.04, 0.26), (0.075, 0.23), (0.082, 0.2), (0.082, 0.008), (0.074, 0)]
    _outline(sheet, table, profile, mix(sheet.palette.dark, sheet.layer(0.5), 0.3))
    _outline(sheet, table, [(0.03, 0.41), (0.03, 0.365)], sheet.palette.accent)
    _outline(sheet, table, [(0.082, 0.17), (0.082, 0.07)], sheet.palette.light)
    sheet.draw.ellipse(_box(sheet, table, 0, 0.097, 0.046, 0.046), fill=sheet.palette.accent)


def _chair(sheet: Sheet, table: float) -> None:
    dark = sheet.palette.dark
    sheet.draw.rounded_rectangle(_box(sheet, table, 0, 0.2, 0.22, 0.24), round(0.06 * sheet.unit), fill=dark)
    seat = mix(dark, sheet.layer(0.4), 0.5)
    sheet.draw.rounded_rectangle(_box(sheet, table, 0, 0.15, 0.27, 0.06), round(0.03 * sheet.unit), fill=seat)
    for side in (-1, 1):
        points = [(side * 0.09, 0.15), (side * 0.115, 0.15), (side * 0.14, 0), (side * 0.125, 0)]
        floor = table * sheet.height
        sheet.draw.polygon([(sheet.width / 2 + x * sheet.unit, floor - y * sheet.unit) for x, y in points], fill=dark)


def _plant(sheet: Sheet, table: float) -> None:
    rise = 0.13 * sheet.unit / sheet.height
    for number in range(9):
        angle = -math.pi / 2 + (number - 4) * 0.3
        length = 0.27 - 0.018 * abs(number - 4)
        _leaf(sheet, 0.5, table - rise, length, angle, sheet.layer(0.35 + 0.5 * (number % 3) / 2))
    _outline(sheet, table, [(0.1, 0.15), (0.1, 0.12), (0.07, 0)], sheet.palette.dark)
    _outline(sheet, table, [(0.112, 0.16), (0.112, 0.128)], mix(sheet.palette.dark, sheet.palette.light, 0.18))


OBJECTS: tuple[tuple[tuple[str, ...], Callable[[Sheet, float], None]], ...] = (
    (("lamp", "light", "lantern", "glow", "bulb"), _lamp),
    (("mug", "cup", "coffee", "tea", "cocoa", "espresso"), _mug),
    (("bottle", "water", "oil", "soap", "perfume", "juice", "wine", "serum", "lotion", "soda"), _bottle),
    (("chair", "sofa", "stool", "seat", "bench", "desk"), _chair),
    (("plant", "garden", "vase", "pot", "herb", "flower", "leaf"), _plant),
)
SCENES: tuple[Callable[[Sheet], None], ...] = (hills, waves, peaks, arcs, bauhaus, orbits, leaves, still_life)
