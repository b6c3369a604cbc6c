"""Image files that a table names by their paths: read where the run is started, because a worker may stand elsewhere and reads no
path that a row tells it.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

from xtyl_engine.errors import LimitExceeded
from xtyl_engine.limits import MAX_IMAGE_BYTES
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.images import ImageRefused, sniff_image

# A path is no longer; a longer text is looked for nowhere.
_MOST_PATH = 1024


def with_files(value: Any, store: ArtifactStore, where: str) -> Any:
    """The value with each path of a file, also in a list, as the stored image. A text that leads to no file stays as it is.

    Raises ImageRefused and LimitExceeded, naming the place."""
    if isinstance(value, (list, tuple)):
        return [with_files(part, store, f"{where}[{place}]") for place, part in enumerate(value)]
    if not isinstance(value, (str, PurePath)) or len(str(value)) > _MOST_PATH:
        return value
    at = f"{where}, {str(value)[:200]!r}"
    try:
        path = Path(value).expanduser()
        return _stored(path, store) if path.is_file() else value
    except (ImageRefused, LimitExceeded) as error:
        raise type(error)(f"{at}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise ImageRefused(
            f"{at}, cannot be read: {error.strerror or type(error).__name__}",
            hint="Check that the file is there, and that it may be read.",
        ) from error
    except (ValueError, RuntimeError):
        # No path at all: a NUL in it, or the home of an unknown user.
        return value


def _stored(path: Path, store: ArtifactStore) -> dict[str, Any]:
    with path.open("rb") as file:
        is_known = sniff_image(file.read(12)) is not None
    if not is_known:
        return _converted(path, store)
    if (size := path.stat().st_size) > MAX_IMAGE_BYTES:
        raise LimitExceeded(
            f"the image has {size:,} bytes, more than the {MAX_IMAGE_BYTES:,} allowed",
            hint="Make it smaller, or save it as JPEG or WEBP.",
        )
    return store.save_image(path.read_bytes())


def _converted(path: Path, store: ArtifactStore) -> dict[str, Any]:
    """A file of another format, which is the own one of the kernel that starts the run."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return store.save_picture(picture)
    except (ImageRefused, LimitExceeded):
        raise
    except Exception as error:
        raise ImageRefused(
            "the file is no image that can be read", hint="Name a PNG, JPEG, WEBP, GIF, BMP or TIFF."
        ) from error
