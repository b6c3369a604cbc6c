"""The provider of a vendor that speaks OpenAI's protocol under a name of its own: the `openai` provider, with that vendor's
variables in place of OpenAI's, also in the words of its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from xtyl_engine.errors import PermanentError, WorkflowException
from xtyl_engine.providers.base import ImageRequest, ImageResult, TextRequest, TextResult
from xtyl_engine.providers.openai.provider import OpenAIProvider
from xtyl_engine.providers.vendors.table import Vendor

T = TypeVar("T")


class GatewayProvider(OpenAIProvider):
    """One such vendor. Its model has to be named: there is none that all of them have."""

    def __init__(self, vendor: Vendor, environment: Mapping[str, str]):
        self.name = vendor.name
        self._vendor = vendor
        given = {"OPENAI_API_KEY": vendor.key(environment), "OPENAI_BASE_URL": environment.get(vendor.address_variable)}
        # OpenAI's own account is none of theirs; what else an environment says, of the network, stays.
        others = {name: value for name, value in environment.items() if not name.startswith("OPENAI_")}
        super().__init__(others | {name: value for name, value in given.items() if value})

    def write(self, request: TextRequest) -> TextResult:
        """One chat completion."""
        return self._spoken(request.model, lambda: super(GatewayProvider, self).write(request))

    def draw(self, request: ImageRequest) -> ImageResult:
        """One generated image."""
        return self._spoken(request.model, lambda: super(GatewayProvider, self).draw(request))

    def _spoken(self, model: str | None, ask: Callable[[], T]) -> T:
        if not model:
            raise PermanentError(f"{self.name} has no default model", hint=f'Write model="{self.name}:...".')
        try:
            return ask()
        except WorkflowException as error:
            error.message, error.hint = self._renamed(error.message), error.hint and self._renamed(error.hint)
            raise

    def _renamed(self, words: str) -> str:
        words = words.replace("OPENAI_API_KEY", self._vendor.keys[0])
        words = words.replace("OPENAI_BASE_URL", self._vendor.address_variable)
        return words.replace("the openai provider", f"the {self.name} provider")
