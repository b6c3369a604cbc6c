"""Describes the types of a frame's columns and index as JSON, and restores columns and index from such a description. Where a
type cannot be restored, the values stay as they were stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pandas as pd

ToPlain = Callable[[Any], Any]


def describe_shape(table: pd.DataFrame, plain_label: ToPlain) -> dict[str, Any]:
    """The facts that restore a frame's columns and index from their values."""
    levels = table.index.levels if isinstance(table.index, pd.MultiIndex) else [table.index]
    return {
        "columns": list(table.columns),
        "dtypes": {str(name): _described(dtype, plain_label) for name, dtype in table.dtypes.items()},
        "index": {
            "names": list(table.index.names),
            "dtypes": [_described(level.dtype, plain_label) for level in levels],
        },
    }


def columns_again(rows: Sequence[Mapping[str, Any]], shape: Mapping[str, Any]) -> dict[str, pd.Series[Any]]:
    """The columns of the user's frame, by name."""
    dtypes = shape.get("dtypes", {})
    return {
        name: _series_again([values.get(name) for values in rows], dtypes.get(name, "object"))
        for name in shape.get("columns", [])
    }


def index_again(labels: Sequence[Any], shape: Mapping[str, Any]) -> pd.Index[Any]:
    """The index of the user's frame; labels of several levels are stored as lists."""
    index = shape.get("index", {})
    names, dtypes = index.get("names", [None]), index.get("dtypes", ["object"])
    if len(names) == 1:
        return cast("pd.Index[Any]", pd.Index(_series_again(labels, dtypes[0]), name=names[0]))
    levels = [_series_again([label[level] for label in labels], dtype) for level, dtype in enumerate(dtypes)]
    return cast("pd.Index[Any]", pd.MultiIndex.from_arrays(levels, names=names))


def _described(dtype: Any, plain_label: ToPlain) -> Any:
    """A dtype's name; for a categorical one also its categories, because the values alone do not tell their order."""
    if not isinstance(dtype, pd.CategoricalDtype):
        return str(dtype)
    categories = [plain_label(each) for each in dtype.categories]
    of = str(dtype.categories.dtype)
    return {"categories": categories, "of": of, "ordered": bool(dtype.ordered)}


def _series_again(values: Sequence[Any], dtype: Any) -> pd.Series[Any]:
    stored = pd.Series(list(values), dtype="object")
    try:
        if isinstance(dtype, Mapping):
            categories = _series_again(dtype["categories"], dtype["of"])
            kind = pd.CategoricalDtype(pd.Index(categories), ordered=dtype["ordered"])
            return pd.Series(pd.Categorical(_series_again(values, dtype["of"]), dtype=kind))
        if dtype.startswith("datetime64"):
            times = pd.to_datetime(stored, format="ISO8601", utc="," in dtype)
            return times.astype(cast(Any, dtype))
        if dtype.startswith("timedelta64"):
            return pd.to_timedelta(stored).astype(cast(Any, dtype))
        return stored.astype(cast(Any, dtype))
    except (TypeError, ValueError):
        return stored.infer_objects()
