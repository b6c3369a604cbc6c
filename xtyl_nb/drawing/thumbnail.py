"""Small copies of images as data URIs, made once per file and size. Only sizes that a card or a choice needs are kept."""

from __future__ import annotations

import os
from base64 import b64encode

from xtyl_engine.errors import LimitExceeded
from xtyl_engine.values.images import ImageRefused, scale_image
from xtyl_engine.values.recent import Recent

# Larger ones are shown one by one, and a thousand of them would fill the memory.
KEPT_PIXELS = 512
KEPT_CHARACTERS = 64 * 1024 * 1024
_kept: Recent[tuple[str, int, int], str] = Recent(KEPT_CHARACTERS)


def thumbnail(path: str, size: int) -> str | None:
    """The image at `path`, no side longer than `size` pixels, as a data URI; None if it cannot be shown."""
    try:
        key = path, size, os.stat(path).st_mtime_ns
        known = _kept.get(key)
        return (_make(*key) if known is None else known) or None
    except (OSError, ValueError):
        return None


def _make(path: str, size: int, changed: int) -> str:
    try:
        data, media_type = scale_image(path, size, optimize=True)
        made = f"data:{media_type};base64,{b64encode(data).decode()}"
    except (ImageRefused, LimitExceeded):
        made = ""
    if size <= KEPT_PIXELS:
        _kept.put((path, size, changed), made, len(made))
    return made
