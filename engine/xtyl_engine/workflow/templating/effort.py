"""What one rendering of Jinja may cost, as one budget for all that it looks at and makes: a step is one part of a value, or 64
bytes of text. Whatever an operation costs is counted before it is done, so that no Jinja text runs long or grows large.
"""

from __future__ import annotations

from sys import getsizeof
from typing import Any

from xtyl_engine.errors import LimitExceeded
from xtyl_engine.limits import MAX_PROMPT_BYTES

MAX_STEPS = 1_000_000
MAX_INTEGER_BITS = 4096
BYTES_OF_A_STEP = 64


class EffortMeter:
    """Counts the steps of one rendering."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise LimitExceeded(
                f"the Jinja text does more than {MAX_STEPS:,} steps",
                hint="Loop over less, or prepare the value in a call node.",
            )

    def look(self, value: Any) -> int:
        """Count all that is in a value, at any depth; its length as text, at least. Shared parts count each time."""
        if not isinstance(value, (list, tuple, dict)):
            self.spend(steps_of(value))
            return _length(value)
        waiting, length = [value], 0
        while waiting:
            part = waiting.pop()
            length += 1
            if isinstance(part, (list, tuple)):
                self.spend(1)
                waiting.extend(part)
            elif isinstance(part, dict):
                self.spend(1)
                waiting.extend(part.values())
                waiting.extend(part)
            else:
                self.spend(steps_of(part))
                length += _length(part)
        return length


def steps_of(value: Any) -> int:
    """The steps of going once through a text, a number, or the parts of a list; 1 for any other value. Raises LimitExceeded for a
    whole number with which one operation could take seconds."""
    if isinstance(value, str):
        return getsizeof(value) // BYTES_OF_A_STEP or 1
    if isinstance(value, int):
        check_bits(bits := value.bit_length())
        return 1 + bits // BYTES_OF_A_STEP
    return 1 + len(value) if isinstance(value, (list, tuple, dict)) else 1


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    # A digit is less than four bits.
    return value.bit_length() // 4 if isinstance(value, int) else 1


def check_size(characters: int) -> None:
    """Raise LimitExceeded for a text or list that is longer than a prompt may be."""
    if characters > MAX_PROMPT_BYTES:
        raise LimitExceeded(
            f"the Jinja text makes a value of {characters:,} characters or parts; {MAX_PROMPT_BYTES:,} is the most",
            hint="Shorten it, with a slice such as `text[:1000]` or the filter `truncate`.",
        )


def check_bits(bits: int) -> None:
    """Raise LimitExceeded for a whole number of so many bits."""
    if bits > MAX_INTEGER_BITS:
        raise LimitExceeded("the Jinja text makes a number of more than a thousand digits", hint="Use smaller numbers.")
