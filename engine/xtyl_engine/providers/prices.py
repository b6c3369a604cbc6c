"""What an answer costs. A provider's own word counts first, then the file of `XTYL_PRICES`, then the price list; what none of
them knows is unknown, and never nothing. All arithmetic is in whole 1e-9 dollars: each request is rounded once, sums are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from xtyl_engine.providers.base import Usage
from xtyl_engine.providers.price_file import NANO, price_file, rounded
from xtyl_engine.providers.price_list import list_cost, models_without
from xtyl_engine.providers.registry import CUSTOMARY, server_of

TOLD = "its provider"


def nano_dollars(dollars: float) -> int:
    """Dollars in whole 1e-9 dollars, as they are written, and not as the binary fraction that stands for them."""
    top, bottom = (Decimal(str(dollars)) * NANO).as_integer_ratio()
    return rounded(top, bottom)


def dollars(nano: int | None) -> float | None:
    """Whole 1e-9 dollars as dollars: the nearest float, which is the same whole number again up to a million dollars."""
    return None if nano is None else nano / NANO


def check_prices(environment: Mapping[str, str]) -> str | None:
    """The name and the day of the file of prices that an environment names, None where it names none. Raises PricesInvalid."""
    found = price_file(environment)
    return None if found is None else found.source


class Prices:
    """The prices of one provider, as an environment names them. The file of prices is read when this is made, before anything is
    paid: raises PricesInvalid."""

    def __init__(self, provider: str, environment: Mapping[str, str]):
        self._provider = provider
        self._file = price_file(environment)
        self._server = server_of(provider, environment)

    def priced(self, usage: Usage, asked: str | None = None, images: int = 0) -> Usage:
        """A usage in plain numbers with its cost, and where that comes from. The model that answered has the price, or else the
        one that was asked for."""
        if usage.cost is not None:
            return usage if usage.price else replace(usage, price=TOLD)
        models = [model for model in dict.fromkeys((usage.model, asked)) if model]
        found = self._found(usage, models, images)
        return usage if found is None else replace(usage, cost=found[0] / NANO, price=found[1])

    def models_without(self, model: str) -> tuple[str, ...]:
        """The models that the provider is known to have, where this one is not among them, nor in the file of prices; none where
        it is, or where that is not known."""
        if self._file is not None and self._file.find(self._provider, self._server, [model]) is not None:
            return ()
        return models_without(self._provider, self._server or CUSTOMARY.get(self._provider), model)

    def _found(self, usage: Usage, models: list[str], images: int) -> tuple[int, str] | None:
        tokens = _tokens(usage)
        if self._file is not None and (own := self._file.find(usage.provider, self._server, models)) is not None:
            cost = own.cost(tokens, images)
            return None if cost is None else (cost, self._file.source)
        address = self._server or CUSTOMARY.get(usage.provider)
        listed = (list_cost(usage.provider, address, model, tokens) for model in models)
        return next((found for found in listed if found is not None), None)


def _tokens(usage: Usage) -> dict[str, int | None]:
    """The numbers that have prices of their own: no token is in two of them."""
    cached = usage.cached_tokens or 0
    # What wrote a text drew nothing, and what drew an image wrote nothing, unless they say so.
    is_known = usage.output_tokens is not None or usage.image_tokens is not None
    return {
        "input": None if usage.input_tokens is None else usage.input_tokens - cached,
        "cached": cached,
        "output": (usage.output_tokens or 0) if is_known else None,
        "image_tokens": (usage.image_tokens or 0) if is_known else None,
    }
