"""What a provider is: a named service that makes text and images. Calls block; a worker gives each its own slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a provider did for one job. `tokens` in and out together; `cost` in US dollars."""

    provider: str
    model: str
    tokens: int | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """One text to write. `seed` differs between the items of one node, and `is_seeded` says whether it was asked for: it was
    set, or tells several texts apart that are made from one prompt. `key` is the idempotency key."""

    prompt: str
    system: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int = 0
    is_seeded: bool = True
    key: str = ""
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResult:
    """A text, and what it took."""

    text: str
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """One image to draw, `width` by `height` pixels."""

    prompt: str
    width: int = 1024
    height: int = 1024
    model: str | None = None
    seed: int = 0
    key: str = ""
    timeout_seconds: float = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """The bytes of a PNG, JPEG or WEBP image, and what it took."""

    data: bytes
    usage: Usage


class Provider(Protocol):
    """A named service. Raises TransientError or PermanentError, never its client library's own errors."""

    name: str

    def write(self, request: TextRequest) -> TextResult: ...

    def draw(self, request: ImageRequest) -> ImageResult: ...
