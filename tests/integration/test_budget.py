"""A budget over a real back end: a run pauses before it would pass it, says so, and goes on with more."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import xtyl_nb as xt
from openai_server import OpenAIServer, openai_server
from own_back_end import own_back_end
from servers import wait_until
from xtyl_engine.settings import Settings
from xtyl_nb.runs.dollars import budget_of

# The server answers with one token in and one out; a job holds 100 tokens and a few of its prompt.
PRICES = """
[[price]]
model = ["m*", "broken", "bad-request", "rate-*", "cut-off"]
input = 1000
output = 1000
"""


@pytest.fixture(scope="module")
def served() -> Iterator[OpenAIServer]:
    with openai_server() as served:
        yield served


@pytest.fixture
def home(tmp_path: Path, served: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    (tmp_path / "prices.toml").write_text(PRICES)
    monkeypatch.setenv("XTYL_PRICES", str(tmp_path / "prices.toml"))
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    monkeypatch.setenv("OPENAI_BASE_URL", served.url)
    with own_back_end(tmp_path) as settings:
        xt.connect()
        yield settings


def flow(budget: float, model: str = "m") -> xt.Workflow:
    """Two steps over each row, with a limit of tokens."""
    made = xt.Workflow("spends", budget=budget)
    facts: Any = {"provider": "openai", "model": model, "max_tokens": 100, "cache": False}
    return made.generate_copy("a", prompt="Hi {{ name }}", **facts).generate_copy("b", prompt="{{ a }}", **facts)


def test_a_run_pauses_before_it_passes_its_budget(home: Settings, served: OpenAIServer) -> None:
    """It starts what the budget pays for at most, pauses, says what it waits for, and goes on with a larger one to its end."""
    rows = pd.DataFrame({"name": [f"row {place}" for place in range(12)]})
    run = flow(0.40).run(rows)
    wait_until(lambda: run.state == "paused")
    spent = float(run.cost()["cost"].iloc[-1])
    assert 0 < spent <= 0.40
    asked = len(served.requests)
    assert asked < 24
    assert "the budget has $" in str(run.waiting_for)
    assert "`run.resume(budget=" in str(run.waiting_for)
    with pytest.raises(xt.ControlRefused, match="paused for its budget"):
        run.resume()
    with pytest.raises(xt.ControlRefused, match="is no more than"):
        run.resume(budget=spent / 2)
    assert run.resume(budget=5.00).wait(60).state == "completed"
    assert len(served.requests) - asked == 24 - asked


@pytest.mark.parametrize("model", ["bad-request", "rate-limit-nonsense"])
def test_what_the_server_refuses_leaves_the_budget_whole(home: Settings, model: str) -> None:
    """Also where it does not say when to come back."""
    run = flow(5.00, model=model).run(name="x")
    assert run.wait(60).state == "failed"
    assert run.overview().charged == 0


@pytest.mark.parametrize("model", ["broken", "cut-off"])
def test_what_may_have_been_billed_counts_with_all_that_was_held(home: Settings, model: str) -> None:
    """Each attempt at an answer that broke off, or at a server that failed."""
    run = flow(5.00, model=model).run(name="x")
    assert run.wait(60).state == "failed"
    assert run.overview().charged == 3 * 151 * 10**6


def test_a_model_without_a_price_is_refused_before_it_is_asked(home: Settings, served: OpenAIServer) -> None:
    """What no price is known for cannot be kept within a budget: the run says it, and what to do, before anything is asked."""
    before = len(served.requests)
    with pytest.raises(xt.WorkflowError, match=r"the price of other at openai is not known(.|\n)*XTYL_PRICES"):
        flow(1.00, model="other").run(name="x")
    assert len(served.requests) == before


@pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf"), 1e-12, 1e12, 10**400, np.float64("nan")])
def test_no_amount_of_money_is_refused_before_anything_is_paid(
    home: Settings, served: OpenAIServer, budget: Any
) -> None:
    """A workflow names it as a problem, and a run that goes on as a refusal that says what to write."""
    before = len(served.requests)
    with pytest.raises(xt.WorkflowError, match=r"budget is (.|\n)*budget=5.00"):
        flow(budget).run(name="x")
    run = xt.Workflow("idle").generate_copy("a", prompt="Hi", provider="offline").run()
    with pytest.raises(xt.ControlRefused, match=r"no amount that a run may spend(.|\n)*`run.resume\(budget=5.00\)`"):
        run.resume(budget=budget)
    assert len(served.requests) == before


@pytest.mark.parametrize("budget", ["5", True, np.bool_(True), [5]])
def test_what_is_no_number_is_no_budget(budget: Any) -> None:
    """Neither of a workflow nor of a run."""
    with pytest.raises(TypeError, match=r"a number of US dollars, not .*budget=5.00"):
        xt.Workflow("a", budget=budget)
    with pytest.raises(TypeError, match=r"a number of US dollars, not .*budget=5.00"):
        budget_of(budget)


@pytest.mark.parametrize("budget", [np.float32(0.5), np.int64(5), Decimal("0.50"), 1e-9])
def test_numbers_of_every_kind_are_budgets(budget: Any) -> None:
    """As plain floats, which JSON knows."""
    assert type(budget_of(budget)) is float
    assert budget_of(budget) == float(budget)
