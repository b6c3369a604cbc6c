"""Random numbers of a process that was forked, or that loaded a function as others have: it shall draw others than these do."""

from __future__ import annotations

import random
import sys
from contextlib import suppress
from typing import Any

from xtyl_engine.functions.uses import used


def seed() -> None:
    """Seed the libraries' own generators: Python does so by itself after a fork, these do not."""
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.seed()


def renew(function: Any) -> None:
    """Give each generator that a function uses a state of its own."""
    numpy: Any = sys.modules.get("numpy.random")
    # A value of the user's may raise when it is looked at; a kind of generator that cannot be seeded so stays as it is.
    with suppress(Exception):
        for value in used(function):
            if isinstance(value, random.Random):
                value.seed()
            elif numpy is not None and isinstance(value, numpy.Generator):
                value.bit_generator.state = type(value.bit_generator)().state
            elif numpy is not None and isinstance(value, numpy.RandomState):
                value.seed()
