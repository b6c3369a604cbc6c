"""The prices that providers publish, from the package genai-prices. This is its one home: it is imported at first use, which
takes a moment, and is never asked to update itself, so that nothing here touches the network.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

from xtyl_engine.providers.price_file import NANO, rounded

log = logging.getLogger("xtyl")
PACKAGE = "genai-prices"


def list_cost(
    provider: str, server: str | None, model: str, tokens: Mapping[str, int | None], moment: datetime | None = None
) -> tuple[int, str] | None:
    """What an answer of this server costs by the list, in whole 1e-9 dollars, and the list's name with the day of the price; None
    where the list does not know the model or the server, or where the numbers of tokens are not known. A provider whose server is
    not known is looked for by its name. Never raises."""
    moment = moment or datetime.now(UTC)
    try:
        total = _total(provider, server, model, tokens, moment)
    except Exception as error:
        # The list is another project's, and an answer that was paid for must not be lost for its price.
        log.warning("the price of %s at %s is unknown: %s: %s", model, provider, type(error).__name__, error)
        return None
    return None if total is None else (total, f"{PACKAGE} {version(PACKAGE)}, {moment.date().isoformat()}")


def _total(
    provider: str, server: str | None, model: str, tokens: Mapping[str, int | None], moment: datetime
) -> int | None:
    read, cached, written, drawn = (tokens[name] for name in ("input", "cached", "output", "image_tokens"))
    if read is None or (written is None and drawn is None) or not model:
        return None
    if server is None and provider not in _listed():
        return None
    from genai_prices import Usage, calc_price

    # To the list, an image is a part of the output.
    parts = {"input_tokens": read + (cached or 0), "cache_read_tokens": cached or 0}
    parts |= {"output_tokens": (written or 0) + (drawn or 0), "output_image_tokens": drawn or 0}
    used = Usage(**parts)
    try:
        if server is None:
            price = calc_price(used, model, provider_id=provider, genai_request_timestamp=moment)
        else:
            price = calc_price(used, model, provider_api_url=server, genai_request_timestamp=moment)
    except LookupError:
        return None
    top, bottom = (price.total_price * NANO).as_integer_ratio()
    return rounded(top, bottom)


def models_without(provider: str, server: str | None, model: str) -> tuple[str, ...]:
    """The models that the list has of this server, where this one is not among them; none where it is, or where the list does not
    know the server. Never raises."""
    try:
        if server is None and provider not in _listed():
            return ()
        from genai_prices.data_snapshot import get_snapshot

        found = get_snapshot().find_provider(None, provider if server is None else None, server)
        return () if found.find_model(model) else tuple(each.id for each in found.models)
    except Exception as error:
        # A server that the list does not know is one of them; and its other errors must end no run.
        log.debug("the models of %s are not known: %s: %s", provider, type(error).__name__, error)
        return ()


@cache
def _listed() -> frozenset[str]:
    """The providers of the list, by its own names: a name that only looks like one of them has no price there."""
    from genai_prices.data import providers

    return frozenset(each.id for each in providers)
