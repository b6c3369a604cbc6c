"""Cells keep the digits that their column shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.cells import cells
from xtyl_engine.values.plain import plain_records
from xtyl_nb.frames.inputs import read_inputs

NARROW = ["float16", "float32", "Float32", "Sparse[float32]", "category of float32"]


def column(dtype: str, numbers: Sequence[float | None]) -> Any:
    of = dtype.removeprefix("category of ")
    made = pd.Series(list(numbers)).astype(cast(Any, of))
    return made if of == dtype else made.astype("category")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_a_narrow_number_comes_back_by_its_shortest_text(numbers: list[float]) -> None:
    """Its text is the one that numpy shows, and gives the number back."""
    found = cells(column("float32", numbers))
    assert [np.float32(each) for each in found] == [np.float32(each) for each in numbers]
    assert [float(str(np.float32(each))) for each in numbers] == found


@pytest.mark.parametrize("dtype", NARROW)
def test_a_price_is_told_as_it_is_seen(dtype: str, tmp_path: Path) -> None:
    """In a table of briefs and in a table that a function returns, missing cells beside it."""
    store = ArtifactStore(tmp_path)
    frame = pd.DataFrame({"price": column(dtype, [0.1, None])})
    rows, _ = read_inputs(frame, {}, store, ["price"])
    assert [row.values["price"] for row in rows] == [0.1, None]
    assert plain_records(frame, store) == [{"price": 0.1}, {"price": None}]


@pytest.mark.parametrize("dtype", ["int64", "Int8", "bool", "boolean", "datetime64[ns]", "float64", "str"])
def test_other_cells_stay(dtype: str) -> None:
    """Only narrow numbers are read in another way."""
    made = pd.Series([1, 0], dtype="int64").astype(cast(Any, dtype))
    assert cells(made) == list(made)
