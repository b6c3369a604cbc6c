"""The scenes of the offline provider's posters, each drawn with one palette and one random source. Each leaves the upper
third empty for the title, which `poster` sets.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from xtyl_engine.providers.offline.canvas import Colour, Sheet, mix
from xtyl_engine.providers.offline.still_life import OBJECTS


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
    """One object on a table before a round window of light; the product's name chooses the object."""
    pick = sheet.source
    table = 0.82
    sheet.glow(0.5, 0.6, 0.62, sheet.palette.accent, 0.55)
    sheet.disc(0.5, 0.64, 0.275, mix(sheet.palette.sky[1], sheet.palette.accent, 0.75))
    sheet.below(lambda t: table, sheet.layer(0.75))
    sheet.below(lambda t: table + 0.014, sheet.layer(0.9))
    words = sheet.subject.lower()
    known = next((draw for names, draw in OBJECTS if any(name in words for name in names)), None)
    (known or pick.choice([draw for _, draw in OBJECTS]))(sheet, table)


def _waving(pick: random.Random, height: float, swell: float, length: float) -> Callable[[float], float]:
    first, second = pick.uniform(0, math.tau), pick.uniform(0, math.tau)
    return lambda t: height - swell * (math.sin(t * length * 4 + first) + 0.45 * math.sin(t * length * 9.1 + second))


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
            sheet.leaf(x, y, length, angle, colour)


SCENES: tuple[Callable[[Sheet], None], ...] = (hills, waves, peaks, arcs, bauhaus, orbits, leaves, still_life)
