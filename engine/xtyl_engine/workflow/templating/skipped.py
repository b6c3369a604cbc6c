"""The output of a node that was skipped in a row, as Jinja sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Skipped:
    """The output of a node that was skipped in this row: it is false and prints nothing, as does all read from it."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return ""

    def __repr__(self) -> str:
        return "SKIPPED"

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())


SKIPPED = Skipped()
