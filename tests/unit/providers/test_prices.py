"""What an answer costs: whose word counts, what stays unknown, and that the arithmetic is exact."""

from __future__ import annotations

import socket
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from xtyl_engine.providers.base import Usage
from xtyl_engine.providers.price_file import NANO
from xtyl_engine.providers.price_list import list_cost
from xtyl_engine.providers.prices import Prices, nano_dollars

# Made by hand from OpenAI's page of prices: $2.50 in, $0.25 cached, $15 out for gpt-5.4; $0.40, $0.10, $1.60 for gpt-4.1-mini;
# $5, $1.25, $40 for gpt-image-1, whose images are output.
BY_HAND = [
    ("gpt-4.1-mini", (1_000_000, 0, 0, None), 400_000_000),
    ("gpt-4.1-mini", (0, 0, 1_000_000, None), 1_600_000_000),
    ("gpt-4.1-mini", (1_000, 10, 100, None), 396_000 + 1_000 + 160_000),
    ("gpt-4.1-mini", (1, None, 1, None), 400 + 1_600),
    ("gpt-4.1-mini", (7, 7, 0, None), 700),
    ("gpt-5.4", (2_000, 1_000, 300, None), 2_500_000 + 250_000 + 4_500_000),
    ("gpt-image-1", (50, None, None, 1_056), 250_000 + 42_240_000),
    ("gpt-image-1", (50, None, 0, 1_056), 250_000 + 42_240_000),
]


def usage(model: str = "gpt-4.1-mini", provider: str = "openai", **told: Any) -> Usage:
    return Usage(provider=provider, model=model, **{"input_tokens": 1_000, "output_tokens": 100, **told})


@pytest.mark.parametrize(("model", "counts", "cost"), BY_HAND)
def test_the_list_prices_an_answer_as_a_person_would(model: str, counts: tuple[int | None, ...], cost: int) -> None:
    """Input, cached input, output and image tokens each have their price; no token is paid for twice."""
    read, cached, written, drawn = counts
    used = Usage(
        provider="openai",
        model=model,
        input_tokens=read,
        cached_tokens=cached,
        output_tokens=written,
        image_tokens=drawn,
    )
    found = Prices("openai", {}).priced(used)
    assert found.cost is not None
    assert nano_dollars(found.cost) == cost
    assert found.price == f"genai-prices 0.2.3, {datetime.now(UTC).date().isoformat()}"


@pytest.mark.parametrize(
    "told",
    [
        {"model": "a model of ours"},
        {"model": ""},
        {"provider": "another", "model": "gpt-4.1-mini"},
        {"provider": "openai-like", "model": "gpt-4.1-mini"},
        {"input_tokens": None},
        {"output_tokens": None},
        {"input_tokens": None, "output_tokens": None, "tokens": 1_100},
    ],
)
def test_what_nothing_knows_is_unknown(told: dict[str, Any]) -> None:
    """A model or a provider without a price, and numbers that were not told: the cost is None, and never 0."""
    used = usage(**told)
    assert Prices(used.provider, {}).priced(used) == used


@pytest.mark.parametrize(
    ("server", "is_known"),
    [
        ("https://api.openai.com/v1", True),
        ("https://us.openai.azure.com/openai/v1", True),
        ("https://openrouter.ai/api/v1", False),
        ("http://localhost:11434/v1", False),
        ("https://llm.example.com/v1", False),
        ("no address", False),
    ],
)
def test_another_server_has_its_own_prices(server: str, is_known: bool) -> None:
    """A model of the same name there costs what that server takes: what the list says of it, or an unknown amount."""
    found = Prices("openai", {"OPENAI_BASE_URL": server}).priced(usage())
    assert (found.cost is not None) is is_known


def test_the_model_that_answered_has_the_price_and_else_the_one_that_was_asked() -> None:
    """An alias is answered by a dated model; a deployment is answered under a name that no list knows."""
    prices = Prices("openai", {})
    assert prices.priced(usage("gpt-4.1-mini-2025-04-14"), "gpt-5.4").cost == 0.00056
    assert prices.priced(usage("our-deployment"), "gpt-4.1-mini").cost == 0.00056


def test_a_providers_own_word_counts(tmp_path: Path) -> None:
    """It knows what it took, also that it took nothing."""
    path = tmp_path / "prices.toml"
    path.write_text('[[price]]\nmodel = "*"\nrequest = 5\n')
    prices = Prices("openai", {"XTYL_PRICES": str(path)})
    for cost in (0.0, 0.25):
        assert prices.priced(usage(cost=cost)) == usage(cost=cost, price="its provider")


def test_the_file_comes_before_the_list(tmp_path: Path) -> None:
    """A contract has its own prices; what it does not name has those of the list, and what it names by halves has none."""
    path = tmp_path / "contract.toml"
    path.write_text('date = 2026-11-30\n[[price]]\nmodel = "gpt-4.1*"\ninput = 0.1\noutput = 0.3\n')
    prices = Prices("openai", {"XTYL_PRICES": str(path)})
    found = prices.priced(usage())
    assert (found.cost, found.price) == (0.00013, "XTYL_PRICES contract.toml, 2026-11-30")
    assert str(prices.priced(usage("gpt-5.4")).price).startswith("genai-prices")
    assert prices.priced(usage(output_tokens=None)).cost is None


@pytest.mark.parametrize(
    ("told", "nano"),
    [
        (0.1 + 0.2, 300_000_000),
        (0.0, 0),
        (1e-9, 1),
        (4e-10, 0),
        (5e-10, 0),
        (1.5e-9, 2),
        (1e9, 10**18),
        (0.07, 70_000_000),
    ],
)
def test_dollars_become_whole_numbers(told: float, nano: int) -> None:
    """As they are written: the nearest 1e-9 dollar, halves to the even."""
    assert nano_dollars(told) == nano


def test_a_thousand_costs_go_there_and_back() -> None:
    """What a float of dollars stands for is the same whole number again, up to a million dollars."""
    state = 1
    for _ in range(1_000):
        state = state * 6364136223846793005 % 2**63
        nano = state % 10**15
        assert nano_dollars(nano / NANO) == nano


def test_a_list_that_breaks_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Numbers that the list refuses make the cost unknown, with a line in the log."""
    odd = {"input": 1, "cached": -5, "output": 1, "image_tokens": 0}
    assert list_cost("openai", None, "gpt-4.1-mini", odd) is None
    assert "the price of gpt-4.1-mini at openai is unknown" in caplog.text


def test_a_price_is_that_of_the_day() -> None:
    """The list may hold prices of several days; the day that was asked for is kept beside the cost."""
    counts: dict[str, int | None] = {"input": 1_000, "cached": 0, "output": 0, "image_tokens": 0}
    found = list_cost("openai", None, "gpt-4.1-mini", counts, datetime(2026, 1, 2, tzinfo=UTC))
    assert found == (int(Decimal("0.0004") * NANO), "genai-prices 0.2.3, 2026-01-02")


def test_no_price_is_asked_of_the_network() -> None:
    """The list is the one in the package: whatever opens a connection fails here, and the answer has its price all the same."""
    script = (
        "import socket\n"
        "def refuse(*_, **__): raise AssertionError('the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from xtyl_engine.providers.base import Usage\n"
        "from xtyl_engine.providers.prices import Prices\n"
        "import sys\n"
        "assert 'genai_prices' not in sys.modules\n"
        "used = Usage(provider='openai', model='gpt-4.1-mini', input_tokens=1000, output_tokens=0)\n"
        "print(Prices('openai', {}).priced(used).cost)\n"
        "import threading\n"
        "print(threading.active_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.0004", "1"]
    assert socket.socket.connect is not None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-opus-4-1"),
        ("gemini", "gemini-2.5-flash"),
        ("mistral", "mistral-large-latest"),
        ("groq", "llama-3.3-70b-versatile"),
    ],
)
def test_each_provider_has_its_prices(provider: str, model: str) -> None:
    """The vendors by their servers, and a provider of another package that the list has under its name."""
    used = usage(model, provider)
    assert (Prices(provider, {}).priced(used).cost or 0) > 0
