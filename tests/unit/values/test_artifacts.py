"""The artifact store keeps bytes whole, private and verified, and refuses what is no image."""

import errno
import io
import os
import stat
import struct
import threading
import zlib

import pytest
from PIL import Image

from xtyl_engine.errors import LimitExceeded, PermanentError
from xtyl_engine.limits import MAX_IMAGE_BYTES
from xtyl_engine.values.artifacts import Artifact, ArtifactError, ArtifactStore, is_artifact
from xtyl_engine.values.images import ImageRefused


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "artifacts")


def encoded(format="PNG", size=(64, 48)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, format)
    return buffer.getvalue()


def png_header(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_saved_bytes_come_back(store):
    """What was saved is read back, and the reference says its type and size."""
    reference = store.save(b"hello", "text/plain", title="greeting")
    assert store.read(reference) == b"hello"
    assert (reference["media_type"], reference["size"], reference["title"]) == ("text/plain", 5, "greeting")
    assert is_artifact(reference)
    assert store.knows(reference)


def test_equal_bytes_share_a_file(store):
    """Saving equal bytes twice gives one file and equal references."""
    assert store.save(b"x", "text/csv") == store.save(b"x", "text/csv")
    assert [path.suffix for path in store.folder.rglob("*") if path.is_file()] == [".csv"]


def test_files_are_private(store):
    """Folders are 0700 and files 0600, whatever the umask."""
    path = store.path(store.save(b"secret", "text/plain"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent, store.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "a" * 63, "a" * 64 + "\n", None, 7, "CON"])
def test_a_name_that_is_no_digest_leads_nowhere(store, name):
    """Only 64 lower-case hexadecimal digits name a file: no traversal, no device names."""
    with pytest.raises(ArtifactError):
        store.path({"$artifact": name, "media_type": "image/png"})
    assert not store.knows({"$artifact": name})


def test_damage_is_noticed(store):
    """A file whose content changed is refused when read."""
    reference = store.save(b"original", "text/plain")
    store.path(reference).write_bytes(b"tampered")
    with pytest.raises(ArtifactError, match="damaged"):
        store.read(reference)


def test_a_missing_file_is_named(store):
    """Reading what is not there says so, as an OSError and a PermanentError."""
    with pytest.raises(ArtifactError) as caught:
        store.read({"$artifact": "0" * 64})
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, PermanentError)


@pytest.mark.parametrize(("format", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp")])
def test_images_are_kept_as_they_are(store, format, suffix):
    """A whole PNG, JPEG or WEBP keeps its bytes, and the reference its size."""
    data = encoded(format)
    reference = store.save_image(data)
    assert store.read(reference) == data
    assert (reference["width"], reference["height"]) == (64, 48)
    assert store.path(reference).suffix == suffix


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_image_is_refused(store, format):
    """Half an image is refused, and nothing is stored."""
    data = encoded(format, (300, 300))
    with pytest.raises(ImageRefused, match=r"truncated or damaged: its (header|pixels) cannot be read"):
        store.save_image(data[: len(data) * 2 // 3])
    assert not store.folder.exists()


def test_a_refusal_says_the_same_each_time(store):
    """What is wrong with an image is told in our own words: no address of an object, nothing of the decoder's."""
    said = []
    for _ in range(2):
        with pytest.raises(ImageRefused) as caught:
            store.save_image(b"\x89PNG\r\n\x1a\n" + b"nothing of a header")
        said.append(caught.value.message)
    assert said == ["the image/png image is truncated or damaged: its header cannot be read"] * 2
    with pytest.raises(LimitExceeded) as too_large:
        store.save_image(png_header(50_000, 50_000))
    assert too_large.value.message == "the image has more than the 50,000,000 pixels allowed"


@pytest.mark.parametrize(
    "data", [b"<html>not found</html>", b"<svg onload='alert(1)'/>", b"GIF89a....", b"", b"\x89PNG\r\n\x1a\n<html>"]
)
def test_disguised_files_are_refused(store, data):
    """HTML, SVG, GIF and nothing at all are no images, whatever they are called."""
    with pytest.raises(ImageRefused):
        store.save_image(data)


@pytest.mark.parametrize("side", [8_000, 11_000, 50_000])
def test_a_huge_image_is_refused_before_decoding(store, side):
    """A header that claims too many pixels is enough to be refused."""
    with pytest.raises(LimitExceeded):
        store.save_image(png_header(side, side))


def test_a_heavy_image_is_refused(store):
    """More bytes than allowed are refused without looking at them."""
    with pytest.raises(LimitExceeded, match="bytes"):
        store.save_image(b"\x89PNG\r\n\x1a\n" + bytes(MAX_IMAGE_BYTES))


def test_pictures_of_any_mode_are_stored(store):
    """A PIL image is stored as PNG, its mode converted where PNG has none."""
    reference = store.save_picture(Image.new("CMYK", (8, 9)))
    assert store.artifact(reference).open().size == (8, 9)
    with pytest.raises(LimitExceeded):
        store.save_picture(Image.new("1", (8_000, 8_000)))


def test_an_artifact_opens_as_what_it_holds(store):
    """Images, tables, JSON, text and bytes each open as their own kind, and any library can open the path."""
    image = store.artifact(store.save_image(encoded()))
    assert isinstance(image, Artifact)
    assert image.open().size == (64, 48)
    with Image.open(image) as opened:
        assert opened.size == (64, 48)
    assert store.artifact(store.save(b'{"a":1}', "application/json")).open() == {"a": 1}
    assert store.artifact(store.save_table(["a"], [{"a": 1}])).open() == [{"a": 1}]
    assert store.artifact(store.save("grün".encode(), "text/plain")).open() == "grün"
    assert store.artifact(store.save(b"\0", "application/octet-stream")).open() == b"\0"


def test_many_writers_of_one_artifact_agree(store):
    """Threads that save the same bytes at once leave one whole file and nothing half-written."""
    data = os.urandom(100_000)
    threads = [threading.Thread(target=store.save, args=(data, "image/png")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (path,) = (path for path in store.folder.rglob("*") if path.is_file())
    assert path.read_bytes() == data


@pytest.mark.parametrize("patience_seconds", [0.0, 60.0])
def test_a_full_disk_is_waited_for_with_a_result(tmp_path, monkeypatch, patience_seconds):
    """A worker keeps a paid result and tries again until there is room; any other writer gets an error at once."""
    store = ArtifactStore(tmp_path / "artifacts", patience_seconds=patience_seconds)
    refusals = [OSError(errno.ENOSPC, "No space left on device")] * 2
    replace = os.replace

    def rename(source, target):
        if refusals:
            raise refusals.pop()
        replace(source, target)

    monkeypatch.setattr(os, "replace", rename)
    if patience_seconds:
        assert store.artifact(store.save(b"paid for", "text/plain")).open() == "paid for"
    else:
        with pytest.raises(OSError, match="No space left"):
            store.save(b"paid for", "text/plain")
    assert list(store.folder.rglob("*.partial")) == []
