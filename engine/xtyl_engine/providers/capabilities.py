"""What a provider is known to do and known not to do, so that a step which wants the impossible is refused before it is paid.
Nothing is asked of a server here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Facts of three values: True and False are known, None is not. Only False refuses anything."""

    draws: bool | None = None
    """Makes images from a text."""
    edits: bool | None = None
    """Makes images from images."""
    masks: bool | None = None
    """Changes an image only where a mask says."""
    sees: bool | None = None
    """Reads images beside the prompt."""
    structures: bool | None = None
    """Keeps to a JSON Schema."""
    seeds: bool | None = None
    """Takes a seed."""
    free: bool | None = None
    """Costs nothing, whatever it is asked."""


UNKNOWN = Capabilities()
