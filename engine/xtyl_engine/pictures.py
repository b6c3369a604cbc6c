"""Images made smaller, for pages that show many of them. Files are not trusted: size and format are checked before anything is
decoded, and what a decoder says of a broken one stays here.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from pathlib import Path

from xtyl_engine.artifacts import ArtifactError, ImageRefused, sniff_image
from xtyl_engine.errors import LimitExceeded
from xtyl_engine.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS

LEAST, MOST = 16, 2048
QUALITY = 82


@lru_cache(maxsize=256)
def scaled(path: Path, size: int) -> tuple[bytes, str]:
    """The image in a stored file, no side longer than `size` pixels, and its media type: PNG where it is transparent, else JPEG.

    Raises ImageRefused for what is no whole image, LimitExceeded for one that is too large to decode, ArtifactError for a file
    that is gone. A stored file never changes, so that what was made of it is kept for a while.
    """
    try:
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise LimitExceeded("the image has too many bytes to be scaled", hint="Ask for it without `size`.")
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"the artifact {path.name} cannot be read: {error.strerror}") from error
    media_type = sniff_image(data)
    if media_type is None:
        raise ImageRefused("the file is no PNG, JPEG or WEBP image", hint="Ask for it without `size`.")
    try:
        return _made(data, size, media_type)
    except (ImageRefused, LimitExceeded):
        raise
    except Exception as error:
        # A damaged file can make Pillow's decoders raise nearly anything.
        raise ImageRefused("the image is truncated or damaged", hint="Run the step that made it again.") from error


def _made(data: bytes, size: int, media_type: str) -> tuple[bytes, str]:
    from PIL import Image

    with Image.open(BytesIO(data), formats=[media_type.removeprefix("image/").upper()]) as image:
        if image.width * image.height > MAX_IMAGE_PIXELS:
            raise LimitExceeded("the image has too many pixels to be scaled", hint="Ask for it without `size`.")
        image.draft("RGB", (size, size))
        image.thumbnail((size, size))
        is_transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa")
        kind, mode = ("PNG", "RGBA") if is_transparent else ("JPEG", "RGB")
        buffer = BytesIO()
        image.convert(mode).save(buffer, kind, quality=QUALITY)
        return buffer.getvalue(), f"image/{kind.lower()}"
