"""The objects of the still-life scene: silhouettes on a table, measured in parts of the sheet's shorter side. The
product's name chooses which one is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from xtyl_engine.providers.offline.canvas import Colour, Point, Sheet, mix


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
        sheet.leaf(0.5, table - rise, length, angle, sheet.layer(0.35 + 0.5 * (number % 3) / 2))
    _outline(sheet, table, [(0.1, 0.15), (0.1, 0.12), (0.07, 0)], sheet.palette.dark)
    _outline(sheet, table, [(0.112, 0.16), (0.112, 0.128)], mix(sheet.palette.dark, sheet.palette.light, 0.18))


OBJECTS: tuple[tuple[tuple[str, ...], Callable[[Sheet, float], None]], ...] = (
    (("lamp", "light", "lantern", "glow", "bulb"), _lamp),
    (("mug", "cup", "coffee", "tea", "cocoa", "espresso"), _mug),
    (("bottle", "water", "oil", "soap", "perfume", "juice", "wine", "serum", "lotion", "soda"), _bottle),
    (("chair", "sofa", "stool", "seat", "bench", "desk"), _chair),
    (("plant", "garden", "vase", "pot", "herb", "flower", "leaf"), _plant),
)
