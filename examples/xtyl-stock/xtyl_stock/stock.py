"""The provider `stock`: it picks from approved texts and images, and makes nothing itself. The folder `STOCK_FOLDER` holds
`lines.txt`, one text a line, and images whose file names describe them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from xtyl_engine.errors import PermanentError, TransientError
from xtyl_engine.providers.base import ImageRequest, ImageResult, TextRequest, TextResult, Usage

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class StockProvider:
    """Gives the text or image that has the most words in common with the prompt; another seed gives the next best."""

    name = "stock"

    def __init__(self, environment: Mapping[str, str]):
        self._folder = environment.get("STOCK_FOLDER", "")

    def write(self, request: TextRequest) -> TextResult:
        """Pick a line of `lines.txt`."""
        with self._opened() as folder:
            lines = (folder / "lines.txt").read_text(encoding="utf-8").splitlines()
        text = _closest(request.prompt, [line.strip() for line in lines if line.strip()], request.seed)
        return TextResult(text=text, usage=self._usage("lines.txt"))

    def draw(self, request: ImageRequest) -> ImageResult:
        """Pick an image file, unchanged even if another size is requested: `fit_image` cuts it."""
        with self._opened() as folder:
            names = [path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
            name = _closest(request.prompt, names, request.seed)
            return ImageResult(data=(folder / name).read_bytes(), usage=self._usage(name))

    @contextmanager
    def _opened(self) -> Iterator[Path]:
        if not self._folder:
            raise PermanentError(
                "the stock provider does not know its folder", hint="Set STOCK_FOLDER where the worker runs."
            )
        try:
            yield Path(self._folder)
        except FileNotFoundError as error:
            raise PermanentError(
                f"there is no {error.filename}", hint="Put it into the folder that STOCK_FOLDER names."
            ) from error
        except OSError as error:
            # A network share that is away may be back at the next attempt.
            raise TransientError(f"{self._folder} cannot be read: {error.strerror}") from error

    def _usage(self, model: str) -> Usage:
        return Usage(provider=self.name, model=model, cost=0.0)


def _closest(prompt: str, candidates: Sequence[str], seed: int) -> str:
    if not candidates:
        raise PermanentError("there is nothing in stock to pick from", hint="Put texts and images into STOCK_FOLDER.")
    wanted = _words(prompt)
    ranked = sorted(candidates, key=lambda each: (-len(wanted & _words(each)), each))
    return ranked[seed % len(ranked)]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]{3,}", text.lower()))
