"""Whatever a provider says that it used, a job's record takes it: as plain numbers and names, or as unknown."""

from __future__ import annotations

import logging
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from xtyl_engine.limits import MAX_NAME_LENGTH
from xtyl_engine.nodes.usage import MAX_DOLLARS, MAX_TOKENS, plain_usage
from xtyl_engine.providers.base import Usage


class Hostile:
    """Raises whatever it is asked."""

    def __float__(self) -> float:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


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


def test_no_usage_stays_none_and_another_class_is_read() -> None:
    """A handler may tell no usage, or tell it in a class of its own."""
    assert plain_usage(None) is None
    assert plain_usage({"tokens": 7}) == Usage(provider="", model="")
