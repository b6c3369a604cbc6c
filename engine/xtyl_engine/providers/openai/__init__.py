"""The provider for services that speak OpenAI's protocol: OpenAI, Azure, Ollama, vLLM, llama.cpp, gateways.

Only the registry of providers takes anything from here, by the name of the class.
"""

from typing import Any

__all__ = []  # type: list[str]


def __getattr__(name: str) -> Any:
    if name == "OpenAIProvider":
        # A worker of the release before, still at work when the package is upgraded under it, looks for it here.
        from xtyl_engine.providers.openai.provider import OpenAIProvider

        return OpenAIProvider
    raise AttributeError(name)
