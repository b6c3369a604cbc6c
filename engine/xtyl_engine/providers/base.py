"""What a provider is: a named service that writes texts and draws images, with its requests and results. Calls block; a
worker gives each its own slot. The providers themselves are found by `registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from xtyl_engine.values.pictures import Picture

REFUSED = "the server refused it"
_LATE = 408


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a provider used for one request. `tokens` counts all of them; `cached_tokens` are those of the input that the provider
    had cached, `output_tokens` include reasoning and leave out `image_tokens`, those of the output that are an image. What is not
    known is None. `cost` is in US dollars, and set only by a provider that says itself what it took; `price` says where it comes
    from, and as of which day, and is set by the worker. `request_id` is the
    provider's name of the request; `notes` are facts about it for a person, one sentence each, such as what was left out."""

    provider: str
    model: str
    tokens: int | None = None
    cost: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    image_tokens: int | None = None
    request_id: str | None = None
    notes: tuple[str, ...] = ()
    price: str | None = None

    def refused(self, status: int | None) -> Usage:
        """The usage of a request that was answered by this status. A server that refused took nothing, unless it tells of tokens;
        what one took that failed, or that was not in time, is not known."""
        told = (self.cost, self.tokens, self.input_tokens, self.output_tokens, self.image_tokens)
        if status is None or not 400 <= status < 500 or status == _LATE or any(each is not None for each in told):
            return self
        return replace(self, cost=0.0, price=REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """One text to write; with a `schema`, a plain JSON Schema as `schemas.reading` gives it, the text is JSON that fits it. A
    provider that knows what to do with one has `takes_schemas = True`; others get it as a part of the prompt. `seed` differs
    between the items of one node. `is_seeded` says whether to use it: a seed is set, or several texts are made from one
    prompt. `images` come to a provider that has `takes_images = True`, within its `picture_bounds`, a `PictureBounds`.
    `asked` names the parameters that the user set: what a model refuses of others is left out. `key` is the idempotency
    key."""

    prompt: str
    system: str | None = None
    images: tuple[Picture, ...] = ()
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int = 0
    is_seeded: bool = True
    schema: Mapping[str, Any] | None = None
    asked: frozenset[str] = frozenset()
    key: str = ""
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResult:
    """A text and its usage. `finish` says why it ends, in the provider's word: `length` where a limit cut it."""

    text: str
    usage: Usage
    finish: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """One image to draw, `width` by `height` pixels; with `images` one made from these, and with a `mask`, as large as the first,
    only where that is transparent. `asked` names the parameters that the user set."""

    prompt: str
    images: tuple[Picture, ...] = ()
    mask: Picture | None = None
    width: int = 1024
    height: int = 1024
    model: str | None = None
    seed: int = 0
    asked: frozenset[str] = frozenset()
    key: str = ""
    timeout_seconds: float = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """The bytes of a PNG, JPEG or WEBP image, and its usage."""

    data: bytes
    usage: Usage


class Provider(Protocol):
    """A named service. Raises TransientError or PermanentError, never an error of its client library."""

    name: str

    def write(self, request: TextRequest) -> TextResult: ...

    def draw(self, request: ImageRequest) -> ImageResult: ...
