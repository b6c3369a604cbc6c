"""Images: recognise, check, encode and scale them. Files are not trusted: bytes and pixels are counted before decoding,
and a decoder's errors are translated here. Storing images is for `artifacts`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from xtyl_engine.errors import LimitExceeded, PermanentError
from xtyl_engine.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP")
# The sides, in pixels, to which an image may be scaled on demand.
LEAST_SIDE, MOST_SIDE = 16, 2048
QUALITY = 82


class ImageRefused(PermanentError, ValueError):
    """The bytes are not a whole PNG, JPEG or WEBP image."""

    code = "artifact/image"


def sniff_image(data: bytes) -> str | None:
    """The media type of a PNG, JPEG or WEBP image by its first bytes, or None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def check_image(data: bytes) -> tuple[str, int, int]:
    """Decode an image for its media type, width and height, its sizes checked before any pixel is unpacked.

    Raises LimitExceeded, before decoding, for an image that is too large, ImageRefused for anything but a whole image.
    """
    with _opened(io.BytesIO(data)) as (image, media_type):
        image.load()
        return media_type, *image.size


def check_pixels(width: int, height: int, hint: str = "Make it smaller.") -> None:
    """Raise LimitExceeded for an image of more pixels than are allowed."""
    if width * height > MAX_IMAGE_PIXELS:
        raise LimitExceeded(
            f"the image is {width} x {height}, more than the {MAX_IMAGE_PIXELS:,} pixels allowed", hint=hint
        )


def open_image(data: bytes) -> Image:
    """Bytes as a PIL image, decoded when its pixels are first used."""
    from PIL import Image

    return Image.open(io.BytesIO(data), formats=FORMATS)


def encode_png(picture: Image) -> bytes:
    """A PIL image as PNG, its mode converted where PNG has none."""
    check_pixels(*picture.size)
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def scale_image(path: str | Path, size: int, *, optimize: bool = False) -> tuple[bytes, str]:
    """The image in a file, no side longer than `size` pixels, and its media type: PNG where it is transparent, else JPEG.
    `optimize` takes longer for fewer bytes.

    Raises ImageRefused for anything but a whole image, LimitExceeded for an image too large to decode, OSError for a file
    that cannot be read.
    """
    words = "Ask for it without `size`.", "Run the step that made it again."
    with open(path, "rb") as file, _opened(file, *words) as (image, _):
        image.draft("RGB", (size, size))
        image.thumbnail((size, size))
        is_transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa")
        kind, mode = ("PNG", "RGBA") if is_transparent else ("JPEG", "RGB")
        buffer = io.BytesIO()
        image.convert(mode).save(buffer, kind, quality=QUALITY, optimize=optimize)
        return buffer.getvalue(), f"image/{kind.lower()}"


@contextmanager
def _opened(
    file: BinaryIO, otherwise: str = "", repair: str = "Save it again, and check that it opens."
) -> Iterator[tuple[Image, str]]:
    """A file's image, not yet decoded, and its media type. A decoder's error inside the block becomes one of ours;
    `otherwise` is the hint for an image that may not be opened, `repair` for a damaged one."""
    from PIL import Image

    if (size := file.seek(0, os.SEEK_END)) > MAX_IMAGE_BYTES:
        raise LimitExceeded(
            f"the image has {size:,} bytes, more than the {MAX_IMAGE_BYTES:,} allowed",
            hint=otherwise or "Make it smaller, or save it as JPEG or WEBP.",
        )
    file.seek(0)
    media_type = sniff_image(file.read(12))
    if media_type is None:
        raise ImageRefused(
            "the bytes are not a PNG, JPEG or WEBP image, whatever the file's name says",
            hint=otherwise or "Convert it to one of these formats.",
        )
    unread = "header"
    try:
        with Image.open(file, formats=[media_type.removeprefix("image/").upper()]) as image:
            check_pixels(*image.size, otherwise or "Make it smaller.")
            unread = "pixels"
            yield image, media_type
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitExceeded(
            f"the image has more than the {MAX_IMAGE_PIXELS:,} pixels allowed", hint=otherwise or "Make it smaller."
        ) from error
    except LimitExceeded:
        raise
    except Exception as error:
        # On a damaged file Pillow's decoders raise nearly anything: OSError, SyntaxError, struct.error. Their messages name
        # objects by address, and differ between releases.
        raise ImageRefused(
            f"the {media_type} image is truncated or damaged: its {unread} cannot be read", hint=repair
        ) from error
