"""Wraps a provider and says of each answer what it costs, also of one that cannot be used. Otherwise it changes neither requests
nor answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from xtyl_engine.errors import AnswerLost, NodeTimeout, WorkflowException
from xtyl_engine.nodes.usage import plain_usage
from xtyl_engine.providers.base import ImageRequest, ImageResult, Provider, TextRequest, TextResult, Usage
from xtyl_engine.providers.prices import Prices

UNANSWERED = (NodeTimeout, AnswerLost)
UNKNOWN = "No whole answer came in time; whether it was billed is not known."
Result = TypeVar("Result", TextResult, ImageResult)


class PricedProvider:
    """Stands in for another provider; attributes besides `write` and `draw` are those of that provider. Raises PricesInvalid."""

    def __init__(self, provider: Provider, environment: Mapping[str, str]):
        self.name = provider.name
        self._provider = provider
        self._prices = Prices(provider.name, environment)

    def write(self, request: TextRequest) -> TextResult:
        try:
            result = self._provider.write(request)
        except WorkflowException as error:
            self._price_error(error, request.model)
            raise
        return self._priced(result, request.model)

    def draw(self, request: ImageRequest) -> ImageResult:
        try:
            result = self._provider.draw(request)
        except WorkflowException as error:
            self._price_error(error, request.model)
            raise
        return self._priced(result, request.model, images=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def _priced(self, result: Result, model: str | None, images: int = 0) -> Result:
        # Others' providers may answer with a class of their own, and tell no usage.
        if not isinstance(result, TextResult | ImageResult) or (usage := plain_usage(result.usage)) is None:
            return result
        return replace(result, usage=self._prices.priced(usage, model, images))

    def _price_error(self, error: WorkflowException, model: str | None) -> None:
        usage = plain_usage(error.usage)
        if usage is None and isinstance(error, UNANSWERED):
            usage = Usage(provider=self.name, model=model or "", notes=(UNKNOWN,))
        error.usage = usage and self._prices.priced(usage, model)


def used_by(error: BaseException, hide: Callable[[str], str]) -> Usage | None:
    """What the request had used that a provider's step failed with; None where it was refused, or says nothing."""
    told = error.usage if isinstance(error, WorkflowException) else None
    if told is None and isinstance(error, UNANSWERED):
        told = Usage(provider="", model="", notes=(UNKNOWN,))
    return plain_usage(told, hide)
