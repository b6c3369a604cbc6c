"""How far a function says it is."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

import xtyl_nb as xt
from xtyl_engine.values.progress import Reporter, progress, report_to


@pytest.fixture(autouse=True)
def nothing_listens() -> Iterator[None]:
    yield
    report_to(None)


def test_outside_of_a_runner_it_does_nothing() -> None:
    """A function that says how far it is can be tried in a cell; a value that is no number is wrong there too."""
    progress(1, 2)
    for wrong in ("1", None, b"1"):
        with pytest.raises(TypeError):
            progress(wrong)  # type: ignore[arg-type]


def test_it_tells_the_first_and_the_last() -> None:
    """Of a million times in a loop few are told, and the last one with the end; all kinds of numbers are taken."""
    told: list[tuple[float, float | None]] = []
    reporter = report_to(lambda done, of: told.append((done, of)))
    assert isinstance(reporter, Reporter)
    for place in range(1, 1_001):
        xt.progress(place, 1_000)
    reporter.end()
    assert (told[0], told[-1]) == ((1.0, 1_000.0), (1_000.0, 1_000.0))
    assert len(told) < 1_000
    xt.progress(Decimal("0.5"))  # type: ignore[arg-type]
    reporter.end()
    assert told[-1] == (0.5, None)
    reporter.end()
    assert told.count((0.5, None)) == 1


def test_what_is_no_amount_is_not_told() -> None:
    """An infinite number or NaN, such as a division by zero gives, costs the function nothing and shows nothing."""
    told: list[tuple[float, float | None]] = []
    reporter = report_to(lambda done, of: told.append((done, of)))
    assert reporter is not None
    progress(float("nan"), 3)
    progress(1, float("inf"))
    reporter.end()
    assert told == []
