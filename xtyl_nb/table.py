"""How a run's frame is shown in a notebook: pandas' own table, with images as thumbnails, lists item by item and long texts
wrapped. It is a DataFrame like any other; what is selected or computed from it is shown the same way.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any
from uuid import uuid4

import pandas as pd

from xtyl_nb.thumbnail import thumbnail

MOST_ITEMS = 6
MOST_TEXT = 240
SHORT_TEXT = 40
THUMB_PIXELS = 160
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
THUMB = "width:72px;max-width:none;height:72px;object-fit:cover;border-radius:4px;margin:0px;flex:none"
ROW = "display:flex;gap:4px;justify-content:flex-end"
PROSE = "min-width:12em;max-width:26em;white-space:normal;text-align:left"


class ResultFrame(pd.DataFrame):
    """A DataFrame that shows paths of images as small pictures."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return ResultFrame

    def _repr_html_(self) -> str | None:
        stand_ins = _StandIns()
        columns = [stand_ins.put(self.iloc[:, place]) for place in range(self.shape[1])]
        table = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=self.index)
        table.columns = self.columns
        width = pd.get_option("display.max_colwidth")
        # A price is no formula.
        maths = ("display.html.use_mathjax", False)
        with pd.option_context("display.max_colwidth", width and max(width, SHORT_TEXT + 1), *maths):
            html = table._repr_html_()  # type: ignore[operator]
        return None if html is None else stand_ins.replace(html)


class _StandIns:
    """Cells that pandas cannot show well, and the words that stand for them while it writes (and escapes) the table. Only
    those that it shows are ever drawn."""

    def __init__(self) -> None:
        # Not to be guessed, so that no text in a cell is taken for one.
        self._key = uuid4().hex[:16]
        self._cells: list[Any] = []

    def put(self, column: pd.Series[Any]) -> pd.Series[Any]:
        if not (pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)):
            return column
        # One long text makes all of its column prose, so that a column is aligned one way.
        is_prose = any(isinstance(cell, str) and len(cell) > SHORT_TEXT and not _is_image(cell) for cell in column)
        return pd.Series([self._word(cell, is_prose) for cell in column], index=column.index, dtype="object")

    def replace(self, html: str) -> str:
        return re.sub(rf"{self._key}-(\d+)-", lambda found: _drawn(self._cells[int(found[1])]), html)

    def _word(self, cell: Any, is_prose: bool) -> Any:
        if isinstance(cell, list) or (isinstance(cell, str) and (is_prose or _is_image(cell))):
            self._cells.append(cell)
            return f"{self._key}-{len(self._cells) - 1}-"
        return "" if pd.api.types.is_scalar(cell) and pd.isna(cell) else cell


def _drawn(cell: Any) -> str:
    if not isinstance(cell, list):
        return (_image(cell) if _is_image(cell) else None) or _prose([cell])
    shown, more = cell[:MOST_ITEMS], len(cell) - MOST_ITEMS
    images = [_image(each) for each in shown]
    if images and all(images):
        rest = f'<span style="align-self:center">+{more}</span>' if more > 0 else ""
        return f'<div style="{ROW}">{"".join(map(str, images))}{rest}</div>'
    return _prose([*map(str, shown), *([f"and {more} more"] if more > 0 else [])])


def _image(path: Any) -> str | None:
    picture = thumbnail(path, THUMB_PIXELS) if _is_image(path) else None
    return picture and f'<img src="{picture}" alt="" style="{THUMB}">'


def _is_image(cell: Any) -> bool:
    return isinstance(cell, str) and cell.lower().endswith(IMAGE_SUFFIXES)


def _prose(texts: list[str]) -> str:
    lines = "".join(f"<div>{_text(text)}</div>" for text in texts)
    return f'<div style="{PROSE}">{lines}</div>' if lines else ""


def _text(text: str) -> str:
    return escape(text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…")
