"""Turns a user's table into rows of plain values with their index labels. What may be a table is in `tables`; results are turned
into frames in `results`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from xtyl_engine.errors import LimitExceeded, ValueNotPlain
from xtyl_engine.scheduler.submit import Row
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.cells import cells
from xtyl_engine.values.plain import mend, plain
from xtyl_nb.frames.dtypes import describe_shape
from xtyl_nb.frames.labels import store as store_label
from xtyl_nb.frames.pictures import with_files

# Of a cell that no step reads and that cannot be stored.
MOST_TEXT = 1_000


def read_inputs(
    table: pd.DataFrame,
    inputs: Mapping[str, Any],
    store: ArtifactStore,
    read: Collection[str],
    images: Collection[str] = (),
) -> tuple[list[Row], dict[str, Any]]:
    """The rows of a table together with the inputs for every row; and the shape that restores the table. `read` are the columns
    that steps read: a cell of another one that cannot be stored is kept as text. Where steps read `images`, the path of a file is
    the file. Raises FrameError, and for a cell ValueNotPlain
    or LimitExceeded."""
    given = {name: with_files(value, store, name) if name in images else value for name, value in inputs.items()}
    constants = plain(given, store, where="inputs")
    columns = {
        name: [
            _cell_in(
                with_files(cell, store, f"{name}[{place}]") if name in images else cell,
                store,
                name,
                place,
                name in read,
            )
            for place, cell in enumerate(cells(table[name]))
        ]
        for name in map(str, table)
    }
    shape = describe_shape(table)
    rows = [
        Row(label=store_label(label), values={**{name: cells[place] for name, cells in columns.items()}, **constants})
        for place, label in enumerate(table.index)
    ]
    return rows, {**shape, "inputs": list(inputs)}


def same_label(stored: Any, given: Any) -> bool:
    """Whether a stored index label equals the label that a person gives."""
    return bool(stored == store_label(given))


def _cell_in(cell: Any, store: ArtifactStore, column: str, place: int, is_read: bool) -> Any:
    may_miss = not isinstance(cell, (str, bool, int, list, dict, tuple))
    if may_miss and pd.api.types.is_scalar(cell) and pd.isna(cell):
        return None
    try:
        return plain(cell, store, where=f"{column}[{place}]", mends=not is_read)
    except (ValueNotPlain, LimitExceeded):
        if is_read:
            raise
        return _as_text(cell)


def _as_text(cell: Any) -> str:
    try:
        return mend(str(cell)[:MOST_TEXT])
    except Exception:
        # A broken type may raise from its own `__str__`.
        return type(cell).__name__
