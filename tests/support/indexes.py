"""An index of every type that pandas has, and columns of every type."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

UUIDS = [UUID(int=1), UUID(int=2)]
DATES = [date(2026, 10, 24), date(2026, 10, 25)]
BERLIN = pd.DatetimeIndex(["2026-10-25 00:30", "2026-10-25 01:30"], tz="UTC").tz_convert("Europe/Berlin")

INDEXES: dict[str, pd.Index[Any]] = {
    "range": pd.RangeIndex(5, 9, 2),
    "int8": pd.Index([1, -2], dtype="int8"),
    "uint64": pd.Index([2**64 - 1, 1], dtype="uint64"),
    "float": pd.Index([0.1, float("nan")]),
    "float32": pd.Index([0.1, 0.2], dtype="float32"),
    "infinite": pd.Index([np.inf, -np.inf]),
    "bool": pd.Index([True, False]),
    "complex": pd.Index([1 + 2j, 3 - 1j]),
    "Int64": pd.Index([1, None], dtype="Int64"),
    "Float64": pd.Index([0.5, None], dtype="Float64"),
    "boolean": pd.Index([True, None], dtype="boolean"),
    "str": pd.Index(["a", None], dtype="str"),
    "string": pd.Index(["a", None], dtype="string"),
    "texts": pd.Index(["1", "2"], dtype="object"),
    "uuids": pd.Index(UUIDS, name="id"),
    "dates": pd.Index([*DATES, None, np.nan], dtype="object"),
    "datetimes": pd.Index([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 2, 3, 4, 5)], dtype="object"),
    "times": pd.Index([time(1, 2), time(3, 4, 5, 6)], dtype="object"),
    "timedeltas": pd.Index([timedelta(days=-1, microseconds=1), timedelta(hours=2)], dtype="object"),
    "decimals": pd.Index([Decimal("1.10"), Decimal(2)]),
    "fractions": pd.Index([Fraction(1, 3), Fraction(2)]),
    "bytes": pd.Index([b"a'\"", b"\xff\0"]),
    "mixed": pd.Index([1, "1", 2.5, None, 10**30, np.inf, UUIDS[0], pd.NA, pd.NaT, (1, DATES[0])], dtype="object"),
    "moments": pd.Index([pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp(1), pd.Timedelta(1)], dtype="object"),
    "tuples": pd.Index([(1, UUIDS[0]), (2, UUIDS[1])], tupleize_cols=False),
    "nanoseconds": pd.to_datetime([1, 10**18]),
    "days": pd.DatetimeIndex(["2026-01-01", None], name=("a", 1)),
    "zone": BERLIN,
    "offset": pd.DatetimeIndex(["2026-01-01 00:30+01:00"]),
    "timedelta64": pd.to_timedelta([1, 10**15]),
    "months": pd.period_range("2026-01", periods=2, freq="M"),
    "weeks": pd.period_range("2026-01", periods=2, freq="W"),
    "quarters": pd.period_range("2026-01", periods=2, freq="Q-NOV"),
    "mixed periods": pd.Index([pd.Period("2026", "Y"), pd.Period("2026-01", "M")], dtype="object"),
    "intervals": pd.interval_range(0, 2),
    "float intervals": pd.IntervalIndex.from_breaks([0.1, 0.1 + 0.2, 1.0], closed="left"),
    "zone intervals": pd.interval_range(pd.Timestamp("2026-10-24", tz="Europe/Berlin"), periods=2),
    "mixed intervals": pd.Index([pd.Interval(0, 1), pd.Interval(0.5, 1.5, closed="both")], dtype="object"),
    "categories": pd.CategoricalIndex(["b", "a"], categories=["b", "a", "c"], ordered=True),
    "dates as categories": pd.CategoricalIndex(DATES),
    "bins": pd.CategoricalIndex(pd.cut([1, 2], 2)),
    "mixed categories": pd.CategoricalIndex(pd.Categorical([UUIDS[0], DATES[0]], categories=[DATES[0], UUIDS[0], "x"])),
    "sparse": pd.Index(pd.arrays.SparseArray([1, 0])),
    "levels": pd.MultiIndex.from_product([UUIDS[:1], DATES], names=["id", None]),
    "more levels": pd.MultiIndex.from_arrays(
        [BERLIN, pd.interval_range(0, 2), pd.Categorical(["x", "y"]), [True, False]]
    ),
}

COLUMNS: dict[str, Any] = {
    name: index.array for name, index in INDEXES.items() if not isinstance(index, pd.MultiIndex) and name != "infinite"
}
