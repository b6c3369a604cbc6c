"""Between what amounts a job will likely cost, before its run: from its config, and from what its step's answers took in earlier
runs. A budget holds more than the higher of the two where it must not be passed; that is for `highest_cost`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from xtyl_engine.nodes.base import NodeConfig, NodeType, Usage
from xtyl_engine.nodes.prompt import AROUND_TOKENS
from xtyl_engine.providers.prices import Prices
from xtyl_engine.providers.registry import capabilities_of
from xtyl_engine.workflow.highest_cost import LEAST_TOKENS, cost_of, most_used

# By the shortest tokens the most is counted, and others are twice as long.
SHORTER = 2
# The cheapest quality of an image takes a sixteenth of the tokens of the dearest.
PLAINER = 16


@dataclass(frozen=True, slots=True)
class Span:
    """From `low` to `high`, in whole 1e-9 dollars."""

    low: int = 0
    high: int = 0

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def __mul__(self, times: int) -> Span:
        return Span(self.low * times, self.high * times)


@dataclass(frozen=True, slots=True)
class Seen:
    """How many tokens the answers of a step took in earlier runs: of their texts, and of their images. A next one may be half as
    large as the smallest of them, and half as large again as the largest."""

    texts: tuple[int, ...] = ()
    images: tuple[int, ...] = ()


@dataclass(eq=False, kw_only=True)
class CostRange:
    """The costs of one step's jobs."""

    kind: NodeType
    provider: str
    environment: Mapping[str, str]
    seen: Seen = field(default_factory=Seen)
    _costs: dict[Usage, int | None] = field(default_factory=dict)
    _unread: dict[int, Span | None] = field(default_factory=dict)
    _prices: Prices | None = None

    def of_unread(self, written: Mapping[str, Any], more: int) -> Span | None:
        """Those of one job of which it is not known what it reads: from its written config as it stands, to that with so many
        bytes of text more."""
        if more not in self._unread:
            config = self.kind.config.model_validate(written)
            longest = {name: f"{getattr(config, name) or ''}{'x' * more}" for name in self.kind.texts[:1]}
            self._unread[more] = self.of(config.model_copy(update=longest), config)
        return self._unread[more]

    def of(self, config: NodeConfig, shortest: NodeConfig | None = None) -> Span | None:
        """Those of one job, for its config, and for the one with the shortest text where it is not known; None where it has no
        price."""
        if capabilities_of(self.provider).free:
            return Span()
        most = most_used(self.kind, config, self.provider)
        if most is None:
            return None
        texts = _bounds(most.output_tokens, self.seen.texts, likely=LEAST_TOKENS)
        images = _bounds(most.image_tokens, self.seen.images, least=(most.image_tokens or 0) // PLAINER)
        low = replace(
            most, input_tokens=self._least_sent(shortest or config), output_tokens=texts[0], image_tokens=images[0]
        )
        high = replace(most, output_tokens=texts[1], image_tokens=images[1])
        costs = self._cost(low), self._cost(high)
        return None if costs[0] is None or costs[1] is None else Span(costs[0], costs[1])

    def _least_sent(self, config: NodeConfig) -> int | None:
        """An image may be a few tokens, as a provider scales it: the text alone."""
        seen = [name for name in self.kind.pictures if getattr(config, name, None) is not None]
        bare = config.model_copy(update=dict.fromkeys(seen)) if seen else config
        most = most_used(self.kind, bare, self.provider)
        sent = None if most is None else most.input_tokens
        return None if sent is None else max(1, (sent - AROUND_TOKENS) // SHORTER)

    def _cost(self, usage: Usage) -> int | None:
        # Prompts of a table are often equally long, and a price takes longer to look up than all else here.
        if usage not in self._costs:
            self._prices = self._prices or Prices(self.provider, self.environment)
            self._costs[usage] = cost_of(self.kind, usage, self._prices)
        return self._costs[usage]


def _bounds(
    limit: int | None, seen: Iterable[int], *, likely: int | None = None, least: int = 1
) -> tuple[int | None, int | None]:
    """The fewest and the most tokens of an answer: by its limit, by what was seen, or else by what is likely."""
    if limit == 0 or (limit is None and likely is None):
        return limit, limit
    found = [count for count in seen if count]
    low, high = (min(found) // 2, max(found) * 3 // 2) if found else (least, likely if limit is None else limit)
    return (low, high) if limit is None or high is None else (min(low, limit), min(high, limit))
