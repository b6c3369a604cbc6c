"""Money in words: on the head of a run, short, and never nothing where something was paid."""

from __future__ import annotations

import pytest

from scripted_run import node_overview
from xtyl_nb.drawing.words import is_nearly_spent, money_words, price, state_words, tally


@pytest.mark.parametrize(
    ("dollars", "words"),
    [(0.0, "$0.00"), (1e-9, "under $0.0001"), (0.0042, "$0.0042"), (0.25, "$0.25"), (1234.5, "$1,234.50")],
)
def test_a_price_is_short_and_a_small_one_is_not_nothing(dollars: float, words: str) -> None:
    """Two digits behind the point, four for less than ten cents."""
    assert price(dollars) == words


@pytest.mark.parametrize(
    ("paid", "words"),
    [
        ({"spent": 0, "unpriced": 0, "from_cache": 0, "saved": 0}, ""),
        ({"spent": None, "unpriced": None, "from_cache": None, "saved": None}, ""),
        ({"spent": 420_000_000, "unpriced": 0, "from_cache": 0, "saved": 0}, "$0.42 spent"),
        (
            {"spent": 420_000_000, "unpriced": 3, "from_cache": 1_200, "saved": 5_000_000_000},
            "$0.42 spent · 3 of unknown cost · 1,200 from the cache, $5.00 saved",
        ),
        ({"spent": 0, "unpriced": 1, "from_cache": 2, "saved": 0}, "1 of unknown cost · 2 from the cache"),
    ],
)
def test_the_head_says_what_was_spent_and_what_came_from_the_cache(paid: dict[str, int | None], words: str) -> None:
    """What is nothing, or not known, takes no room."""
    assert money_words(paid) == words


@pytest.mark.parametrize(
    ("charged", "words", "is_nearly"),
    [
        (0, "$0.00 of $5.00 spent", False),
        (3_990_000_000, "$3.99 of $5.00 spent", False),
        (4_000_000_000, "$4.00 of $5.00 spent", True),
    ],
)
def test_of_a_budget_the_head_says_how_much_is_spent(charged: int, words: str, is_nearly: bool) -> None:
    """All that is charged to it, what is assumed too; from four fifths on a person should know. Without one nothing is nearly
    spent."""
    paid = {"spent": 1, "unpriced": 0, "from_cache": 0, "saved": 0}
    assert money_words(paid, 5_000_000_000, charged) == words
    assert is_nearly_spent(5_000_000_000, charged) is is_nearly
    assert not is_nearly_spent(None, None)


@pytest.mark.parametrize(
    ("counts", "counted", "said"),
    [
        ({"completed": 28, "failed": 2}, "28 of 30, 2 failed", "failed"),
        ({"blocked": 3, "skipped": 2}, "0 of 5", "not started · 2 rows left out"),
        ({"blocked": 3, "completed": 1, "skipped": 1}, "1 of 5", "partly done · 1 row left out"),
        ({"skipped": 2}, "0 of 2", "skipped"),
    ],
)
def test_a_card_counts_what_came_out(counts: dict[str, int], counted: str, said: str) -> None:
    """Failures and rows that were left out are not done, and are named."""
    node = node_overview(**counts)
    assert (tally(node), state_words(node)) == (counted, said)
