"""The provider for services that speak OpenAI's protocol: OpenAI, Azure, Ollama, vLLM, llama.cpp, gateways.

The registry of providers takes from here by the name of the class; `provider` serves vendors that speak this protocol under
names of their own, and `pictures` puts images into data URLs.
"""

from typing import Any

__all__ = ["pictures", "provider"]


def __getattr__(name: str) -> Any:
    if name == "OpenAIProvider":
        # A worker of the release before, still at work when the package is upgraded under it, looks for it here.
        from xtyl_engine.providers.openai.provider import OpenAIProvider

        return OpenAIProvider
    raise AttributeError(name)
