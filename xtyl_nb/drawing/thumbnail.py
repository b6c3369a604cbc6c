"""Small copies of images as data URIs, made once per file and size. Only sizes that a card or a choice needs are kept."""

from __future__ import annotations

import os
from base64 import b64encode
from functools import lru_cache

from xtyl_engine.errors import LimitExceeded
from xtyl_engine.values.images import ImageRefused, scale_image

# Larger ones are shown one by one, and a thousand of them would fill the memory.
KEPT_PIXELS = 512


def thumbnail(path: str, size: int) -> str | None:
    """The image at `path`, no side longer than `size` pixels, as a data URI; None if it cannot be shown."""
    try:
        return (_make if size > KEPT_PIXELS else _made)(path, size, os.stat(path).st_mtime_ns)
    except (OSError, ValueError):
        return None


def _make(path: str, size: int, changed: int) -> str | None:
    try:
        data, media_type = scale_image(path, size, optimize=True)
    except (ImageRefused, LimitExceeded):
        return None
    return f"data:{media_type};base64,{b64encode(data).decode()}"


_made = lru_cache(maxsize=4096)(_make)
