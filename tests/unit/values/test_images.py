"""Images are scaled for pages that show many of them, and a file that is none or too large is refused in words of ours."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from xtyl_engine.errors import LimitExceeded
from xtyl_engine.values.artifacts import ArtifactError, ArtifactStore
from xtyl_engine.values.images import ImageRefused, scale_image


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT": zlib.compress(b"")}
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks.items()
    ]
    return b"".join([b"\x89PNG\r\n\x1a\n", *parts])


def encoded(mode: str = "RGB", format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (120, 60)).save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "format", "media_type"),
    [
        ("RGB", "PNG", "image/jpeg"),
        ("RGBA", "PNG", "image/png"),
        ("LA", "PNG", "image/png"),
        ("L", "WEBP", "image/jpeg"),
    ],
)
@pytest.mark.parametrize("optimize", [False, True])
def test_an_image_is_scaled(tmp_path: Path, mode: str, format: str, media_type: str, optimize: bool) -> None:
    """No side is longer than was asked for, the sides keep their proportion, and what is transparent stays so."""
    path = tmp_path / "poster"
    path.write_bytes(encoded(mode, format))
    data, made = scale_image(path, 40, optimize=optimize)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.size, made) == ((40, 20), media_type)
        assert image.mode == ("RGBA" if media_type == "image/png" else "RGB")


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"words", ImageRefused, "not a PNG, JPEG or WEBP image.*\n.*Ask for it without `size`"),
        (
            png(8_000, 8_000),
            LimitExceeded,
            "8000 x 8000, more than the 50,000,000 pixels.*\n.*Ask for it without `size`",
        ),
        (encoded()[:60], ImageRefused, "truncated or damaged: its pixels cannot be read.*\n.*Run the step"),
    ],
    ids=["words", "huge", "damaged"],
)
def test_what_cannot_be_scaled_says_why(tmp_path: Path, data: bytes, kind: type[Exception], words: str) -> None:
    """No image, one of too many pixels, a damaged one: each with what to do."""
    path = tmp_path / "poster"
    path.write_bytes(data)
    with pytest.raises(kind, match=words):
        scale_image(path, 40)


def test_a_stored_image_is_scaled(tmp_path: Path) -> None:
    """The store scales what it holds, and names a file that is gone."""
    store = ArtifactStore(tmp_path)
    kept = store.save_image(encoded())
    data, _ = store.scaled(kept, 40)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (40, 20)
    store.path(kept).unlink()
    with pytest.raises(ArtifactError, match="cannot be read: No such file"):
        store.scaled(kept, 41)


@pytest.mark.parametrize(
    ("mode", "space", "name", "is_kept"),
    [
        ("RGB", b"RGB ", b"Adobe RGB", True),
        ("RGBA", b"RGB ", b"Display P3", True),
        ("RGB", b"RGB ", b"sRGB IEC61966-2.1", False),
        ("RGB", b"RGB ", b"x" * 20_000, False),
        ("RGB", b"CMYK", b"SWOP", False),
        ("L", b"GRAY", b"Dot Gain", False),
    ],
)
def test_a_small_copy_keeps_its_colours(tmp_path, mode, space, name, is_kept):
    """The profile that its numbers need goes with it, if it is not the usual one and not large."""
    profile = b"\0" * 16 + space + b"\0" * 108 + name
    path = tmp_path / "a.png"
    Image.new(mode, (60, 40), 90).save(path, icc_profile=profile)
    data, _ = scale_image(path, 20)
    with Image.open(io.BytesIO(data)) as made:
        assert made.info.get("icc_profile") == (profile if is_kept else None)
