"""Pictures as a provider takes them: passed on as they are where they fit, and brought to it where they do not."""

from __future__ import annotations

import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from xtyl_engine.errors import LimitExceeded
from xtyl_engine.values.images import ImageRefused
from xtyl_engine.values.pictures import JPEG, PNG, Picture, PictureBounds, fitted, fitted_mask

USUAL = PictureBounds()
SMALL = PictureBounds(most_side=100)


def opener(image: Image.Image, kind: str = "PNG", **more: Any) -> Callable[[], io.BytesIO]:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return lambda: io.BytesIO(buffer.getvalue())


def noise(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    return Image.frombytes(mode, size, os.urandom(size[0] * size[1] * len(mode)))


def shown(picture: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(picture.read()))
    image.load()
    return image


def colour_at(image: Image.Image, place: tuple[int, int]) -> tuple[int, ...]:
    found = image.getpixel(place)
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_fits_is_passed_on_byte_for_byte(kind: str) -> None:
    """Nothing is decoded, and nothing is lost, its metadata included."""
    given = opener(noise((30, 20)), kind, exif=Image.Exif())
    picture = fitted(given, USUAL)
    assert picture.read() == given().getvalue()
    assert (picture.media_type, picture.width, picture.height) == (f"image/{kind.lower()}", 30, 20)
    assert picture.size == len(picture.read())


def test_a_turned_photo_is_upright() -> None:
    """What EXIF data say of its orientation is done, and they no longer say it."""
    photo = Image.new("RGB", (40, 20), "red")
    photo.paste("blue", (0, 0, 20, 20))
    turned = Image.Exif()
    turned[0x0112] = 6
    picture = fitted(opener(photo, "JPEG", exif=turned), USUAL)
    made = shown(picture)
    assert (made.size, picture.width, picture.height) == ((20, 40), 20, 40)
    assert colour_at(made, (10, 5))[2] > 200
    assert colour_at(made, (10, 35))[0] > 200
    assert 0x0112 not in made.getexif()


@pytest.mark.parametrize(
    ("mode", "kind", "media_type"),
    [("RGB", "PNG", PNG), ("RGBA", "PNG", PNG), ("RGB", "JPEG", JPEG), ("RGBA", "WEBP", PNG)],
)
def test_a_large_picture_is_made_smaller(mode: str, kind: str, media_type: str) -> None:
    """No side is longer than the provider takes; shape and transparency stay."""
    colour = (10, 200, 30, 90)[: len(mode)]
    picture = fitted(opener(Image.new(mode, (400, 200), colour), kind), SMALL)
    assert (picture.media_type, picture.width, picture.height) == (media_type, 100, 50)
    made = shown(picture)
    assert made.mode == mode
    if mode == "RGBA":
        assert abs(colour_at(made, (50, 25))[3] - 90) <= 2


def test_bytes_are_bounded() -> None:
    """A picture of too many bytes is saved with losses, and made smaller until it fits."""
    bounds = PictureBounds(most_bytes=20_000)
    for mode in ("RGB", "RGBA"):
        picture = fitted(opener(noise((300, 200), mode)), bounds)
        assert picture.size == len(picture.read()) <= 20_000
        assert picture.width / picture.height == pytest.approx(1.5, rel=0.05)
    with pytest.raises(LimitExceeded, match="does not fit into 10 bytes"):
        fitted(opener(noise((80, 80))), PictureBounds(most_bytes=10))


def test_transparency_that_a_format_lacks_is_white() -> None:
    """A provider that takes JPEG alone gets what is transparent on white."""
    picture = fitted(opener(Image.new("RGBA", (20, 20), (0, 0, 0, 0))), PictureBounds(media_types=(JPEG,)))
    assert (picture.media_type, shown(picture).getpixel((9, 9))) == (JPEG, (255, 255, 255))


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG"),
        (Image.new("I;16", (20, 20), 40_000), "PNG"),
        (Image.new("RGB", (20, 20), "red"), "WEBP"),
    ],
    ids=["cmyk", "16-bit", "webp"],
)
def test_colours_that_not_every_model_reads_become_usual_ones(image: Image.Image, kind: str) -> None:
    """Ink colours, 16 bits and a format that the provider lacks become 8 bits of grey or RGB."""
    given = opener(image, kind)
    picture = fitted(given, PictureBounds(media_types=(PNG, JPEG)))
    made = shown(picture)
    assert picture.read() != given().getvalue()
    assert (picture.media_type in (PNG, JPEG), made.mode in ("L", "RGB")) == (True, True)
    assert 60 < colour_at(made.convert("L").convert("RGB"), (9, 9))[0] < 170


def test_what_is_no_image_is_refused() -> None:
    """So is one that is damaged where it has to be read."""
    with pytest.raises(ImageRefused, match="not a PNG, JPEG or WEBP"):
        fitted(lambda: io.BytesIO(b"GIF89a..."), USUAL)
    half = opener(noise((400, 200)))().getvalue()[:5000]
    with pytest.raises(ImageRefused, match="truncated or damaged"):
        fitted(lambda: io.BytesIO(half), SMALL)


def mask_of(mask: Image.Image, bounds: PictureBounds = USUAL, kind: str = "PNG") -> Picture:
    image = opener(Image.new("RGB", (400, 200), "red"))
    return fitted_mask(opener(mask, kind), image, fitted(image, bounds), bounds)


def test_a_mask_is_transparent_where_the_picture_changes() -> None:
    """One with transparency is passed on; in one without, white is what changes. Both have the size of what is sent."""
    white = Image.new("L", (400, 200), 0)
    white.paste(255, (0, 0, 200, 200))
    made = shown(mask_of(white, SMALL, "JPEG"))
    assert (made.size, made.mode) == ((100, 50), "RGBA")
    assert (colour_at(made, (10, 25))[3], colour_at(made, (90, 25))[3]) == (0, 255)
    clear = Image.new("RGBA", (400, 200), (9, 9, 9, 0))
    assert mask_of(clear).read() == opener(clear)().getvalue()
    with pytest.raises(ImageRefused, match="the mask has 200 x 400 pixels, and the first image 400 x 200"):
        mask_of(Image.new("L", (200, 400)))


def test_a_picture_that_is_passed_on_takes_little_memory(tmp_path: Path) -> None:
    """A URL that holds a picture of 4 MB takes no more than three times its bytes to make: the file is read in pieces."""
    path = tmp_path / "photo.png"
    noise((1200, 1200)).save(path, compress_level=0)
    picture = fitted(lambda: path.open("rb"), USUAL)
    assert picture.size > 4_000_000
    tracemalloc.start()
    url = picture.data_url()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert url.startswith("data:image/png;base64,iVBOR")
    assert peak < 3 * picture.size
