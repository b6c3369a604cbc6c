"""Which providers have what they need, as `xtyl doctor` says it."""

from __future__ import annotations

from xtyl_engine.checks import Check
from xtyl_engine.providers.readiness import examine_providers


def told(default: str = "offline", model: str = "", **environment: str) -> dict[str, Check]:
    checks = examine_providers(default, {"XTYL_TEXT_MODEL": model, "XTYL_IMAGE_MODEL": ""}, environment)
    return {check.name: check for check in checks}


def test_a_provider_says_what_it_lacks() -> None:
    """A key that is not set is a fault only where steps that name no provider would ask it, and no key is told."""
    found = told()
    assert (found["provider offline"].ok, found["provider offline"].detail) == (
        True,
        "needs no key; serves steps that name none",
    )
    assert "provider openai" not in found
    assert found["providers"].detail.endswith("more have no key here")
    found = told("offline", "anthropic:claude-opus-5-5", OPENAI_API_KEY="sk-secret")
    assert not found["provider anthropic"].ok
    assert found["provider anthropic"].detail.endswith("; XTYL_TEXT_MODEL asks it for claude-opus-5-5")
    assert found["provider anthropic"].hint.startswith("Set ANTHROPIC_API_KEY in the notebook")
    assert found["provider openai"].detail == "OPENAI_API_KEY is set"
    assert "sk-secret" not in repr(found)


def test_a_provider_with_another_server_is_shown() -> None:
    """One that needs no key is shown once its address is set, and the others are counted."""
    found = told(OLLAMA_BASE_URL="http://127.0.0.1:9999/v1")
    assert found["provider ollama"].detail == "needs no key; asks http://127.0.0.1:9999/v1"
    assert "provider groq" not in found
