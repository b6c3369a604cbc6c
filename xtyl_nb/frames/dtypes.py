"""Describes the types of a frame's columns and index as JSON, and restores columns and index from such a description. Where a
type cannot be restored, the values stay as they were stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pandas as pd

from xtyl_nb.frames.labels import OBJECT, describe_cells, describe_labels, restore, store

Describe = Callable[[Any], str]


def describe_shape(table: pd.DataFrame) -> dict[str, Any]:
    """The facts that restore a frame's columns and index from their values. Raises FrameError for a label that could not be found
    again."""
    levels = [table.index.get_level_values(level) for level in range(table.index.nlevels)]
    return {
        "columns": list(table.columns),
        "dtypes": {str(name): _described(table[name], describe_cells) for name in table.columns},
        "index": {
            "names": [store(name) for name in table.index.names],
            "dtypes": [_described(level, describe_labels) for level in levels],
        },
    }


def columns_again(rows: Sequence[Mapping[str, Any]], shape: Mapping[str, Any]) -> dict[str, pd.Series[Any]]:
    """The columns of the user's frame, by name."""
    dtypes = shape.get("dtypes", {})
    return {
        name: _series_again([values.get(name) for values in rows], dtypes.get(name, OBJECT))
        for name in shape.get("columns", [])
    }


def index_again(labels: Sequence[Any], shape: Mapping[str, Any]) -> pd.Index[Any]:
    """The index of the user's frame; labels of several levels are stored as lists."""
    index = shape.get("index", {})
    names, dtypes = index.get("names", [None]), index.get("dtypes", [OBJECT])
    names = [tuple(name) if isinstance(name, list) else name for name in names]
    if len(names) == 1:
        level = _series_again(labels, dtypes[0])
        # Tuples are labels of one level, and make no further ones.
        return cast("pd.Index[Any]", pd.Index(level, name=names[0], tupleize_cols=False))
    levels = [_series_again([label[level] for label in labels], dtype) for level, dtype in enumerate(dtypes)]
    return cast("pd.Index[Any]", pd.MultiIndex.from_arrays(levels, names=names))


def _described(values: Any, describe: Describe) -> Any:
    """A dtype's name; for a categorical one also its categories, because the values alone do not tell their order."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories, of = [store(each) for each in dtype.categories], _described(dtype.categories, describe)
        return {"categories": categories, "of": of, "ordered": bool(dtype.ordered)}
    return describe(values) if pd.api.types.is_object_dtype(dtype) else str(dtype)


def _series_again(values: Sequence[Any], dtype: Any) -> pd.Series[Any]:
    stored = pd.Series(list(values), dtype="object")
    try:
        if isinstance(dtype, Mapping):
            categories = _series_again(dtype["categories"], dtype["of"])
            kind = pd.CategoricalDtype(pd.Index(categories, tupleize_cols=False), ordered=dtype["ordered"])
            return pd.Series(_categories_again(values, dtype, kind))
        if dtype.startswith(OBJECT):
            return pd.Series(restore(values, dtype), dtype="object")
        if dtype.startswith("datetime64"):
            times = pd.to_datetime(stored, format="ISO8601", utc="," in dtype)
            return times.astype(cast(Any, dtype))
        if dtype.startswith("timedelta64"):
            return pd.to_timedelta(stored).astype(cast(Any, dtype))
        if dtype.startswith("interval"):
            return _intervals_again(values, cast(pd.IntervalDtype, pd.api.types.pandas_dtype(dtype)))
        return stored.astype(cast(Any, dtype))
    except (TypeError, ValueError, ArithmeticError, SyntaxError):
        return stored.infer_objects()


def _categories_again(values: Sequence[Any], dtype: Mapping[str, Any], kind: pd.CategoricalDtype) -> pd.Categorical:
    places = {json.dumps(each): place for place, each in enumerate(dtype["categories"])}
    try:
        codes = [-1 if value is None else places[json.dumps(value)] for value in values]
    except KeyError:
        # The cells of a column may spell a moment otherwise than its categories do.
        return pd.Categorical(_series_again(values, dtype["of"]), dtype=kind)
    return pd.Categorical.from_codes(codes, dtype=kind)


def _intervals_again(texts: Sequence[Any], dtype: pd.IntervalDtype) -> pd.Series[Any]:
    ends = [(None, None) if text is None else text[1:-1].split(", ") for text in texts]
    left, right = (_series_again(side, str(dtype.subtype)) for side in (list(zip(*ends, strict=True)) or [(), ()]))
    return pd.Series(pd.arrays.IntervalArray.from_arrays(left, right, closed=cast(Any, dtype.closed)))
