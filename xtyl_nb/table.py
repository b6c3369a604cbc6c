"""How a run's frame is shown in a notebook: images as thumbnails, everything else as escaped text. Underneath it is a plain
DataFrame, and whatever is computed from it is one too.
"""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from xtyl_nb.thumbnail import thumbnail

MAX_ROWS = 60
MAX_TEXT = 160
THUMB_PIXELS = 96
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class ResultFrame(pd.DataFrame):
    """A DataFrame that shows paths of images as small pictures."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _repr_html_(self) -> str:
        shown = self.head(MAX_ROWS)
        head = "".join(
            f"<th>{escape(str(name))}</th>" for name in (*self.index.names, *self.columns) if name is not None
        )
        named = sum(name is not None for name in self.index.names)
        corner = "" if named == self.index.nlevels else "<th></th>" * (self.index.nlevels - named)
        rows = (
            f"<tr>{''.join(f'<th>{_text(part)}</th>' for part in _parts(label))}{''.join(map(_cell, cells))}</tr>"
            for label, cells in zip(shown.index, shown.itertuples(index=False, name=None), strict=True)
        )
        more = f"<p>{len(self) - MAX_ROWS} more rows</p>" if len(self) > MAX_ROWS else ""
        body = f"<table class='dataframe'><thead><tr>{corner}{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        return f"<div>{body}{more}</div>"


def _parts(label: Any) -> tuple[Any, ...]:
    return label if isinstance(label, tuple) else (label,)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return f"<td>{' '.join(_inner(each) for each in value[:6])}{' …' if len(value) > 6 else ''}</td>"
    return f"<td>{_inner(value)}</td>"


def _inner(value: Any) -> str:
    if isinstance(value, str) and value.endswith(IMAGE_SUFFIXES):
        picture = thumbnail(value, THUMB_PIXELS)
        if picture:
            return f'<img src="{picture}" width="64" alt="">'
    return f'<span style="white-space:normal">{_text(value)}</span>'


def _text(value: Any) -> str:
    if not isinstance(value, (list, dict)) and pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    text = f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, pd.Timestamp) else str(value)
    return escape(text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…")
