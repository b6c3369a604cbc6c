"""The most that a job will likely cost, before it asks a provider: of its rendered config where it is about to start, of the
written one where a run is planned. What no price is known for has none, and is never taken for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xtyl_engine.errors import PermanentError
from xtyl_engine.nodes.base import NodeConfig, NodeType, Usage
from xtyl_engine.providers.prices import Prices, nano_dollars
from xtyl_engine.providers.registry import capabilities_of, default_model

# A step that limits no tokens may answer with four times its largest answer, and with so many at least.
TIMES, LEAST_TOKENS = 4, 2000


class PriceUnknown(PermanentError):
    """A budget cannot be kept: nothing tells what a job may cost."""

    code = "budget/price-unknown"


def highest_cost(
    kind: NodeType,
    config: NodeConfig,
    provider: str,
    environment: Mapping[str, str],
    largest: int = 0,
    again: int = 0,
) -> int:
    """The most in whole 1e-9 dollars. `largest` is the largest answer of the step so far, `again` what is asked with an answer
    that did not fit, both in tokens. Raises PriceUnknown."""
    if capabilities_of(provider).free:
        return 0
    most = most_used(kind, config, provider)
    if most is None:
        raise PriceUnknown(
            f"what a job of {kind.name} may use at most is not known, and the run has a budget",
            hint="Set `most=` in its NodeType, or leave `budget=` out.",
        )
    limit = most.output_tokens if most.output_tokens is not None else max(LEAST_TOKENS, TIMES * largest)
    read = None if most.input_tokens is None else most.input_tokens + again
    used = replace(most, input_tokens=read, output_tokens=limit)
    cost = cost_of(kind, used, Prices(provider, environment))
    if cost is None:
        raise PriceUnknown(
            f"the price of {most.model or 'its model'} at {provider} is not known, and the run has a budget",
            hint="Give it one in a file that XTYL_PRICES names (docs/costs.md shows one), or leave `budget=` out.",
        )
    return cost


def most_used(kind: NodeType, config: NodeConfig, provider: str) -> Usage | None:
    """The most that a job will likely use of a provider, whose default model serves a config that names none."""
    most = kind.most(config)
    if most is None:
        return None
    return replace(most, provider=provider, model=most.model or default_model(provider, draws=kind.makes_images) or "")


def cost_of(kind: NodeType, usage: Usage, prices: Prices) -> int | None:
    """What a job that uses this costs, in whole 1e-9 dollars; None where it has no price."""
    cost = prices.priced(usage, images=int(kind.makes_images)).cost
    return None if cost is None else nano_dollars(cost)
