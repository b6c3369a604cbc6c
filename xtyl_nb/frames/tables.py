"""Turns what a user passes as a table into a DataFrame, once: iterators are read to their end, frames of other libraries are
converted. It looks at no cell; `inputs` does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from os import PathLike
from typing import Any

import pandas as pd

from xtyl_engine.errors import FrameError, with_article

RESERVED_COLUMNS = ("status", "error")
READERS = {".csv": "read_csv", ".tsv": "read_table", ".json": "read_json", ".jsonl": "read_json", ".parquet": "read_parquet",
           ".xlsx": "read_excel", ".xls": "read_excel", ".feather": "read_feather", ".html": "read_html"}  # fmt: skip
_SHAPES = "Pass a DataFrame, or a list of dicts, one for each row."


def read_table(given: Any, inputs: Mapping[str, Any]) -> pd.DataFrame:
    """The table that was given, as a DataFrame with usable columns; one row without columns where none was given, and one row for
    a dict of single values. Raises FrameError."""
    if given is None:
        return pd.DataFrame(index=pd.RangeIndex(1))
    table = given if isinstance(given, pd.DataFrame) else _framed(given)
    _check_columns(table, inputs)
    return table


def doubts_of_table(table: pd.DataFrame, given: Any) -> Iterator[str]:
    """Says that a table has no rows: a run over it completes without having done anything."""
    if len(table) == 0:
        spent = isinstance(given, Iterator)
        advice = "An iterator that was read before is at its end: make it anew." if spent else "Check what filled it."
        yield f"The table has no rows, so no step runs. {advice}"


def _framed(given: Any) -> pd.DataFrame:
    if isinstance(given, (str, PathLike)):
        raise _path_given(given)
    try:
        return _converted(given)
    except FrameError:
        raise
    except Exception as error:
        raise FrameError(
            f"{with_article(type(given).__name__)} is not a table: {error}", hint=_advice(given)
        ) from error


def _converted(given: Any) -> pd.DataFrame:
    """By the first way that a value offers: rows in Python's own values keep whole numbers whole beside missing ones."""
    if callable(widen := getattr(given, "to_frame", None)):
        if getattr(given, "name", None) in (None, ""):
            hint = 'Name it: series.rename("product"), or flow.run({"product": series}).'
            raise FrameError(f"{with_article(type(given).__name__)} without a name is no table", hint=hint)
        return _as_frame(widen())
    if callable(rows := getattr(given, "to_dicts", getattr(given, "to_pylist", None))):
        found, names = rows(), getattr(given, "column_names", None) or given.columns
        return pd.DataFrame({name: pd.array([row[name] for row in found]) for name in names})
    if callable(convert := getattr(given, "to_pandas", None)):
        return _as_frame(convert())
    if hasattr(given, "__arrow_c_stream__") or hasattr(given, "__dataframe__"):
        return _exchanged(given)
    if _is_record(given):
        return pd.DataFrame([_record(given)])
    if isinstance(given, Mapping):
        # Without a list there is nothing that says how many rows: it is one.
        is_row = given and not any(pd.api.types.is_list_like(value) for value in given.values())
        return pd.DataFrame([dict(given)]) if is_row else pd.DataFrame(given)
    if isinstance(given, (Iterator, list, tuple)):
        return pd.DataFrame([_record(row) for row in given])
    return pd.DataFrame(given)


def _as_frame(made: Any) -> pd.DataFrame:
    return made if isinstance(made, pd.DataFrame) else _converted(made)


def _exchanged(given: Any) -> pd.DataFrame:
    read: Any = getattr(pd.DataFrame, "from_arrow", None)
    with warnings.catch_warnings():
        # Of the older protocol's age: the other library's frame has no other.
        warnings.simplefilter("ignore")
        if read is not None and hasattr(given, "__arrow_c_stream__"):
            return _as_frame(read(given))
        return pd.api.interchange.from_dataframe(given)


def _is_record(value: Any) -> bool:
    """Whether a value is one row by the names of its fields: a dataclass's or a pydantic model's."""
    return (is_dataclass(value) and not isinstance(value, type)) or _is_model(value)


def _is_model(value: Any) -> bool:
    return isinstance(getattr(type(value), "model_fields", None), Mapping)


def _record(row: Any) -> Any:
    """A row as a dict, where it has names; values inside it stay as they are."""
    if is_dataclass(row) and not isinstance(row, type):
        return {field.name: getattr(row, field.name) for field in fields(row)}
    if _is_model(row):
        return dict(row)
    # A database's row has keys too.
    return dict(row) if hasattr(row, "keys") and not isinstance(row, (dict, pd.Series)) else row


def _path_given(given: Any) -> FrameError:
    text = str(given)
    suffix = text[text.rfind(".") :].lower() if "." in text else ""
    reader = READERS.get(suffix, "read_csv")
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    return FrameError(
        f"{shown!r} is text, not a table: files are not opened here",
        hint=f"Read it first: flow.run(pd.{reader}({shown!r})).",
    )


def _advice(given: Any) -> str:
    if hasattr(given, "collect"):
        return "Collect it first: flow.run(table.collect())."
    return _SHAPES


def _check_columns(table: pd.DataFrame, inputs: Mapping[str, Any]) -> None:
    if isinstance(table.columns, pd.MultiIndex):
        raise FrameError(
            "the columns have several levels", hint='Flatten them: frame.columns = frame.columns.map("_".join).'
        )
    if isinstance(table.columns, pd.RangeIndex) and len(table.columns):
        count = len(table.columns)
        raise FrameError(
            f"the table's {count} column{'s have no names' if count > 1 else ' has no name'}",
            hint='Name them: pd.DataFrame(rows, columns=["product", ...]); in Jinja they are read by these names.',
        )
    wrong = [name for name in table.columns if not isinstance(name, str)]
    if wrong:
        raise FrameError(
            f"the name of the column {wrong[0]!r} is not text",
            hint="Rename it: frame.rename(columns={...}), or frame.columns.map(str).",
        )
    twice = sorted(set(table.columns[table.columns.duplicated()]))
    if twice:
        raise FrameError(f"the column {twice[0]!r} occurs twice", hint="Rename or drop one of them.")
    both = [name for name in inputs if name in table.columns]
    if both:
        raise FrameError(f"{both[0]!r} is a column and an input", hint="Drop one of them, or give it another name.")
    taken = [name for name in (*table.columns, *inputs) if name in RESERVED_COLUMNS]
    if taken:
        raise FrameError(
            f"the column {taken[0]!r} would collide with a column of the results",
            hint=f"Rename it, for example to 'input_{taken[0]}'.",
        )
