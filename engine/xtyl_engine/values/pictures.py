"""Pictures as they are sent to a provider: the stored file itself, byte for byte, where it fits what the provider takes; or else
one made from it that does, upright, smaller, in another format. A file that is passed on is read only while it is sent.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from os import SEEK_END
from typing import TYPE_CHECKING, BinaryIO

from xtyl_engine.errors import LimitExceeded
from xtyl_engine.values.images import ImageRefused, opened_image, orientation, thumbnail, upright

if TYPE_CHECKING:
    from PIL.Image import Image

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
Opener = Callable[[], BinaryIO]
QUALITY = 90
# What any vision model reads: 8 bits for each of its colours.
_USUAL_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
_SEEN_THROUGH = ("LA", "PA", "RGBA", "RGBa", "La")
# A multiple of three, so that the pieces of a file make one text of base64; and how far a picture is shrunk at once.
_PIECE = 3 * 2**16
_SMALLER = 0.7
_LEAST_SIDE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureBounds:
    """What a provider takes: media types, bytes of a picture and of all for one request, the longest side in pixels, and how many
    pictures."""

    media_types: tuple[str, ...] = (PNG, JPEG, WEBP)
    most_bytes: int = 20 * 1024 * 1024
    most_together: int = 36 * 1024 * 1024
    most_side: int = 8000
    most_pictures: int = 16


USUAL_BOUNDS = PictureBounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture for a provider: upright, within its bounds, `width` by `height` pixels and `size` bytes. `open` gives its bytes
    from their beginning."""

    media_type: str
    width: int
    height: int
    size: int
    open: Opener

    def read(self) -> bytes:
        """All its bytes."""
        with self.open() as file:
            return file.read()

    def base64(self) -> str:
        """Its bytes as base64, made in pieces: the whole file is not in memory beside it."""
        return "".join(self._pieces())

    def data_url(self) -> str:
        """A URL that holds it."""
        return "".join([f"data:{self.media_type};base64,", *self._pieces()])

    def _pieces(self) -> Iterator[str]:
        with self.open() as file:
            while piece := file.read(_PIECE):
                yield b64encode(piece).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    media_type: str
    width: int
    height: int
    size: int
    is_plain: bool
    """Upright, one frame, in colours that are usual."""
    has_alpha: bool


def fitted(open: Opener, bounds: PictureBounds) -> Picture:
    """The picture in a file, within bounds. Raises ImageRefused for anything but a whole image, LimitExceeded for one of too many
    pixels."""
    header = _look(open)
    if _fits(header, bounds):
        return _picture(header.media_type, (header.width, header.height), header.size, open)
    with open() as file, opened_image(file) as (image, media_type):
        side = bounds.most_side
        image.draft("RGB", (side, side))
        made = upright(thumbnail(image, min(side, max(image.size))))
        return _encoded(made, media_type, bounds)


def fitted_mask(open: Opener, of: Opener, sent: Picture, bounds: PictureBounds) -> Picture:
    """A mask for a picture, `sent` from the file `of`: a PNG of the same size that is transparent where the picture is to be made
    anew. A mask without transparency is white there.

    Raises ImageRefused for a mask of another size, and what `fitted` raises."""
    header, seen = _look(open), _look(of)
    if (header.width, header.height) != (seen.width, seen.height):
        raise ImageRefused(
            f"the mask has {header.width} x {header.height} pixels, and the first image {seen.width} x {seen.height}",
            hint="Give the mask the size of the first image: `mask.resize(image.size)`.",
        )
    size = (sent.width, sent.height)
    if header.media_type == PNG and header.has_alpha and _fits(header, bounds) and size == (seen.width, seen.height):
        return _picture(PNG, size, header.size, open)
    from PIL import Image, ImageOps

    with open() as file, opened_image(file) as (image, _):
        whole = upright(image)
        kept = whole.convert("RGBA").getchannel("A") if is_seen_through(whole) else ImageOps.invert(whole.convert("L"))
        made = Image.new("RGBA", size)
        made.putalpha(kept.resize(size, Image.Resampling.NEAREST))
        return _saved(made, PNG)


@contextmanager
def decoded(picture: Picture, side: int) -> Iterator[Image]:
    """A picture's image with no side longer than `side` pixels, with transparency."""
    with picture.open() as file, opened_image(file) as (image, _):
        image.draft("RGB", (side, side))
        yield thumbnail(image, side).convert("RGBA")


def is_seen_through(image: Image) -> bool:
    """Whether any pixel of an image is transparent in part."""
    if image.mode not in _SEEN_THROUGH and "transparency" not in image.info:
        return False
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return bool(lowest < 255)  # type: ignore[operator]


def _look(open: Opener) -> _Header:
    """The facts of an image that its header tells."""
    with open() as file, opened_image(file, decodes=False) as (image, media_type):
        # Of a PNG without EXIF data ahead of its pixels, Pillow decodes these to look for some behind them.
        turn = orientation(image) if media_type != PNG or "exif" in image.info else 1
        usual = image.mode in _USUAL_MODES and not getattr(image, "is_animated", False)
        width, height = image.size[::-1] if turn >= 5 else image.size
        return _Header(
            media_type=media_type,
            width=width,
            height=height,
            size=file.seek(0, SEEK_END),
            is_plain=usual and turn == 1,
            has_alpha=image.mode in _SEEN_THROUGH or "transparency" in image.info,
        )


def _fits(header: _Header, bounds: PictureBounds) -> bool:
    return (
        header.is_plain
        and header.media_type in bounds.media_types
        and header.size <= bounds.most_bytes
        and max(header.width, header.height) <= bounds.most_side
    )


def _encoded(image: Image, media_type: str, bounds: PictureBounds) -> Picture:
    """An image within bounds, in the first format that holds it; smaller where none does."""
    has_alpha = is_seen_through(image)
    kinds = [kind for kind in _kinds(media_type, has_alpha) if kind in bounds.media_types]
    profile = image.info.get("icc_profile") if image.mode in ("L", "LA", "RGB", "RGBA") else None
    if has_alpha and not kinds:
        image, kinds = _onto_white(image), [JPEG]
    else:
        image = image.convert("RGBA" if has_alpha else "L" if image.mode in ("1", "L", "LA") else "RGB")
    while True:
        for kind in kinds:
            made = _saved(image, kind, profile)
            if made.size <= bounds.most_bytes:
                return made
        side = int(max(image.size) * _SMALLER)
        if side < _LEAST_SIDE:
            raise LimitExceeded(
                f"the image does not fit into {bounds.most_bytes:,} bytes, however small", hint="Take another one."
            )
        image.thumbnail((side, side))


def _kinds(media_type: str, has_alpha: bool) -> tuple[str, ...]:
    """The formats to try, the one of the fewest losses first."""
    if has_alpha:
        return (PNG, WEBP)
    return (PNG, JPEG, WEBP) if media_type == PNG else (JPEG, WEBP, PNG)


def _onto_white(image: Image) -> Image:
    from PIL import Image as Images

    ground = Images.new("RGBA", image.size, "white")
    ground.alpha_composite(image.convert("RGBA"))
    return ground.convert("RGB")


def _saved(image: Image, media_type: str, profile: bytes | None = None) -> Picture:
    buffer = BytesIO()
    image.save(buffer, media_type.removeprefix("image/").upper(), quality=QUALITY, icc_profile=profile)
    data = buffer.getvalue()
    return _picture(media_type, image.size, len(data), lambda: BytesIO(data))


def _picture(media_type: str, size: tuple[int, int], length: int, open: Opener) -> Picture:
    width, height = size
    return Picture(media_type=media_type, width=width, height=height, size=length, open=open)
