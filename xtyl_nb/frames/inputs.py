"""Turns a user's DataFrame into rows of plain values with their index labels. Results are turned into frames in `results`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pandas as pd

from xtyl_engine.errors import FrameError, with_article
from xtyl_engine.scheduler.submit import Row
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.cells import cells
from xtyl_engine.values.plain import plain
from xtyl_nb.frames.dtypes import describe_shape

RESERVED_COLUMNS = ("status", "error")


def read_inputs(frame: Any, inputs: Mapping[str, Any], store: ArtifactStore) -> tuple[list[Row], dict[str, Any]]:
    """The rows of a frame (or of anything that makes a DataFrame) together with the inputs for every row; and the shape that
    restores the frame. Raises FrameError."""
    table = _checked(frame, inputs)
    constants = plain(dict(inputs), store, where="inputs")
    columns = {
        name: [_cell_in(cell, store, name, place) for place, cell in enumerate(cells(table[name]))]
        for name in map(str, table)
    }
    rows = [
        Row(label=_label(label), values={**{name: cells[place] for name, cells in columns.items()}, **constants})
        for place, label in enumerate(table.index)
    ]
    return rows, {**describe_shape(table, _label), "inputs": list(inputs)}


def input_columns(frame: Any, inputs: Mapping[str, Any]) -> list[str]:
    """The names that a workflow's Jinja may use. Raises FrameError."""
    return [*_checked(frame, inputs).columns, *inputs]


def same_label(stored: Any, given: Any) -> bool:
    """Whether a stored index label equals the label that a person gives."""
    return bool(stored == _label(given))


def _checked(frame: Any, inputs: Mapping[str, Any]) -> pd.DataFrame:
    if frame is None:
        return pd.DataFrame(index=pd.RangeIndex(1))
    if not isinstance(frame, pd.DataFrame):
        try:
            frame = pd.DataFrame(frame)
        except Exception as error:
            raise FrameError(
                f"{with_article(type(frame).__name__)} is not a table: {error}",
                hint="Pass a DataFrame, or a list of dicts.",
            ) from error
    if isinstance(frame.columns, pd.MultiIndex):
        raise FrameError(
            "the columns have several levels", hint='Flatten them: frame.columns = frame.columns.map("_".join).'
        )
    wrong = [name for name in frame.columns if not isinstance(name, str)]
    if wrong:
        raise FrameError(
            f"the name of the column {wrong[0]!r} is not text",
            hint="Rename it: frame.rename(columns={...}), or frame.columns.map(str).",
        )
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise FrameError(f"the column {twice[0]!r} occurs twice", hint="Rename or drop one of them.")
    both = [name for name in inputs if name in frame.columns]
    if both:
        raise FrameError(f"{both[0]!r} is a column and an input", hint="Drop one of them, or give it another name.")
    taken = [name for name in (*frame.columns, *inputs) if name in RESERVED_COLUMNS]
    if taken:
        raise FrameError(
            f"the column {taken[0]!r} would collide with a column of the results",
            hint=f"Rename it, for example to 'input_{taken[0]}'.",
        )
    return cast(pd.DataFrame, frame)


def _cell_in(cell: Any, store: ArtifactStore, column: str, place: int) -> Any:
    may_miss = not isinstance(cell, (str, bool, int, list, dict, tuple))
    if may_miss and pd.api.types.is_scalar(cell) and pd.isna(cell):
        return None
    return plain(cell, store, where=f"{column}[{place}]")


def _label(label: Any) -> Any:
    """An index label as a JSON value; text where JSON has no such type."""
    if isinstance(label, tuple):
        return [_label(part) for part in label]
    if hasattr(label, "item"):
        label = label.item()
    if isinstance(label, (str, bool, int)) or label is None:
        return label
    return None if pd.isna(label) else label if isinstance(label, float) else str(label)
