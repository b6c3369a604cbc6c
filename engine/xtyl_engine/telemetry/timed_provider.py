"""Wraps a provider and times its calls: the wait for each answer, and no work before or after it. It changes neither requests nor
answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from xtyl_engine.providers.base import ImageRequest, ImageResult, Provider, TextRequest, TextResult

T = TypeVar("T")
Called = Callable[[str, float, bool], None]
"""Takes a provider's name, seconds, and whether it answered."""


class TimedProvider:
    """Stands in for another provider; attributes besides `write` and `draw` are those of that provider."""

    def __init__(self, provider: Provider, called: Called):
        self.name = provider.name
        self._provider, self._called = provider, called

    def write(self, request: TextRequest) -> TextResult:
        return self._timed(lambda: self._provider.write(request))

    def draw(self, request: ImageRequest) -> ImageResult:
        return self._timed(lambda: self._provider.draw(request))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def _timed(self, call: Callable[[], T]) -> T:
        began, is_answer = time.monotonic(), False
        try:
            answer = call()
            is_answer = True
            return answer
        finally:
            self._called(self.name, time.monotonic() - began, is_answer)
