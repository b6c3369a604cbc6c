"""A picture of Pillow's is stored with the values it has, whatever its mode, or refused in words; and it is shown as it is."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from xtyl_engine.errors import ValueNotPlain
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.images import encode_png, scale_image
from xtyl_engine.values.plain import plain

SIZE = (6, 4)
KEPT = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
CONVERTED = {
    **dict.fromkeys(("CMYK", "HSV", "RGBX", "YCbCr"), "RGB"),
    **dict.fromkeys(("PA", "RGBa"), "RGBA"),
    **dict.fromkeys(("I", "I;16B", "I;16L", "I;16N"), "I;16"),
    "La": "LA",
}


def noise(mode: str) -> Image.Image:
    """A picture with different values in every channel."""
    picture = Image.effect_noise(SIZE, 90).convert("RGB")
    picture.putpixel((0, 0), (255, 3, 0))
    if mode.startswith("I"):
        wide = Image.new("I", SIZE)
        wide.putdata([number * 2_849 for number in range(24)])
        return (
            wide
            if mode == "I"
            else wide.convert("I;16").convert(mode)
            if mode == "I;16"
            else Image.frombytes(
                mode,
                SIZE,
                b"".join((number * 2_849).to_bytes(2, "big" if mode == "I;16B" else "little") for number in range(24)),
            )
        )
    if mode in ("La", "RGBa"):
        return (
            picture.convert({"La": "L", "RGBa": "RGB"}[mode]).convert({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
        )
    return picture.convert("P").convert("PA") if mode == "PA" else picture.convert(mode)


def again(picture: Image.Image) -> Image.Image:
    """The picture as it is read from its PNG."""
    data, width, height = encode_png(picture)
    opened = Image.open(io.BytesIO(data))
    opened.load()
    assert opened.size == (width, height)
    return opened


@pytest.mark.parametrize("mode", [*KEPT, *CONVERTED])
def test_a_picture_keeps_its_values(mode: str) -> None:
    """A mode that PNG has comes back as it was, any other in the one that holds the same colours."""
    picture = noise(mode)
    opened, expected = again(picture), CONVERTED.get(mode, mode)
    assert opened.mode == expected
    wanted = (
        picture
        if mode in KEPT
        else picture.convert("I").convert("I;16")
        if expected == "I;16"
        else picture.convert(expected)
    )
    assert opened.convert("RGBA").tobytes() == wanted.convert("RGBA").tobytes()
    assert opened.tobytes() == wanted.tobytes()


@given(
    st.one_of(
        arrays(np.uint8, st.sampled_from([(2, 3), (2, 3, 2), (2, 3, 3), (2, 3, 4)])),
        arrays(np.uint16, (2, 3)),
        arrays(np.dtype(">u2"), (2, 3)),
        arrays(np.int32, (2, 3), elements=st.integers(0, 65_535)),
        arrays(np.bool_, (2, 3)),
    )
)
@settings(max_examples=40)
def test_numbers_of_an_array_come_back(values: np.ndarray) -> None:
    """Whole numbers are the same after their picture was stored."""
    assert np.array_equal(np.asarray(again(Image.fromarray(values))), values)


@given(arrays(np.float32, (2, 3), elements=st.floats(0, 1, width=32)))
@settings(max_examples=20)
def test_floats_come_back_as_shares_of_white(values: np.ndarray) -> None:
    """Floats from 0 to 1 are kept to 16 bits."""
    assert np.allclose(np.asarray(again(Image.fromarray(values))) / 65_535, values, atol=1 / 65_535)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            np.array([[0.0, 255.0]], np.float32),
            r"values from 0 to 255, and one of floats has values from 0 to 1\n.*Divide",
        ),
        (np.array([[0.0, -0.5]], np.float32), "values from -0.5 to 0"),
        (np.array([[0.5, np.nan, 0.5]], np.float32), "NaN"),
        (np.array([[0.5, np.inf]], np.float32), "values from 0.5 to inf"),
        (np.array([[-1, 5]], np.int32), "values from -1 to 5, and a grey one has them from 0 to 65535"),
        (np.array([[0, 70_000]], np.int32), "values from 0 to 70000"),
    ],
)
def test_values_that_no_png_holds_are_refused(tmp_path: Path, values: np.ndarray, words: str) -> None:
    """What would be cut to white or black is named, with its place and what to do."""
    where = r'result\["a"\], an Image, cannot be stored: the picture holds '
    with pytest.raises(ValueNotPlain, match=where + words) as caught:
        plain({"a": Image.fromarray(values)}, ArtifactStore(tmp_path))
    assert caught.value.hint
    assert not list(tmp_path.rglob("*.png"))


def test_a_picture_whose_file_is_closed_is_refused(tmp_path: Path) -> None:
    """A picture that Pillow has not read when its file closes says so."""
    Image.new("RGB", SIZE).save(tmp_path / "a.png")
    with open(tmp_path / "a.png", "rb") as file:
        of_a_closed_file = Image.open(file)
    closed = Image.new("RGB", SIZE)
    closed.close()
    for picture in (of_a_closed_file, closed):
        with pytest.raises(ValueNotPlain, match=r"is not read yet, and its file is closed.*\n.*picture\.load\(\)"):
            plain(picture, ArtifactStore(tmp_path))


def test_an_empty_or_lab_picture_is_refused(tmp_path: Path) -> None:
    """No pixels and colours that PNG does not have are named."""
    for picture, words in ((Image.new("L", (0, 3)), "is empty: 0 x 3"), (Image.new("LAB", SIZE), "is in LAB colours")):
        with pytest.raises(ValueNotPlain, match=words):
            plain(picture, ArtifactStore(tmp_path))


def test_broken_bytes_of_an_image_say_what_is_wrong(tmp_path: Path) -> None:
    """Bytes that begin as an image and are none are refused in our words, with their place."""
    with pytest.raises(
        ValueNotPlain, match=r"result\[0\], a bytes, cannot be stored: the image/png image is truncated"
    ):
        plain([b"\x89PNG\r\n\x1a\n" + bytes(20)], ArtifactStore(tmp_path))


def test_transparency_of_a_palette_is_kept() -> None:
    """The transparent entry of a palette is transparent after it was stored, so is the transparent colour of RGB."""
    palette = Image.new("P", SIZE)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.info["transparency"] = 0
    assert again(palette).convert("RGBA").getpixel((0, 0)) == (255, 0, 0, 0)
    colours = Image.new("RGB", SIZE, (1, 2, 3))
    colours.info["transparency"] = (1, 2, 3)
    assert again(colours).convert("RGBA").getpixel((0, 0)) == (1, 2, 3, 0)


def photo(size: tuple[int, int] = (40, 20)) -> bytes:
    """A photo that lies on its side, its upper half red, as cameras write them."""
    lying = Image.new("RGB", size, "white")
    lying.paste("red", (0, 0, size[0] // 2, size[1]))
    exif = lying.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    lying.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_a_photo_stands_upright(tmp_path: Path) -> None:
    """The turn that a camera notes is made when a picture is stored, and when a stored file is shown small."""
    store = ArtifactStore(tmp_path)
    kept = store.save_picture(Image.open(io.BytesIO(photo())))
    assert (kept["width"], kept["height"]) == (20, 40)
    shown = store.artifact(kept).open()
    assert shown.getexif().get(0x0112, 1) == 1
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo())
    small = Image.open(io.BytesIO(scale_image(path, 16)[0]))
    assert small.size == (8, 16)
    for image in (shown, small):
        red, green, _ = np.asarray(image)[image.height // 8, image.width // 2]
        assert (red > 200, green < 80) == (True, True)


def test_unreadable_exif_data_say_nothing(tmp_path: Path) -> None:
    """A picture with broken EXIF data is stored and shown as it lies."""
    path = tmp_path / "a.jpg"
    Image.new("RGB", SIZE).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert Image.open(io.BytesIO(scale_image(path, 16)[0])).size == SIZE
        assert again(Image.open(path)).size == SIZE


def test_of_an_animation_the_present_frame_is_kept() -> None:
    """A picture that moves is stored as the frame that it stands at."""
    buffer = io.BytesIO()
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "green", "blue")]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    moving = Image.open(buffer)
    moving.seek(2)
    assert again(moving).convert("RGB").getpixel((0, 0)) == (0, 0, 255)
    assert getattr(again(moving), "n_frames", 1) == 1


def test_a_profile_of_other_colours_is_left_out() -> None:
    """A profile that tells of CMYK does not stand in a file of RGB; one of RGB stays."""
    for mode, kept in (("CMYK", None), ("RGB", b"profile")):
        picture = Image.new(mode, SIZE)
        picture.info["icc_profile"] = b"profile"
        assert again(picture).info.get("icc_profile") == kept


@pytest.mark.parametrize("side", [8, 600])
@pytest.mark.parametrize("grey", [0, 20_000, 65_535])
def test_a_small_copy_of_a_picture_of_16_bits_has_its_brightness(tmp_path: Path, side: int, grey: int) -> None:
    """Dark grey is not shown as white, in a small picture and in one that is scaled down a lot."""
    path = tmp_path / "grey.png"
    picture = Image.new("I;16", (side, side), grey)
    picture.save(path, transparency=60_000)
    with Image.open(io.BytesIO(scale_image(path, 16)[0])) as small:
        assert np.abs(np.asarray(small, int) - grey // 256).max() < 2


@pytest.mark.parametrize("mode", ["1", "CMYK", "L", "LA", "P", "RGB", "RGBA", "YCbCr"])
def test_a_small_copy_has_the_colours_of_the_picture(tmp_path: Path, mode: str) -> None:
    """Each mode that a stored file may have is shown as it is."""
    picture = Image.new("RGB", (300, 200), "white" if mode in ("1", "L", "LA") else (200, 60, 20)).convert(mode)
    path = tmp_path / "a"
    picture.save(path, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    with Image.open(io.BytesIO(scale_image(path, 64)[0])) as small:
        assert small.size == (64, 43)
        close = np.abs(
            np.asarray(small.convert("RGB"), int) - np.asarray(picture.convert("RGB").resize(small.size), int)
        )
        assert close.max() < 30


def test_a_stored_picture_of_many_bytes_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are counted where they come in; a picture that is stored is shown, however badly it compresses."""
    monkeypatch.setattr("xtyl_engine.values.images.MAX_IMAGE_BYTES", 1_000)
    store = ArtifactStore(tmp_path)
    kept = store.save_picture(Image.effect_noise((90, 90), 90))
    assert kept["size"] > 1_000
    assert store.scaled(kept, 16)[1] == "image/jpeg"
