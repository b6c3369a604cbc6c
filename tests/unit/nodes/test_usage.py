"""Whatever a provider says that it used, a job's record takes it: as plain numbers and names, or as unknown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import repeat
from typing import Any

import numpy as np
import pytest

from xtyl_engine.limits import MAX_NAME_LENGTH
from xtyl_engine.nodes.usage import MAX_DOLLARS, MAX_NOTE_LENGTH, MAX_NOTES, MAX_TOKENS, plain_usage
from xtyl_engine.providers.base import Usage


class Hostile:
    """Raises whatever it is asked."""

    def __float__(self) -> float:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


def used(**told: Any) -> Usage:
    found = plain_usage(Usage(**{"provider": "p", "model": "m", **told}))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("told", "tokens"),
    [
        (7, 7),
        (0, 0),
        (MAX_TOKENS, MAX_TOKENS),
        (np.int64(7), 7),
        (np.uint8(7), 7),
        (np.float32(7.0), 7),
        (np.array(7), 7),
        (Decimal("7"), 7),
        (Fraction(14, 2), 7),
        (7.6, 8),
    ],
)
def test_tokens_are_a_plain_whole_number(told: Any, tokens: int) -> None:
    """A number of any library is the number it stands for."""
    found = used(tokens=told).tokens
    assert (found, type(found)) == (tokens, int)


@pytest.mark.parametrize("told", [0.25, np.float64(0.25), Decimal("0.25"), Fraction(1, 4)])
def test_cost_is_a_plain_number(told: Any) -> None:
    """Dollars are a float, whichever kind of number tells them."""
    found = used(cost=told).cost
    assert (found, type(found)) == (0.25, float)


@pytest.mark.parametrize(
    "told",
    [
        -1,
        2**63,
        MAX_TOKENS + 1,
        10**400,
        float("nan"),
        float("inf"),
        "7",
        b"7",
        True,
        [7],
        7j,
        np.array([1, 2]),
        Hostile(),
    ],
)
def test_what_is_no_number_of_a_job_is_unknown(told: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is left out with a warning that names it."""
    with caplog.at_level(logging.WARNING, "xtyl"):
        assert used(tokens=told).tokens is None
    assert ["its provider reports tokens as" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize("told", [-0.1, 2 * MAX_DOLLARS, float("inf"), float("nan"), "1", Decimal("NaN")])
def test_what_is_no_price_is_unknown(told: Any) -> None:
    """A cost that no job can have says nothing."""
    assert used(cost=told).cost is None


def test_names_are_texts_of_bearable_length() -> None:
    """Half a surrogate pair, NUL, a megabyte or another type: the record keeps a text."""
    found = used(provider="a\ud800\0", model="m" * 1_000_000)
    assert (found.provider, len(found.model)) == ("a\ufffd\ufffd", MAX_NAME_LENGTH)
    assert used(provider=7, model=None) == Usage(provider="7", model="")


COUNTS = ("input_tokens", "cached_tokens", "output_tokens", "image_tokens")


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize(("told", "kept"), [(np.int64(7), 7), (0, 0), (-1, None), ("7", None), (MAX_TOKENS + 1, None)])
def test_each_count_of_tokens_is_read_as_their_sum_is(field: str, told: Any, kept: int | None) -> None:
    """Input, cached, output and image tokens are plain whole numbers, or unknown."""
    found = getattr(used(**{field: told}), field)
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("told", "tokens"),
    [
        ({"input_tokens": 5, "output_tokens": 3, "cached_tokens": 4}, 8),
        ({"input_tokens": 5, "image_tokens": 100}, 105),
        ({"input_tokens": 5, "output_tokens": 3, "tokens": 20}, 20),
        ({"input_tokens": 5}, None),
        ({"output_tokens": 5}, None),
        ({"input_tokens": MAX_TOKENS, "output_tokens": MAX_TOKENS}, MAX_TOKENS),
    ],
)
def test_all_tokens_are_as_told_or_the_sum_of_the_parts(told: dict[str, int], tokens: int | None) -> None:
    """Cached tokens are a part of the input; a part that is not known makes no sum."""
    assert used(**told).tokens == tokens


def test_more_cached_tokens_than_were_read_are_unknown(caplog: pytest.LogCaptureFixture) -> None:
    """They would make the rest of the input less than nothing, and its price too."""
    with caplog.at_level(logging.WARNING, "xtyl"):
        found = used(input_tokens=5, cached_tokens=6)
    assert (found.input_tokens, found.cached_tokens) == (5, None)
    assert "6 cached tokens of 5" in caplog.text


class Endless:
    """Notes without an end."""

    def __iter__(self) -> Iterator[str]:
        return repeat("n" * 10_000)


class Torn:
    """Notes whose reading fails."""

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")


def test_texts_about_a_request_are_bounded() -> None:
    """A request's name and its notes are a few short texts, whatever is told; a single text is one note."""
    assert used(notes=Endless()).notes == ("n" * MAX_NOTE_LENGTH,) * MAX_NOTES
    assert used(notes="no seed").notes == ("no seed",)
    assert used(notes=Torn()).notes == used(notes=7).notes == ()
    assert used(notes=["a\ud800", 7]).notes == ("a\ufffd", "7")
    assert len(used(request_id="r" * 10_000).request_id or "") == MAX_NAME_LENGTH
    assert used(request_id="").request_id is used(request_id=Hostile()).request_id is None


def test_no_text_of_a_report_holds_a_secret() -> None:
    """What hides secrets sees every text before it is cut."""
    told = Usage(provider="k1", model="k2", request_id="k3", notes=("a k4",))
    found = plain_usage(told, lambda text: text.replace("k", "*"))
    assert found == Usage(provider="*1", model="*2", request_id="*3", notes=("a *4",))


def test_no_usage_stays_none_and_another_class_is_read() -> None:
    """A handler may tell no usage, or tell it in a class of its own."""
    assert plain_usage(None) is None
    assert plain_usage({"tokens": 7}) == Usage(provider="", model="")
