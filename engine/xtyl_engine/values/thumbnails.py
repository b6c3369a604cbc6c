"""Scaled copies of stored images: the latest are kept, up to a number of bytes, and all who ask for the same one at once wait
for one decoding. How an image is scaled is in `images`.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path

from xtyl_engine.values.images import scale_image
from xtyl_engine.values.recent import Recent

Scaled = tuple[bytes, str]
KEPT_BYTES = 32 * 1024 * 1024
_kept: Recent[tuple[str, int], Scaled] = Recent(KEPT_BYTES)
_making: dict[tuple[str, int], Future[Scaled]] = {}
_lock = threading.Lock()


def scaled(path: Path, size: int) -> Scaled:
    """A stored image, which never changes, no side longer than `size`, and its media type. Raises what `scale_image` raises."""
    key = (str(path), size)
    if (known := _kept.get(key)) is not None:
        return known
    with _lock:
        other = _making.get(key)
        mine: Future[Scaled] = _making.setdefault(key, Future())
    if other is not None:
        return other.result()
    try:
        made = scale_image(path, size)
        _kept.put(key, made, len(made[0]))
        mine.set_result(made)
        return made
    except BaseException as error:
        mine.set_exception(error)
        raise
    finally:
        with _lock:
            del _making[key]
