"""The display of a run's frame in a notebook: pandas' own table, with images as thumbnails, lists item by item and long texts
wrapped. It is an ordinary DataFrame, and frames selected or computed from it are shown the same way. Only files in the run's own
store are opened: a path in any other text stays text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pandas as pd

from xtyl_engine.errors import visible
from xtyl_nb.drawing.thumbnail import thumbnail

MOST_ITEMS = 6
MOST_TEXT = 240
# The more texts in a list, the less of each is shown.
MOST_TEXTS, LEAST_TEXT = 480, 80
SHORT_TEXT = 20
# Twice the shown size, smaller for many images, which make the notebook heavy: pixels by the number of images in a table.
THUMB_PIXELS = ((40, 128), (160, 96), (10_000, 64))
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
THUMB = "width:64px;max-width:none;height:64px;object-fit:cover;border-radius:4px;margin:0px;flex:none"
ROW = "display:flex;gap:4px;justify-content:flex-end"
PROSE = "max-width:26em;white-space:normal;overflow-wrap:anywhere;text-align:left;display:grid;gap:5px"


class ResultFrame(pd.DataFrame):
    """A DataFrame that shows paths of images in a folder as small pictures, see `with_images`."""

    # Pickled frames name their class and their folder this way, whichever module the class is in.
    __module__ = "xtyl_nb.table"
    _metadata: ClassVar[list[str]] = ["images_from"]
    images_from: str | None = None
    # Of a plan: what was told of the workflow and its table, and what all is together. Frames made from it have none.
    warnings: tuple[str, ...] = ()
    total: str = ""

    def __dir__(self) -> list[str]:
        hidden = {"images_from"} | {name for name in ("warnings", "total") if not getattr(self, name)}
        return [name for name in super().__dir__() if name not in hidden]

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return ResultFrame

    def __repr__(self) -> str:
        return visible(super().__repr__()) + (f"\n{self.total}" if self.total else "")

    def _repr_html_(self) -> str | None:
        stand_ins = _StandIns(self.images_from)
        columns = [stand_ins.put(self.iloc[:, place]) for place in range(self.shape[1])]
        table = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=self.index)
        table.columns = self.columns
        width = pd.get_option("display.max_colwidth")
        # A notebook's typesetter must not take a price for a formula.
        maths = ("display.html.use_mathjax", False)
        with pd.option_context("display.max_colwidth", width and max(width, SHORT_TEXT + 1), *maths):
            html = table._repr_html_()  # type: ignore[operator]
        return (
            None if html is None else stand_ins.replace(html) + (f"<p>{escape(self.total)}</p>" if self.total else "")
        )


def with_images(table: pd.DataFrame, folder: str | Path) -> ResultFrame:
    """The same table, with the images of this folder shown as pictures."""
    frame = ResultFrame(table)
    frame.images_from = str(folder)
    return frame


class _StandIns:
    """Cells that pandas cannot show well, and the placeholders for them while it writes (and escapes) the table. Only cells that
    it shows are drawn."""

    def __init__(self, folder: str | None) -> None:
        self._images = _Images(folder)
        # The key cannot be guessed, so no text in a cell is taken for a placeholder.
        self._key = uuid4().hex[:16]
        self._cells: list[Any] = []

    def put(self, column: pd.Series[Any]) -> pd.Series[Any]:
        if not (pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)):
            return column
        # One long text makes its whole column prose, so that the column has one alignment.
        is_prose = any(
            isinstance(cell, str) and len(cell) > SHORT_TEXT and not self._images.may_show(cell) for cell in column
        )
        return pd.Series([self._word(cell, is_prose) for cell in column], index=column.index, dtype="object")

    def replace(self, html: str) -> str:
        word = rf"{self._key}-(\d+)-"
        self._images.expect(self._cells[int(place)] for place in re.findall(word, html))
        return re.sub(word, lambda found: _drawn(self._cells[int(found[1])], self._images), html)

    def _word(self, cell: Any, is_prose: bool) -> Any:
        if isinstance(cell, list) or (isinstance(cell, str) and (is_prose or self._images.may_show(cell))):
            self._cells.append(cell)
            return f"{self._key}-{len(self._cells) - 1}-"
        return "" if pd.api.types.is_scalar(cell) and pd.isna(cell) else cell


class _Images:
    """The image files of one folder, and of no other, whatever path a cell holds."""

    def __init__(self, folder: str | None):
        self._folder = folder
        self._pixels = THUMB_PIXELS[0][1]

    def expect(self, cells: Iterable[Any]) -> None:
        """Count the images that will be drawn: the more there are, the smaller each is."""
        texts = (text for cell in cells for text in (cell[:MOST_ITEMS] if isinstance(cell, list) else [cell]))
        count = sum(map(self.may_show, texts))
        self._pixels = next(pixels for most, pixels in THUMB_PIXELS if count <= most)

    def may_show(self, cell: Any) -> bool:
        """Whether a cell looks like an image file of the folder."""
        is_path = isinstance(cell, str) and self._folder is not None and cell.startswith(self._folder + os.sep)
        return is_path and cell.lower().endswith(IMAGE_SUFFIXES)

    def drawn(self, cell: Any) -> str | None:
        """The picture of an image file, as HTML."""
        if self._folder is None or not self.may_show(cell):
            return None
        # Resolved, so that neither `..` nor a link leads out of the folder.
        inside = os.path.realpath(self._folder) + os.sep
        picture = thumbnail(cell, self._pixels) if os.path.realpath(cell).startswith(inside) else None
        return picture and f'<img src="{picture}" alt="" style="{THUMB}">'


def _drawn(cell: Any, all_images: _Images) -> str:
    if not isinstance(cell, list):
        return all_images.drawn(cell) or _prose([cell])
    shown, more = cell[:MOST_ITEMS], len(cell) - MOST_ITEMS
    images = [all_images.drawn(each) for each in shown]
    if images and all(images):
        rest = f'<span style="align-self:center">+{more}</span>' if more > 0 else ""
        return f'<div style="{ROW}">{"".join(map(str, images))}{rest}</div>'
    if all(isinstance(each, int | float) for each in shown):
        return escape(", ".join(map(str, shown))) + (f" and {more} more" if more > 0 else "")
    return _prose([*map(str, shown), *([f"and {more} more"] if more > 0 else [])])


def _prose(texts: list[str]) -> str:
    length = MOST_TEXT if len(texts) == 1 else max(LEAST_TEXT, MOST_TEXTS // max(1, len(texts)))
    width = min(20, 8 + max(map(len, texts), default=0) // 12)
    lines = "".join(f"<div>{_text(text, min(MOST_TEXT, length))}</div>" for text in texts)
    return f'<div style="min-width:{width}em;{PROSE}">{lines}</div>' if lines else ""


def _text(text: str, length: int) -> str:
    return escape(text if len(text) <= length else text[: length - 1] + "…")
