"""Scaled copies are made once for all who ask, kept up to a number of bytes, and decoded a bounded number of pixels at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from xtyl_engine.values.images import ImageRefused, check_image, scale_image
from xtyl_engine.values.pixels import TURNS, PixelTurns
from xtyl_engine.values.thumbnails import scaled


def picture(folder: Path, name: str = "a.png", side: int = 64) -> Path:
    path = folder / name
    Image.effect_noise((side, side), 90).save(path)
    return path


def test_pixels_in_hand_are_bounded_together() -> None:
    """Images wait while their pixels do not fit beside those in hand; one of more than all has its turn alone."""
    turns, lock = PixelTurns(100), threading.Lock()
    together: list[int] = []
    sums: list[int] = []

    def one(pixels: int) -> None:
        with turns.held(pixels):
            with lock:
                together.append(pixels)
                sums.append(sum(together))
            with lock:
                together.remove(pixels)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, [60, 30, 70, 100, 50, 50, 10] * 20))
        list(threads.map(one, [400] * 8))
    assert max(sums[:140]) <= 100
    assert sums[140:] == [400] * 8


@pytest.mark.parametrize("read", [lambda path: scale_image(path, 16), lambda path: check_image(path.read_bytes())])
def test_decoding_waits_for_its_turn(tmp_path: Path, read: object) -> None:
    """Scaling or checking an image waits until the pixels in hand leave room for its own."""
    path, ended = picture(tmp_path), threading.Event()

    def work() -> None:
        read(path)  # type: ignore[operator]
        ended.set()

    with TURNS.held(10**9):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(0.05)
        assert not ended.is_set()
    thread.join(20)
    assert ended.is_set()


def test_the_same_copy_is_made_once(tmp_path: Path) -> None:
    """Those who ask for the same copy at once get one decoding's bytes, and later ones the copy that is kept."""
    path = picture(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        with TURNS.held(10**9):
            asked = [threads.submit(scaled, path, 32) for _ in range(8)]
        found = [each.result() for each in asked]
    assert len({id(each[0]) for each in found}) == 1
    path.unlink()
    assert scaled(path, 32) is found[0]


def test_a_damaged_image_is_told_to_all(tmp_path: Path) -> None:
    """A copy that cannot be made is an error each time, and is not kept."""
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    for _ in range(2):
        with pytest.raises(ImageRefused):
            scaled(path, 32)
    picture(tmp_path)
    assert scaled(path, 32)[1] == "image/jpeg"
