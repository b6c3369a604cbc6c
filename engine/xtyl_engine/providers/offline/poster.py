"""Posters for the offline provider: a scene, a title of the prompt's own words, and the mark "offline draft". A function
of prompt, seed and size alone; drawn at twice the size and reduced, for smooth edges.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from hashlib import sha256

from PIL import Image, ImageDraw, ImageFont

from xtyl_engine.providers.offline.canvas import PALETTES, Colour, Sheet
from xtyl_engine.providers.offline.copywriting import find_product
from xtyl_engine.providers.offline.scenes import SCENES

MARK = "offline draft"
MAX_DRAWN_PIXELS = 4_200_000
MAX_TITLE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """The words on a poster: a large title, and a small line above it."""

    large: str
    small: str = ""


def draw_poster(prompt: str, seed: int, width: int, height: int) -> bytes:
    """A poster as PNG, `width` by `height` pixels."""
    key = sha256(prompt.encode("utf-8", "replace")).digest()
    order = random.Random(key)
    scenes, palettes = list(SCENES), list(PALETTES)
    order.shuffle(scenes)
    order.shuffle(palettes)
    title = read_title(prompt)
    scale = min(2.0, (MAX_DRAWN_PIXELS / (width * height)) ** 0.5)
    sheet = Sheet(
        max(1, round(width * scale)),
        max(1, round(height * scale)),
        palettes[seed % len(palettes)],
        random.Random(key + str(seed).encode()),
        subject=f"{title.small} {title.large}",
    )
    scenes[seed % len(scenes)](sheet)
    image = sheet.image.resize((width, height), Image.Resampling.BOX if scale == 2 else Image.Resampling.BICUBIC)
    set_type(image, title, sheet.palette.light, sheet.palette.dark)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def read_title(prompt: str) -> Title:
    """The words to set: the text after a colon if it is short enough for a headline, and the product."""
    product = find_product(prompt) or ""
    line = prompt.strip().splitlines()[0] if prompt.strip() else ""
    after = line.partition(":")[2].strip(" \"'“”")
    if product and 0 < len(after) <= MAX_TITLE:
        return Title(large=after, small="" if product.lower() in after.lower() else product)
    return Title(large=product)


def set_type(image: Image.Image, title: Title, light: Colour, dark: Colour) -> None:
    """Set the title into the quiet upper part, in the more readable of the two colours."""
    draw = ImageDraw.Draw(image)
    width, height = image.size
    unit = min(width, height)
    margin = round(0.075 * unit)
    ink = _readable(image, (margin, margin, width - margin, max(margin + 1, round(height * 0.36))), light, dark)
    top = float(margin)
    if title.small:
        font = _font(0.026 * unit)
        _spaced(draw, (margin, top), _known(title.small.upper(), font), font, ink)
        top += 0.055 * unit
    _set_large(draw, title.large, (margin, top, width - 2 * margin, 0.335 * height - top), unit, ink)
    font = _font(0.016 * unit)
    _spaced(draw, (width - margin - _spaced_length(MARK, font), 0.03 * unit), MARK, font, ink)


def _set_large(
    draw: ImageDraw.ImageDraw, text: str, box: tuple[float, float, float, float], unit: int, ink: Colour
) -> None:
    x, y, width, height = box
    for part in (0.125, 0.11, 0.098, 0.086, 0.076, 0.066, 0.056, 0.046, 0.036):
        font = _font(part * unit)
        weight = round(part * unit * 0.022)
        lines = _wrapped(_known(text, font), font, width)
        leading = part * unit * 1.06
        if len(lines) * leading <= height and all(font.getlength(line) <= width for line in lines):
            break
    for number, line in enumerate(lines):
        draw.text((x, y + number * leading), line, font=font, fill=ink, stroke_width=weight, stroke_fill=ink)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def _spaced(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, font: ImageFont.FreeTypeFont, ink: Colour
) -> None:
    x, y = at
    for letter in text:
        draw.text((x, y), letter, font=font, fill=ink)
        x += font.getlength(letter) + font.size * 0.12


def _spaced_length(text: str, font: ImageFont.FreeTypeFont) -> float:
    return sum(font.getlength(letter) + font.size * 0.12 for letter in text)


def _known(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The text without the characters that the bundled font lacks."""
    missing = bytes(font.getmask("\uffff"))
    kept = (c for c in text if c == " " or (c.isprintable() and bytes(font.getmask(c)) != missing))
    return " ".join("".join(kept).split())


def _readable(image: Image.Image, box: tuple[int, int, int, int], light: Colour, dark: Colour) -> Colour:
    ground = image.crop(box).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(ground, tuple)
    brightness = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return dark if brightness > 140 else light


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(6, round(size)))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
