"""Models that are probably misspelt are told before a run, with what was probably meant; names that may be right are not."""

from __future__ import annotations

from pathlib import Path

import pytest

import xtyl_nb as xt
from workbench import workbench


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A back end of one's own, which a plan does not start, and a key for each provider."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY"):
        monkeypatch.setenv(name, "a-key")
    xt.connect()


def doubts(model: str) -> tuple[str, ...]:
    """The warnings of a plan."""
    return tuple(xt.Workflow("w").generate_copy("line", prompt="Hi", model=model).plan().warnings)


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("openai:gpt-4.1-mimi", "gpt-4.1-mini"),
        ("anthropic:claude-sonet-4-5", "claude-sonnet-4-5"),
        ("opnai:gpt-4o", "openai:gpt-4o"),
        ("Antropic:claude-sonnet-4", "anthropic:claude-sonnet-4"),
    ],
)
def test_a_misspelt_model_is_told(model: str, meant: str) -> None:
    """With the step, the name, and the closest one that is known."""
    with pytest.warns(UserWarning, match="line") as told:
        assert len(doubts(model)) == 1
    assert "Did you mean" in str(told[0].message)
    assert meant in str(told[0].message)


@pytest.mark.parametrize(
    "model",
    [
        "openai:gpt-4.1-mini",
        "openai:ft:gpt-4o-mini-2024-07-18:acme::abc",
        "anthropic:claude-sonnet-4-5",
        "mixtral:8x7b",
        "llama3:8b",
        "ollama:llama3:8b",
    ],
)
def test_names_that_may_be_right_are_not_told(model: str) -> None:
    """Known models, those of servers of one's own, and models whose name has a colon."""
    assert doubts(model) == ()


def test_a_server_of_ones_own_has_models_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told of it, nor of a model that the file of prices names."""
    with pytest.warns(UserWarning, match="openai is not known to have a model 'house-7b'"):
        doubts("openai:house-7b")
    (tmp_path / "prices.toml").write_text('[[price]]\nmodel = "house-*"\ninput = 0\noutput = 0\n')
    monkeypatch.setenv("XTYL_PRICES", str(tmp_path / "prices.toml"))
    assert doubts("openai:house-7b") == ()
    monkeypatch.delenv("XTYL_PRICES")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert doubts("openai:house-7b") == ()


def test_a_misspelt_model_with_a_budget_is_a_problem_that_names_the_closest() -> None:
    """A budget cannot be kept without its price. A back end of one's own knows that before the run."""
    flow = xt.Workflow("w", budget=1.00).generate_copy("line", prompt="Hi", model="openai:gpt-4.1-mimi")
    with pytest.raises(xt.WorkflowError) as refused:
        flow.plan()
    assert [problem.code for problem in refused.value.problems] == ["workflow/unknown-price"]
    assert refused.value.problems[0].hint.startswith("Did you mean 'gpt-4.1-mini'? Give it one")


def test_what_a_shared_back_end_asks_is_not_guessed(tmp_path: Path) -> None:
    """Its workers may ask a server of their own, which has models of any name; a misspelt provider is told all the same."""
    with workbench(tmp_path):
        assert doubts("openai:house-7b") == ()
        with pytest.warns(UserWarning, match="Did you mean 'openai:gpt-4o'"):
            doubts("opnai:gpt-4o")
