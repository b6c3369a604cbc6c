"""Small copies of images as data URIs, made once per file and size up to what a card or a choice needs. Files are not trusted:
their size is checked before they are decoded, and only PNG, JPEG and WEBP are opened.
"""

from __future__ import annotations

import os
from base64 import b64encode
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from xtyl_engine.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP")
QUALITY = 82
# Larger ones are looked at one by one, and a thousand of them would fill the memory.
KEPT_PIXELS = 512


def thumbnail(path: str, size: int) -> str | None:
    """The image at `path`, no side longer than `size` pixels, as a data URI; None if it cannot be shown."""
    try:
        if size > KEPT_PIXELS:
            return _make(path, size)
        return _made(path, size, os.stat(path).st_mtime_ns)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=4096)
def _made(path: str, size: int, changed: int) -> str | None:
    return _make(path, size)


def _make(path: str, size: int) -> str | None:
    from PIL import Image, UnidentifiedImageError

    if os.path.getsize(path) > MAX_IMAGE_BYTES:
        return None
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                return None
            image.draft("RGB", (size, size))
            image.thumbnail((size, size))
            return _encoded(image)
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError):
        return None


def _encoded(image: Image.Image) -> str:
    transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa")
    kind, mode = ("png", "RGBA") if transparent else ("jpeg", "RGB")
    buffer = BytesIO()
    image.convert(mode).save(buffer, format=kind, quality=QUALITY, optimize=True)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"
