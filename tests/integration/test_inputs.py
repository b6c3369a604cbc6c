"""Tables of every shape go in and come out on their own index; unusable ones are refused by name before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_index_equal

import xtyl_nb as xt
from xtyl_engine.errors import LimitExceeded, ValueNotPlain

FLOW = xt.Workflow("echo").attach("kit", title="{{ name }}!")
NAMES = ["ann", "bo", "cy"]
DAYS = pd.to_datetime(["2026-01-03", "2026-01-01", "2026-01-02"])
INDEXES = {
    "range": pd.RangeIndex(10, 16, 2),
    "text": pd.Index(["x", "y", "z"], name="key"),
    "numbers": pd.Index([2.5, -1.0, 7.25], name="weight"),
    "days": DAYS.rename("day"),
    "instants": pd.DatetimeIndex(DAYS.tz_localize("Europe/Paris"), name="when"),
    "levels": pd.MultiIndex.from_arrays([["a", "a", "b"], [1, 2, 1], DAYS], names=["letter", "number", "day"]),
    "twice": pd.Index(["x", "x", "z"]),
    "categories": pd.CategoricalIndex(["lo", "hi", "lo"], categories=["lo", "hi"], ordered=True, name="size"),
    "nullable": pd.Index(pd.array([1, 2, 3], dtype="Int64"), name="n"),
    "booleans": pd.Index([True, False, True], name="flag"),
}


@pytest.fixture(params=INDEXES)
def index(request):
    return INDEXES[request.param]


def test_every_index_is_kept(index):
    """The results stand on the input's own index, in the run's own handle and in any other; so do the jobs' rows."""
    frame = pd.DataFrame({"name": NAMES}, index=index)
    run = FLOW.run(frame).wait(60)
    for found in (run.frame(), xt.attach(run.id).frame()):
        assert_index_equal(found.index, index, exact="equiv")
        assert list(found["kit"]) == ["ann!", "bo!", "cy!"]
    assert list(run.jobs()["row"]) == list(index)
    assert list(run.outputs("kit").index) == list(index)
    assert set(run.events()["row"].dropna()) == set(index)


def test_a_row_is_named_by_its_own_label(index):
    """A review is decided by a label of the user's frame; a label that occurs twice is refused."""
    frame = pd.DataFrame({"name": NAMES}, index=index)
    flow = xt.Workflow("one").generate_copy("line", prompt="{{ name }}").review("pick", of="line")
    run = flow.run(frame)
    if index.is_unique:
        run.approve("pick", choose=[0], row=index[1], timeout=60)
    else:
        with pytest.raises(xt.FrameError, match="2 rows with the label"):
            run.approve("pick", choose=[0], row=index[0])
        run.approve("pick", choose=[0], row_position=1, timeout=60)
    assert run.frame()["status"].iloc[1] == "completed"
    run.stop()


COLUMNS = pd.DataFrame(
    {
        "name": NAMES,
        "whole": [1, 2, 3],
        "part": [0.5, np.nan, 2.0],
        "maybe": pd.array([1, None, 3], dtype="Int64"),
        "maybe_part": pd.array([1.5, None, 3], dtype="Float64"),
        "flag": [True, False, True],
        "maybe_flag": pd.array([True, None, False], dtype="boolean"),
        "size": pd.Categorical(["lo", None, "hi"], categories=["lo", "mid", "hi"], ordered=True),
        "day": [DAYS[0], pd.NaT, DAYS[1]],
        "instant": pd.DatetimeIndex([DAYS[0], pd.NaT, DAYS[1]]).tz_localize("UTC"),
        "text": pd.array(["a", None, "c"], dtype="string"),
        "listed": [["a"], [], ["b", "c"]],
        "small": np.array([1, 2, 3], dtype="int8"),
    }
)


def test_every_type_of_column_is_kept():
    """Another handle gives the inputs with their values and dtypes; missing values stay missing."""
    run = FLOW.run(COLUMNS).wait(60)
    for found in (run.frame(), xt.attach(run.id).frame()):
        assert_frame_equal(found[list(COLUMNS)], COLUMNS, check_frame_type=False)


def test_missing_values_are_none_in_jinja():
    """NaN, NA and NaT are all `none` to Jinja."""
    flow = xt.Workflow("missing").attach(
        "kit", title="{{ part is none }} {{ maybe is none }} {{ day is none }} {{ size is none }} {{ text is none }}"
    )
    assert list(flow.run(COLUMNS).wait(60).frame()["kit"]) == [
        "False False False False False",
        "True True True True True",
        "False False False False False",
    ]


def test_a_list_of_dicts_is_a_table_too():
    """A run takes anything that a DataFrame can be made of."""
    run = FLOW.run([{"name": "ann"}, {"name": "bo"}]).wait(60)
    assert list(run.frame()["kit"]) == ["ann!", "bo!"]


def test_an_empty_table_completes_with_no_rows():
    """A run without rows has no jobs and says so: it is completed, and its frame is empty, with every column."""
    with pytest.warns(UserWarning, match="The table has no rows"):
        run = FLOW.run(pd.DataFrame({"name": pd.Series([], dtype="str")})).wait(60)
    assert run.state == "completed"
    assert list(run.frame().columns) == ["name", "kit", "status", "error"]
    assert run.frame().empty
    assert run.jobs().empty
    assert run.outputs("kit").empty


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "status": (pd.DataFrame({"name": NAMES, "status": NAMES}), xt.FrameError, "'status' would collide"),
    "levels": (
        pd.DataFrame([["a"]], columns=pd.MultiIndex.from_tuples([("name", "x")])),
        xt.FrameError,
        "several levels",
    ),
    "number": (pd.DataFrame({"name": NAMES, 7: NAMES}), xt.FrameError, "column 7"),
    "twice": (pd.DataFrame([["a", "b"]], columns=["name", "name"]), xt.FrameError, "occurs twice"),
    "set": (pd.DataFrame({"name": [{1, "x"}]}), ValueNotPlain, r"name\[0\]"),
    "infinite": (pd.DataFrame({"name": [np.inf]}), ValueNotPlain, "infinite"),
    "huge": (pd.DataFrame({"name": [10**400]}, dtype="object"), ValueNotPlain, "64 bits"),
    "nul": (pd.DataFrame({"name": ["a\0b"]}), ValueNotPlain, "NUL"),
    "surrogate": (pd.DataFrame({"name": pd.Series(["\ud800"], dtype="object")}), ValueNotPlain, "surrogate"),
    "lambda": (pd.DataFrame({"name": [len]}), ValueNotPlain, r"name\[0\]"),
    "nothing": (7, xt.FrameError, "not a table"),
    "missing column": (pd.DataFrame({"nam": NAMES}), xt.WorkflowError, "nam"),
    "node": (pd.DataFrame({"name": NAMES, "kit": NAMES}), xt.WorkflowError, "kit"),
    "rows": (pd.DataFrame({"name": ["a"] * 100_001}), (LimitExceeded, xt.FrameError), "at most"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_used_is_refused_by_name(name):
    """The error names the column or cell, and a remedy; no run is made."""
    frame, error, words = REFUSED[name]
    before = len(xt.runs())
    with pytest.raises(error, match=words) as caught:
        FLOW.run(frame)
    assert caught.value.hint or caught.value.problems
    assert len(xt.runs()) == before


def test_an_input_that_is_a_column_too_is_refused():
    """A name that is a column and a keyword at once is refused."""
    with pytest.raises(xt.FrameError, match="a column and an input"):
        FLOW.run(pd.DataFrame({"name": NAMES}), name="x")


def test_texts_of_every_script_pass_unchanged():
    """Braces, markup, right-to-left marks and emoji are data."""
    names = [
        "{{ 7 * 7 }}",
        "<script>alert(1)</script>",
        "\u202eabc",
        "🙂",
        "{% for x in y %}",
        "=HYPERLINK(1)",
        "%s {0}",
    ]
    assert list(FLOW.run(pd.DataFrame({"name": names})).wait(60).frame()["kit"]) == [f"{name}!" for name in names]
