"""Values become plain JSON and references, or are refused by place, type and remedy."""

import datetime as dt
import enum
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from pydantic import BaseModel

from xtyl_engine.errors import LimitExceeded, ValueNotPlain
from xtyl_engine.limits import MAX_INLINE_OUTPUT_BYTES
from xtyl_engine.values.artifacts import TABLE, ArtifactStore
from xtyl_engine.values.plain import encode, plain, plain_records, spill, unspill


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path)


class Colour(enum.StrEnum):
    RED = "red"


class Loud(str):
    """Text whose own methods raise."""

    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __str__


class Hostile:
    """An object that raises whenever anything is asked of it."""

    def __getattribute__(self, name):
        raise RuntimeError("no")

    def __reduce__(self):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __repr__


class HostileDate(dt.date):
    def isoformat(self):
        raise RuntimeError("no")


class Size(NamedTuple):
    width: int
    height: int


@dataclass
class Brief:
    product: str
    tags: set[Decimal]


class Model(BaseModel):
    product: str
    price: Decimal


AWARE = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**63 - 1, 2**63 - 1),
        (1.5, 1.5),
        ("grün 😀 \u202e", "grün 😀 \u202e"),
        ((1, [2]), [1, [2]]),
        ({"a": {"b": []}}, {"a": {"b": []}}),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.float32(19.9), 19.9),
        (np.float16(0.1), 0.1),
        (np.longdouble(19.5), 19.5),
        (Decimal("19.90"), 19.9),
        (Decimal("3"), 3),
        (Decimal("1E+5"), 100_000),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.datetime64("2026-05-01T12:00"), "2026-05-01T12:00"),
        (np.datetime64("NaT"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp("2026-05-01 12:00"), "2026-05-01T12:00:00"),
        (dt.date(2026, 5, 1), "2026-05-01"),
        (AWARE, "2026-05-01T12:00:00+00:00"),
        (AWARE.replace(tzinfo=None), "2026-05-01T12:00:00"),
        (Colour.RED, "red"),
        (Loud("quiet"), "quiet"),
        (dt.time(1, 2), "01:02:00"),
        (dt.timedelta(hours=2), "2:00:00"),
        (pd.Timedelta(1), "0 days 00:00:00.000000001"),
        (pd.Period("2026-01", "M"), "2026-01"),
        (pd.Interval(0, 1), "(0, 1]"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b.txt"), "a/b.txt"),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({2, 1}), [1, 2]),
        (Size(2, 3), {"width": 2, "height": 3}),
        (Brief("Lamp", {Decimal(1)}), {"product": "Lamp", "tags": [1]}),
        (Model(product="Lamp", price=Decimal("1.5")), {"product": "Lamp", "price": 1.5}),
        (pd.Series([1.5, None, 2]), [1.5, None, 2.0]),
        (pd.Series([0.1], dtype="float32"), [0.1]),
        (pd.Series(["a"], index=["x"]), ["a"]),
        (pd.Index([1, 2]), [1, 2]),
        (np.array(5), 5),
        (np.arange(3), [0, 1, 2]),
        (np.array([0.1, 2], dtype="float32"), [0.1, 2.0]),
        (np.array([True, False]), [True, False]),
        (np.array(["a", "ü"]), ["a", "ü"]),
        (np.array(["2026-05-01", "NaT"], dtype="datetime64[D]"), ["2026-05-01", None]),
        (np.array(["a", None], dtype="object"), ["a", None]),
        (np.ma.masked_array([1, 2], [False, True]), [1, None]),
        (np.ma.masked_array([0.1, 2], [False, True], dtype="float32"), [0.1, None]),
        ({"v": np.zeros(0)}, {"v": []}),
        (pl.Series([1, None]), [1, None]),
        (
            pl.DataFrame({"a": [1, None], "d": [dt.date(2026, 5, 1)] * 2}),
            [{"a": 1, "d": "2026-05-01"}, {"a": None, "d": "2026-05-01"}],
        ),
    ],
)
def test_plain_values_pass(store, value, expected):
    """Ordinary Python, numpy and pandas scalars become plain JSON."""
    result = plain(value, store)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "place", "hint"),
    [
        ({"a": [0, 1, 2, float("nan")]}, 'result["a"][3]', "None"),
        ([float("-inf")], "result[0]", "None"),
        (2**63, "result", "str(value)"),
        (10**400, "result", "str(value)"),
        (Decimal("0.1234567890123456789"), "result", "str(value)"),
        (Decimal("1E+999999999"), "result", "str(value)"),
        (Decimal("NaN"), "result", "None"),
        (np.float32("inf"), "result", "None"),
        (["\ud800"], "result[0]", "replace"),
        ("a\0b", "result", "NUL"),
        ({"\ud800": 1}, "result", "replace"),
        ({1: 2}, "result", "str(key)"),
        ({1, "x"}, "result", "sorted(value, key=str)"),
        ((i for i in "ab"), "result", "list(value)"),
        ({"a": threading.Lock()}, 'result["a"]', "lock"),
        (lambda: 0, "result", "lambda"),
        (HostileDate(2026, 1, 1), "result", "HostileDate"),
        (np.zeros((2, 3)), "result, an array of 2 x 3 float64, cannot be stored", "tolist"),
        (np.zeros((2, 2, 3)), "result", "(value * 255)"),
        ({"a": np.zeros((2, 2, 5), dtype="uint8")}, 'result["a"]', "PIL.Image.fromarray(value)"),
        (np.zeros(2, dtype=[("a", "i4")]), "result", "pandas.DataFrame(value)"),
        (np.broadcast_to(np.float32(0), 2_000_000), "result", "tobytes"),
        (np.array([1.0, float("nan")]), "result[1], a float, is NaN", "None"),
        (pl.LazyFrame({"a": [1]}), "result, a LazyFrame", "collect"),
        (np.complex128(1), "result", "complex"),
        ({"$artifact": "0" * 64}, "result", "reserved key"),
        ({"$artifact": "../../etc/passwd"}, "result", "reserved key"),
    ],
)
def test_other_values_are_refused_by_place(store, value, place, hint):
    """What cannot be stored is refused with its place and what to use instead."""
    with pytest.raises(ValueNotPlain) as caught:
        plain(value, store)
    assert str(caught.value).startswith(place)
    assert hint in str(caught.value)


@pytest.mark.parametrize("channels", [3, 4])
def test_pixels_are_a_picture(store, channels):
    """An array of rows of pixels, each of three or four bytes, is kept as the picture it is, also turned or cut."""
    pixels = np.arange(5 * 7 * channels, dtype="uint8").reshape(5, 7, channels)[::-1, 1:]
    kept = plain([pixels], store)[0]
    assert (kept["media_type"], kept["width"], kept["height"]) == ("image/png", 6, 5)
    assert np.array_equal(np.asarray(Image.open(store.path(kept))), pixels)


def test_a_result_s_texts_are_mended(store):
    """Halves of a pair are put together; what no database takes becomes U+FFFD, in keys too; the rest stays."""
    value = {"a\ud800": ["b\0", "\ud83d\ude00", "\udc00", "é", "plain"]}
    assert plain(value, store, mends=True) == {"a\ufffd": ["b\ufffd", "\U0001f600", "\ufffd", "é", "plain"]}
    frame = pd.DataFrame({"t": pd.Series(["\ud800"], dtype="object")})
    assert plain_records(frame, store, mends=True) == [{"t": "\ufffd"}]


def test_encoded_text_can_be_stored(store):
    """Half a surrogate pair in a value that was not walked is mended as it is written."""
    assert json.loads(encode({"a": ["\ud800", "é"]})) == {"a": ["\ufffd", "é"]}
    assert json.loads(spill(encode(["\ud800" * MAX_INLINE_OUTPUT_BYTES]), store))["media_type"] == "application/json"


def test_hostile_objects_are_refused(store):
    """An object that raises whatever it is asked is refused like any other."""
    with pytest.raises(ValueNotPlain, match=r"result\[0\], a Hostile"):
        plain([Hostile()], store)
    with pytest.raises(ValueNotPlain, match="reserved key"):
        plain({"$artifact": Hostile()}, store)


def test_depth_and_cycles_are_refused(store):
    """Deep nesting and cycles end in a named error, not in a RecursionError."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueNotPlain, match="deeper than"):
        plain(deep, store)
    cycle: dict[str, Any] = {"a": []}
    cycle["a"].append(cycle)
    with pytest.raises(ValueNotPlain, match="contains itself"):
        plain(cycle, store)
    while deep:
        deep = deep.pop()


def test_a_shared_part_is_no_cycle(store):
    """The same list in two places is copied twice."""
    part = [1]
    assert plain([part, part], store) == [[1], [1]]


def test_a_value_that_explodes_is_refused(store):
    """Lists of the same list, each doubling the last, end at the limit of parts."""
    value: list[Any] = [0]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(LimitExceeded):
        plain(value, store)


def test_images_bytes_and_tables_become_references(store):
    """A picture, bytes and a table inside a value are stored, and read back as what they were."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    figure = Figure(figsize=(1, 1), dpi=50)
    assert plain(figure, store)["media_type"] == "image/png"
    assert plain(figure, store)["width"] == 50
    result = plain({"image": Image.new("RGB", (4, 5)), "raw": b"\1\2", "table": frame}, store)
    assert (result["image"]["width"], result["image"]["height"]) == (4, 5)
    assert store.read(result["raw"]) == b"\1\2"
    assert result["table"]["media_type"] == TABLE
    assert store.artifact(result["table"]).open() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert plain(result, store) == result
    assert plain(store.artifact(result["raw"]), store) == result["raw"]


def test_records_keep_the_names_of_the_index(store):
    """A table's missing cells are None, its named index is a column, and its own column names become text."""
    frame = pd.DataFrame(
        {("m", "x"): [1.0, float("nan")], 7: pd.Categorical(["p", "q"])}, index=pd.Index([5, 6], name="k")
    )
    assert plain_records(frame, store) == [{"k": 5, "m_x": 1.0, "7": "p"}, {"k": 6, "m_x": None, "7": "q"}]


def test_a_table_is_refused_by_cell_or_column(store):
    """An infinite cell and a doubled column are refused by name."""
    with pytest.raises(ValueNotPlain, match=r'result\[1\]\["a"\]'):
        plain_records(pd.DataFrame({"a": [1.0, float("inf")]}), store)
    with pytest.raises(ValueNotPlain, match="twice"):
        plain_records(pd.DataFrame([[1, 2]], columns=["a", "a"]), store)


def test_large_outputs_are_spilled_and_read_back(store):
    """Output beyond the inline limit becomes a reference; either way the same value is read back."""
    small, large = {"a": "ü"}, {"a": "ü" * MAX_INLINE_OUTPUT_BYTES}
    assert spill(encode(small), store) == '{"a":"ü"}'
    kept = spill(encode(large), store)
    assert json.loads(kept)["media_type"] == "application/json"
    assert unspill(kept, store) == large
    assert unspill(spill(encode(small), store), store) == small


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "ü"]), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_is_already_plain(tmp_path_factory, value):
    """JSON values pass unchanged and survive encoding."""
    store = ArtifactStore(tmp_path_factory.getbasetemp())
    assert plain(value, store) == value
    assert json.loads(encode(plain(value, store))) == value


def test_heavy_libraries_are_not_imported(tmp_path):
    """Making values plain imports neither pandas nor numpy nor Pillow."""
    code = (
        "import sys; from xtyl_engine.values.artifacts import ArtifactStore; from xtyl_engine.values.plain import plain\n"
        f"plain({{'a': [1, 'x', 2.5]}}, ArtifactStore({str(tmp_path)!r}))\n"
        "print({'pandas', 'numpy', 'PIL'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
