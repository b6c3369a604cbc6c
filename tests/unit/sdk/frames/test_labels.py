"""Labels of an index come back as what they were: every type of pandas, through JSON, so that results join their inputs."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes import INDEXES, UUIDS
from xtyl_engine.errors import FrameError
from xtyl_nb.frames.dtypes import describe_shape, index_again
from xtyl_nb.frames.labels import store


def there_and_back(index: pd.Index[Any]) -> pd.Index[Any]:
    """The index as another kernel finds it."""
    table = pd.DataFrame(index=index)
    kept = json.dumps([describe_shape(table), [store(label) for label in index]], allow_nan=False)
    shape, labels = json.loads(kept)
    return index_again(labels, shape)


def assert_same(found: pd.Index[Any], wanted: pd.Index[Any]) -> None:
    """The same labels of the same types, under the same names."""
    assert found.equals(wanted) or found.isna().any()
    assert list(found.names) == list(wanted.names)
    assert [(type(a), str(a)) for a in found] == [(type(a), str(a)) for a in wanted]
    for level in range(wanted.nlevels):
        assert found.get_level_values(level).dtype == wanted.get_level_values(level).dtype


@pytest.mark.parametrize("name", INDEXES)
def test_labels_of_every_type_come_back(name: str) -> None:
    """Value, type, dtype and name of every label are those of the input."""
    assert_same(there_and_back(INDEXES[name]), INDEXES[name])


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
CLOCK = (st.datetimes(), st.times())
PARTS: tuple[st.SearchStrategy[Any], ...] = (
    st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.binary(max_size=4), st.uuids(), st.dates(),
    *(each.map(lambda when: when.replace(fold=0)) for each in CLOCK), st.timedeltas(), st.decimals(allow_nan=False),
    st.fractions(), st.complex_numbers(allow_nan=False),
)  # fmt: skip
LABELS = st.one_of(*PARTS, st.tuples(st.one_of(*PARTS), TEXTS))


@settings(max_examples=60)
@given(st.lists(LABELS, min_size=1, max_size=6))
def test_any_labels_come_back(labels: list[Any]) -> None:
    """An index of objects of many types, in any order, is the same afterwards."""
    index = pd.Index(pd.Series(labels, dtype="object"), tupleize_cols=False)
    assert_same(there_and_back(index), index)


def test_a_label_that_could_not_be_found_again_is_refused() -> None:
    """An object of another type is named with its row and what to do; so is a text that no database stores."""
    wrong: dict[str, list[Any]] = {"row 1, an object": ["a", object()], "no database stores": ["a\0"]}
    for words, labels in wrong.items():
        with pytest.raises(FrameError, match=words) as caught:
            there_and_back(pd.Index(labels, dtype="object"))
        assert caught.value.hint is not None
        assert "frame.index" in caught.value.hint


def test_labels_of_an_earlier_release_stay_readable() -> None:
    """A run that was stored without the types of its labels gives them as text, as it did then."""
    shape = {"index": {"names": ["id"], "dtypes": ["object"]}}
    assert list(index_again([str(each) for each in UUIDS], shape)) == [str(each) for each in UUIDS]
