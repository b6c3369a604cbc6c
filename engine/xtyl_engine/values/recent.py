"""A memory with a bound, for processes that live for months: it keeps the values that were used last, and drops the others. What
it has dropped is made again by its caller.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values used last, by key, up to `capacity` in the sum of their weights. Safe to share between threads."""

    def __init__(self, capacity: int):
        self.weight = 0
        self._capacity = capacity
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """The value of a key, None if it is not kept."""
        # Without the lock, which would cost more than all the rest: each step is whole, and a key may be dropped between them.
        try:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        except KeyError:
            return None

    def kept(self) -> list[K]:
        """The keys of what is kept, those used last at the end."""
        with self._lock:
            return list(self._kept)

    def put(self, key: K, value: V, weight: int = 1) -> list[K]:
        """Keep a value, whatever it weighs, and drop those that were not used for longest; return their keys."""
        dropped = []
        with self._lock:
            self.weight += weight - self._kept.pop(key, (value, 0))[1]
            self._kept[key] = value, weight
            while self.weight > self._capacity and len(self._kept) > 1:
                other, (_, freed) = self._kept.popitem(last=False)
                self.weight -= freed
                dropped.append(other)
        return dropped


def remembers_texts(capacity: int, weigh: Callable[[str], int]) -> Callable[[Callable[[str], V]], Callable[[str], V]]:
    """Make a function of one text remember its values, up to `capacity` in the sum of what `weigh` says of their texts.
    Neither an error is remembered, nor what weighs more than a quarter of all."""

    def decorate(made: Callable[[str], V]) -> Callable[[str], V]:
        known: Recent[str, tuple[V]] = Recent(capacity)

        @wraps(made)
        def look_up(text: str) -> V:
            found = known.get(text)
            if found is None:
                found = (made(text),)
                if (weight := weigh(text)) <= capacity // 4:
                    known.put(text, found, weight)
            return found[0]

        return look_up

    return decorate
