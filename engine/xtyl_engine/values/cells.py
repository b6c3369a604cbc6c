"""Numbers and the cells of a column in their own precision: 19.9 of 32 bits is 19.9, and not the 19.899999618530273 that 64 bits
make of it. Imports neither pandas nor numpy itself.
"""

from __future__ import annotations

from typing import Any


def shortest(value: Any) -> float:
    """A number of numpy as the float whose text is the shortest that gives the number back."""
    return float(str(value))


def exact(value: Any) -> int | float | None:
    """A finite Decimal as the number of the same value; None if no number of 64 bits has it."""
    is_whole = value.as_tuple().exponent >= 0 and value.adjusted() < 19
    number = int(value) if is_whole else float(value)
    return number if type(value)(repr(number)) == value else None


def cells(column: Any) -> list[Any]:
    """The cells of a pandas Series."""
    dtype = getattr(getattr(column.dtype, "categories", None), "dtype", column.dtype)
    # Of what pandas has, a sparse dtype alone has a value that fills it.
    dtype = dtype.subtype if hasattr(dtype, "fill_value") else dtype
    size = getattr(dtype, "itemsize", 8)
    if getattr(dtype, "kind", "") != "f" or size >= 8:
        return list(column)
    numbers = column.to_numpy(dtype=f"f{size}", na_value=float("nan"))
    return [shortest(number) for number in numbers]
