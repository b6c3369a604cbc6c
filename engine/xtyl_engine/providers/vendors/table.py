"""The vendors of models: the variables that hold their keys and addresses, what must be installed, and what they are known to
do. One row each, those whose protocol is their own and those that speak OpenAI's; nothing is imported, and no server is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from xtyl_engine.providers.capabilities import UNKNOWN, Capabilities
from xtyl_engine.values.pictures import USUAL_BOUNDS, PictureBounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor. `keys` are the variables that may hold its key, the first that is set counts; a server of one's own needs
    none. `address` is its own server. Without a default model, steps have to name one. `seed` is what its protocol calls a seed;
    `limit` is how many tokens are allowed where a step sets none and the protocol requires a number. `wiring` is how its library
    takes an HTTP client, None for a vendor that speaks OpenAI's protocol."""

    name: str
    keys: tuple[str, ...]
    address: str
    extra: str
    packages: str
    wiring: Literal["http_client", "async_client", "http_options"] | None = None
    needs_key: bool = True
    text_model: str | None = None
    image_model: str | None = None
    seed: str | None = None
    limit: int | None = None
    capabilities: Capabilities = UNKNOWN
    pictures: PictureBounds = USUAL_BOUNDS

    @property
    def address_variable(self) -> str:
        """The variable that names another server than the vendor's own."""
        return address_variable(self.name)

    def missing(self) -> str | None:
        """The first of its packages that this Python lacks."""
        return lacking(self.packages.split())

    def key(self, environment: Mapping[str, str]) -> str | None:
        """Its key, from the first of its variables that is set."""
        found = next((key for name in self.keys if (key := environment.get(name, "").strip())), None)
        return found if found is not None or self.needs_key else "none"


def address_variable(name: str) -> str:
    """The variable that names a provider's server."""
    return f"{name.upper().replace('-', '_')}_BASE_URL"


def lacking(packages: Iterable[str]) -> str | None:
    """The first of these packages that this Python lacks."""
    return next((package for package in packages if not _is_installed(package)), None)


def why_missing(name: str, package: str, extra: str) -> tuple[str, str]:
    """What to say of a package that a provider lacks: what is wrong, and what to do."""
    return (
        f"the {name} provider needs the package {package}, which this Python lacks: {sys.executable}",
        f'Install it there: pip install "xtyl-nb[{extra}]". Or end the back end with `xtyl down`, if your notebook\'s own Python '
        "has it: the next run starts it with that.",
    )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _like_openai(name: str, key: str, address: str, *, needs_key: bool = True) -> Vendor:
    return Vendor(name=name, keys=(key,), address=address, extra="openai", packages="openai", needs_key=needs_key)


VENDORS = (
    Vendor(
        name="anthropic",
        keys=("ANTHROPIC_API_KEY",),
        address="https://api.anthropic.com",
        extra="anthropic",
        packages="any_llm anthropic",
        wiring="http_client",
        text_model="claude-haiku-4-5",
        limit=8192,
        capabilities=Capabilities(draws=False, edits=False, sees=True, structures=True, seeds=False),
        # Five megabytes of base64 each, and 32 for a request.
        pictures=PictureBounds(most_bytes=3_900_000, most_together=23_000_000),
    ),
    Vendor(
        name="gemini",
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        address="https://generativelanguage.googleapis.com",
        extra="gemini",
        packages="any_llm google.genai",
        wiring="http_options",
        text_model="gemini-3.8-flash",
        image_model="gemini-3.1-flash-image",
        seed="seed",
        capabilities=Capabilities(draws=True, edits=True, masks=False, sees=True, structures=True, seeds=True),
        # Twenty megabytes of base64 for a request.
        pictures=PictureBounds(most_bytes=14_000_000, most_together=14_000_000),
    ),
    Vendor(
        name="mistral",
        keys=("MISTRAL_API_KEY",),
        address="https://api.mistral.ai",
        extra="mistral",
        packages="any_llm mistralai",
        wiring="async_client",
        text_model="mistral-small-latest",
        seed="random_seed",
        capabilities=Capabilities(draws=False, edits=False, structures=True, seeds=True),
        pictures=PictureBounds(most_bytes=7_000_000, most_pictures=8),
    ),
    _like_openai("cerebras", "CEREBRAS_API_KEY", "https://api.cerebras.ai/v1"),
    _like_openai("cohere", "COHERE_API_KEY", "https://api.cohere.ai/compatibility/v1"),
    _like_openai("dashscope", "DASHSCOPE_API_KEY", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
    _like_openai("deepinfra", "DEEPINFRA_API_KEY", "https://api.deepinfra.com/v1/openai"),
    _like_openai("deepseek", "DEEPSEEK_API_KEY", "https://api.deepseek.com"),
    _like_openai("fireworks", "FIREWORKS_API_KEY", "https://api.fireworks.ai/inference/v1"),
    _like_openai("groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
    _like_openai("huggingface", "HF_TOKEN", "https://router.huggingface.co/v1"),
    _like_openai("llamacpp", "LLAMACPP_API_KEY", "http://127.0.0.1:8080/v1", needs_key=False),
    _like_openai("lmstudio", "LM_STUDIO_API_KEY", "http://127.0.0.1:1234/v1", needs_key=False),
    _like_openai("minimax", "MINIMAX_API_KEY", "https://api.minimax.io/v1"),
    _like_openai("moonshot", "MOONSHOT_API_KEY", "https://api.moonshot.ai/v1"),
    _like_openai("nebius", "NEBIUS_API_KEY", "https://api.studio.nebius.ai/v1"),
    _like_openai("ollama", "OLLAMA_API_KEY", "http://127.0.0.1:11434/v1", needs_key=False),
    _like_openai("openrouter", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"),
    _like_openai("perplexity", "PERPLEXITY_API_KEY", "https://api.perplexity.ai"),
    _like_openai("sambanova", "SAMBANOVA_API_KEY", "https://api.sambanova.ai/v1"),
    _like_openai("together", "TOGETHER_API_KEY", "https://api.together.xyz/v1"),
    _like_openai("vllm", "VLLM_API_KEY", "http://127.0.0.1:8000/v1", needs_key=False),
    _like_openai("xai", "XAI_API_KEY", "https://api.x.ai/v1"),
    _like_openai("zai", "ZAI_API_KEY", "https://api.z.ai/api/paas/v4"),
)
BY_NAME = {vendor.name: vendor for vendor in VENDORS}
