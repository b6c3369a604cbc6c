"""Images: recognise, check, encode and scale them. Files are not trusted: bytes and pixels are counted before decoding,
and a decoder's errors are translated here. Storing images is for `artifacts`.

A picture of Pillow's becomes a PNG with the same values: 16 bits stay 16 bits, and what has no place in a PNG is refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from xtyl_engine.errors import LimitExceeded, PermanentError
from xtyl_engine.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from xtyl_engine.values.pixels import TURNS

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP")
# The sides, in pixels, to which an image may be scaled on demand.
LEAST_SIDE, MOST_SIDE = 16, 2048
QUALITY = 82
MOST_GREY = 2**16 - 1
ORIENTATION = 0x0112
# Those of cameras and screens have 0.5 to 4 KB; those of printers half a megabyte.
MOST_PROFILE = 16 * 1024
USUAL_PROFILE = (b"sRGB", "sRGB".encode("utf-16-be"))
# What PNG has no mode for, and the mode that holds the same colours.
_CONVERTED = {
    "CMYK": "RGB",
    "HSV": "RGB",
    "La": "LA",
    "PA": "RGBA",
    "RGBX": "RGB",
    "RGBa": "RGBA",
    "YCbCr": "RGB",
}


class ImageRefused(PermanentError, ValueError):
    """The bytes are not a whole PNG, JPEG or WEBP image; or a picture is none that PNG can hold."""

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
    if len(data) > MAX_IMAGE_BYTES:
        raise LimitExceeded(
            f"the image has {len(data):,} bytes, more than the {MAX_IMAGE_BYTES:,} allowed",
            hint="Make it smaller, or save it as JPEG or WEBP.",
        )
    with opened_image(io.BytesIO(data)) as (image, media_type):
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


def picture_of(array: Any) -> Image:
    """An array of rows of pixels, of three or four bytes each, as a PIL image."""
    from PIL import Image

    return Image.fromarray(array)


def encode_png(picture: Image) -> tuple[bytes, int, int]:
    """A PIL image as PNG, upright, its width and its height: of an animation the frame that it stands at.

    Raises LimitExceeded for too many pixels, ImageRefused for one without pixels or whose values PNG cannot hold.
    """
    check_pixels(*picture.size)
    try:
        picture.load()
    except Exception as error:
        # Pillow opens files late, and then raises nearly anything.
        raise ImageRefused(
            "the picture is not read yet, and its file is closed or damaged",
            hint="Call `picture.load()` while its file is open.",
        ) from error
    if not picture.width * picture.height:
        raise ImageRefused(
            f"the picture is empty: {picture.width} x {picture.height} pixels", hint="Return None instead."
        )
    made = _with_png_mode(upright(picture))
    buffer = io.BytesIO()
    # A profile tells of the colours in the mode that it was made for.
    profile = made.info.get("icc_profile") if picture.mode not in ("CMYK", "LAB") else None
    made.save(buffer, "PNG", compress_level=4, icc_profile=profile)
    return buffer.getvalue(), *made.size


def _with_png_mode(picture: Image) -> Image:
    mode = picture.mode
    if mode == "F":
        return _of_floats(picture)
    if mode == "I" or mode.startswith("I;16"):
        picture = picture.convert("I") if mode != "I" else picture
        least, most = picture.getextrema()
        if least < 0 or most > MOST_GREY:  # type: ignore[operator]
            raise ImageRefused(
                f"the picture holds values from {least} to {most}, and a grey one has them from 0 to {MOST_GREY}",
                hint="Scale them, for example with `picture.point(lambda value: value * factor)`.",
            )
        return picture.convert("I;16")
    if mode == "LAB":
        raise ImageRefused(
            "the picture is in LAB colours, which PNG does not have", hint="Convert it with PIL.ImageCms to sRGB."
        )
    return picture.convert(_CONVERTED[mode]) if mode in _CONVERTED else picture


def _of_floats(picture: Image) -> Image:
    """Floats from 0 to 1 as 16 bits."""
    from PIL.Image import Resampling

    least, most = picture.getextrema()
    # The extrema pass over NaN, a mean does not.
    mean = picture.resize((1, 1), Resampling.BOX).getpixel((0, 0))
    if not (least >= 0 and most <= 1 and mean == mean):  # type: ignore[operator]
        values = "NaN" if mean != mean else f"values from {least:g} to {most:g}"
        raise ImageRefused(
            f"the picture holds {values}, and one of floats has values from 0 to 1",
            hint='Divide by the largest, or take picture.convert("L") for values from 0 to 255.',
        )
    return picture.point(lambda value: value * MOST_GREY + 0.5).convert("I").convert("I;16")


def upright(image: Image) -> Image:
    """The image as its EXIF data says that it is to be seen."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image) if orientation(image) != 1 else image


def orientation(image: Image) -> int:
    """How an image is to be turned, as EXIF data count it: 1 is upright, from 5 on its width becomes its height."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:
        # EXIF data that nothing can read say nothing.
        return 1


def scale_image(path: str | Path, size: int, *, optimize: bool = False) -> tuple[bytes, str]:
    """The image in a file, no side longer than `size` pixels, and its media type: PNG where it is transparent, else JPEG.
    `optimize` takes longer for fewer bytes.

    Raises ImageRefused for anything but a whole image, LimitExceeded for an image too large to decode, OSError for a file
    that cannot be read.
    """
    words = "Ask for it without `size`.", "Run the step that made it again."
    with open(path, "rb") as file, opened_image(file, *words) as (image, _):
        image.draft("RGB", (size, size))
        image = upright(thumbnail(image, size))
        is_transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa")
        kind, mode = ("PNG", "RGBA") if is_transparent else ("JPEG", "RGB")
        buffer = io.BytesIO()
        # None, or a PNG would get the one that the image came with.
        profile = _profile_of_colours(image)
        image.convert(mode).save(buffer, kind, quality=QUALITY, optimize=optimize, icc_profile=profile)
        return buffer.getvalue(), f"image/{kind.lower()}"


def _profile_of_colours(image: Image) -> bytes | None:
    """The profile that tells which colours an image's RGB means; None where it is the usual one, or is of no RGB."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or len(profile) > MOST_PROFILE or image.mode not in ("RGB", "RGBA", "P"):
        return None
    return profile if profile[16:20] == b"RGB " and not any(name in profile for name in USUAL_PROFILE) else None


def thumbnail(image: Image, size: int) -> Image:
    """An image with no side longer than `size` pixels, of 8 bits a colour, and no palette."""
    if image.mode.startswith("I"):
        # Converted by itself, Pillow takes every value above 255 for white; and it cannot reduce these modes in steps.
        image.thumbnail((size, size), reducing_gap=None)
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
        # The transparent grey is one of 16 bits.
        image.info.pop("transparency", None)
        return image
    if image.mode in ("1", "P"):
        # Of these Pillow takes every so many pixels, which makes a raster of dots into noise.
        image = image.convert("L" if image.mode == "1" else "RGBA" if "transparency" in image.info else "RGB")
    image.thumbnail((size, size))
    return image


@contextmanager
def opened_image(
    file: BinaryIO,
    otherwise: str = "",
    repair: str = "Save it again, and check that it opens.",
    *,
    decodes: bool = True,
) -> Iterator[tuple[Image, str]]:
    """A file's image, not yet decoded, and its media type. A decoder's error inside the block becomes one of ours;
    `otherwise` is the hint for an image that may not be opened, `repair` for a damaged one. A block that only looks at the
    header, `decodes=False`, takes no turn among those that decode."""
    from PIL import Image

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
            with TURNS.held(image.width * image.height if decodes else 0):
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
