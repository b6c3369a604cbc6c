"""What a table may be: anything that has rows, read once; what is none is refused by name, with what to pass."""

from __future__ import annotations

import csv
import io
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel

import xtyl_nb as xt
from indexes import COLUMNS, INDEXES
from workbench import Workbench, workbench
from xtyl_engine.errors import ValueNotPlain

ECHO = xt.Workflow("echo").attach("kit", title="{{ name }}!")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    with workbench(tmp_path_factory.mktemp("tables")) as made:
        yield made


@dataclass
class Brief:
    name: str


class Model(BaseModel):
    name: str


class Pair(NamedTuple):
    name: str
    tone: str


class Exchanged:
    """A frame of a library that knows the exchange protocol alone."""

    def __dataframe__(self, **wanted: Any) -> Any:
        frame: Any = pd.DataFrame({"name": ["ann", "bo"]})
        return frame.__dataframe__(**wanted)


class Listed:
    """A table that gives its rows as Arrow's do."""

    column_names = ("name",)

    def to_pylist(self) -> list[dict[str, Any]]:
        return [{"name": "ann"}, {"name": "bo"}]


def rows_of_a_database() -> Any:
    opened = sqlite3.connect(":memory:")
    opened.row_factory = sqlite3.Row
    found = opened.execute("select 'ann' as name union all select 'bo' order by 1").fetchall()
    opened.close()
    return found


TABLES: dict[str, Callable[[], Any]] = {
    "reader": lambda: csv.DictReader(io.StringIO("name\nann\nbo\n")),
    "generator": lambda: ({"name": name} for name in ("ann", "bo")),
    "map": lambda: map(Brief, ["ann", "bo"]),
    "namedtuples": lambda: iter([Pair("ann", "x"), Pair("bo", "y")]),
    "dataclasses": lambda: [Brief("ann"), Brief("bo")],
    "models": lambda: [Model(name="ann"), Model(name="bo")],
    "rows": rows_of_a_database,
    "series": lambda: pd.Series(["ann", "bo"], name="name"),
    "columns": lambda: {"name": ["ann", "bo"], "tone": "calm"},
    "polars": lambda: pl.DataFrame({"name": ["ann", "bo"]}),
    "polars series": lambda: pl.Series("name", ["ann", "bo"]),
    "exchanged": Exchanged,
    "listed": Listed,
}


@pytest.mark.parametrize("name", TABLES)
def test_what_has_rows_is_a_table(bench: Workbench, name: str) -> None:
    """Each row runs, once, and is there in the results; iterators are read once."""
    run = bench.done(ECHO, TABLES[name]())
    for found in (run.frame(), xt.attach(run.id).frame()):
        assert list(found["name"]) == ["ann", "bo"]
        assert list(found["kit"]) == ["ann!", "bo!"]


@pytest.mark.parametrize("row", [{"name": "ann"}, Brief("ann"), Model(name="ann")], ids=["dict", "dataclass", "model"])
def test_single_values_are_one_row(bench: Workbench, row: Any) -> None:
    """A dict without a list in it, or one object with fields, is one row."""
    assert list(bench.done(ECHO, row).frame()["kit"]) == ["ann!"]


def test_whole_numbers_of_other_libraries_stay_whole(bench: Workbench) -> None:
    """A missing value beside them makes no fractions of them."""
    table = pl.DataFrame({"name": ["ann", "bo"], "count": [3, None]})
    run = bench.done(xt.Workflow("count").attach("kit", title="{{ name }} {% if count %}{{ count }}{% endif %}"), table)
    assert list(run.frame()["kit"]) == ["ann 3", "bo "]


@pytest.mark.parametrize("given", [[], iter(()), pd.DataFrame({"name": []}), pl.DataFrame({"name": []})])
def test_a_table_without_rows_is_told(bench: Workbench, given: Any) -> None:
    """The run, and the plan before it, say that nothing is there to do."""
    flow = xt.Workflow("still").attach("kit", title="x")
    with pytest.warns(UserWarning, match="The table has no rows, so no step runs"):
        assert bench.done(flow, given).state == "completed"
    with pytest.warns(UserWarning, match="no rows"):
        flow.plan(given)


NO_TABLES: dict[str, tuple[Any, str, str]] = {
    "path": ("briefs.csv", "'briefs.csv' is text, not a table", "pd.read_csv('briefs.csv')"),
    "excel": (Path("my/briefs.xlsx"), "not a table", "pd.read_excel('my/briefs.xlsx')"),
    "text": ("Aurora lamp", "not a table", "pd.read_csv"),
    "list": (["ann", "bo"], "column has no name", 'columns=["product"'),
    "pairs": (zip(["ann"], ["calm"], strict=True), "2 columns have no names", "columns="),
    "series": (pd.Series(["ann"]), "a Series without a name", ".rename("),
    "lazy": (pl.DataFrame({"name": ["ann"]}).lazy(), "a LazyFrame is not a table", ".collect()"),
    "number": (7, "an int is not a table", "list of dicts"),
    "twice": (pd.DataFrame([["a", "b"]], columns=["name", "name"]), "'name' occurs twice", "Rename"),
}


@pytest.mark.parametrize("name", NO_TABLES)
def test_what_is_no_table_is_refused_by_name(bench: Workbench, name: str) -> None:
    """The error says what was given, and what to pass instead."""
    given, words, hint = NO_TABLES[name]
    with pytest.raises(xt.FrameError, match=words) as caught:
        ECHO.run(given)
    assert hint in str(caught.value.hint)


def test_a_run_without_a_table_says_how_to_give_one(bench: Workbench) -> None:
    """Columns that steps read and nothing gives are asked for."""
    with pytest.raises(xt.WorkflowError) as caught:
        ECHO.run()
    assert "flow.run(frame)" in caught.value.problems[0].hint
    assert "flow.run(name=...)" in caught.value.problems[0].hint


@pytest.mark.parametrize("name", INDEXES)
def test_results_join_their_input(bench: Workbench, name: str) -> None:
    """Labels of every type are the same in the outputs, in the jobs and in another kernel's frame."""
    index = INDEXES[name]
    frame = pd.DataFrame({"name": [str(place) for place in range(len(index))]}, index=index)
    run = xt.attach(bench.done(ECHO, frame).id)
    outputs, rows = run.outputs("kit"), list(run.jobs()["row"])
    for found in (list(outputs.index), list(run.frame().index), rows):
        assert list(map(repr, found)) == list(map(repr, index))
    if index.is_unique and not isinstance(index, pd.MultiIndex):
        joined = frame.join(outputs[["title"]])
        assert list(joined["title"]) == [f"{place}!" for place in range(len(index))]


def test_columns_of_every_type_run_where_no_step_reads_them(bench: Workbench) -> None:
    """What cannot be stored in a column that no step reads refuses no run; what can comes back as it was."""
    for name, values in COLUMNS.items():
        frame = pd.DataFrame({"name": ["x"] * len(values), "odd": values})
        run = bench.done(ECHO, frame)
        assert list(run.frame()["kit"]) == ["x!"] * len(values), name
        assert len(xt.attach(run.id).frame()["odd"]) == len(values)
    for odd in (object(), {1: 2}, 10**40, float("inf"), "a\0b", lambda: 1):
        frame = pd.DataFrame({"name": ["x"], "odd": pd.Series([odd], dtype="object")})
        assert list(bench.done(ECHO, frame).frame()["kit"]) == ["x!"]


def test_columns_of_every_type_are_taken_or_refused_by_name(bench: Workbench) -> None:
    """A step that reads a column gets its values, or the run is refused with column, row and remedy."""
    flow = xt.Workflow("read").attach("kit", title="{{ odd }}")
    refused: dict[str, Exception] = {}
    for name, values in COLUMNS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                run = bench.done(flow, pd.DataFrame({"odd": values}))
        except (xt.FrameError, ValueNotPlain) as error:
            refused[name] = error
        else:
            assert set(run.frame()["status"]) == {"completed"}, name
    assert set(refused) == {"complex", "fractions", "mixed", "uint64"}
    assert all("odd[" in str(error) and getattr(error, "hint", None) for error in refused.values())
