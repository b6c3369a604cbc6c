"""Values of the standard library, numpy, pandas and others that are no JSON themselves but have a plain form: numbers, texts,
lists and dicts of their parts. It imports none of these libraries; a value of one that is not loaded does not exist.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from io import BytesIO
from pathlib import PurePath
from types import ModuleType
from typing import Any
from uuid import UUID

from xtyl_engine.values.cells import cells, shortest

_AS_TEXT = (UUID, PurePath, timedelta)
_PANDAS_AS_TEXT = ("Period", "Interval", "Timedelta")
# Tables and columns of other libraries, and what each gives its rows or cells by.
_LISTS = (
    ("polars", "DataFrame", "to_dicts"),
    ("polars", "Series", "to_list"),
    *(("pyarrow", name, "to_pylist") for name in ("Table", "RecordBatch", "ChunkedArray", "Array")),
    ("pyarrow", "Scalar", "as_py"),
)
MOST_CELLS = 1_000_000


def is_instance_of(value: object, module: str, name: str) -> bool:
    """Whether a value is of a class of a module that may not be loaded."""
    home: ModuleType | None = sys.modules.get(module)
    kind = getattr(home, name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def is_missing(value: object) -> bool:
    """Whether a value is NA or NaT, of pandas or numpy."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and (value is getattr(pandas, "NA", pandas) or value is getattr(pandas, "NaT", pandas)):
        return True
    if is_instance_of(value, "numpy.ma.core", "MaskedConstant"):
        return True
    return is_instance_of(value, "numpy", "datetime64") and value != value


def unwrapped(value: Any) -> Any:
    """A value with each scalar of numpy or pandas in it as Python's own; all else, also in lists and dicts, as it is."""
    if type(value) is dict:
        return {name: unwrapped(part) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(unwrapped(part) for part in value)
    if is_missing(value):
        return None
    if is_instance_of(value, "numpy", "generic") or is_instance_of(value, "pandas", "Timestamp"):
        nearer = simpler(value)
        return nearer if nearer is value or type(nearer) in (str, int, float, bool) else value
    return value


def simpler(value: Any) -> Any:
    """The value one step nearer to plain JSON; itself where there is no such step."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, _AS_TEXT) or any(is_instance_of(value, "pandas", name) for name in _PANDAS_AS_TEXT):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return _sorted(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(getattr(type(value), "model_fields", None), Mapping):
        return dict(value)
    if is_instance_of(value, "numpy", "datetime64"):
        return str(value)
    if is_instance_of(value, "numpy", "generic"):
        return _scalar(value)
    if is_instance_of(value, "numpy", "ndarray"):
        return _parts(value)
    if is_instance_of(value, "pandas", "Series") or is_instance_of(value, "pandas", "Index"):
        return [None if is_missing(cell) or cell != cell else cell for cell in cells(value)]
    if is_instance_of(value, "matplotlib.figure", "Figure"):
        return _drawn(value)
    found = (read for module, name, read in _LISTS if is_instance_of(value, module, name))
    return value if (read := next(found, None)) is None else getattr(value, read)()


def is_picture(array: Any) -> bool:
    """Whether an array of numpy is plainly a picture: rows of pixels of three or four bytes."""
    return array.dtype == "uint8" and array.ndim == 3 and array.shape[2] in (3, 4) and not hasattr(array, "mask")


def _parts(array: Any) -> Any:
    """The cells of an array of one dimension, the value of one without any. Of more it may be a picture or a table."""
    if array.ndim == 0:
        return array[()]
    if array.ndim > 1 or array.dtype.names is not None or array.size > MOST_CELLS:
        return array
    is_whole = array.dtype.kind in "biuU" or (array.dtype.kind == "f" and array.dtype.itemsize == 8)
    return array.tolist() if is_whole else list(array)


def _sorted(value: set[Any] | frozenset[Any]) -> Any:
    try:
        return sorted(value)
    except TypeError:
        return value


def _scalar(value: Any) -> Any:
    if is_instance_of(value, "numpy", "floating"):
        return shortest(value)
    plain = value.item()
    return value if type(plain) is type(value) else plain


def _drawn(figure: Any) -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()
