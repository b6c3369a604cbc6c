"""The default provider: no key, no network, no cost. Texts are canned and images come from a small drawing program; the
model names say so. Both depend on prompt, seed and images alone. A text says what it saw of images, a poster shows them.
"""

from __future__ import annotations

from collections.abc import Mapping

from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.base import ImageRequest, ImageResult, TextRequest, TextResult, Usage
from xtyl_engine.providers.offline.answer import write_answer
from xtyl_engine.providers.offline.copywriting import write_copy

COPY_MODEL = "offline/copy-1"
POSTER_MODEL = "offline/poster-1"

MOST_DRAFTS = 24


class OfflineProvider:
    """Canned copy and drawn posters, both by seed."""

    name = "offline"
    takes_schemas = True
    takes_images = True

    def __init__(self, environment: Mapping[str, str] | None = None):
        del environment

    def write(self, request: TextRequest) -> TextResult:
        """Canned copy. `tokens` counts the words read and written, and a text that `max_tokens` cut has `finish` "length"."""
        model = _known(request.model, COPY_MODEL)
        text, finish = self._text(request), "stop"
        if request.max_tokens is not None:
            words = text.split(" ")
            text = " ".join(words[: request.max_tokens])
            finish = "length" if len(words) > request.max_tokens else finish
        tokens = sum(len(part.split()) for part in (request.system or "", request.prompt, text))
        return TextResult(
            text=text, usage=Usage(provider=self.name, model=model, tokens=tokens, cost=0.0), finish=finish
        )

    def _text(self, request: TextRequest) -> str:
        seen = ""
        if request.images:
            from xtyl_engine.providers.offline.sight import describe

            seen = describe(request.images)
        if request.schema is not None:
            return write_answer(request.prompt, request.seed, request.schema, seen)
        # A prompt that lists what there is asks for something else.
        given = set(request.prompt.splitlines())
        drafts = (write_copy(request.prompt, request.seed + step) for step in range(MOST_DRAFTS))
        text = next((draft for draft in drafts if f"- {draft}" not in given), write_copy(request.prompt, request.seed))
        return " ".join(filter(None, (text, seen)))

    def draw(self, request: ImageRequest) -> ImageResult:
        """A poster as PNG."""
        model = _known(request.model, POSTER_MODEL)
        from xtyl_engine.providers.offline.edits import draw_over
        from xtyl_engine.providers.offline.poster import draw_poster

        data = draw_poster(request.prompt, request.seed, request.width, request.height)
        data = draw_over(data, request.images, request.mask) if request.images else data
        tokens = len(request.prompt.split())
        return ImageResult(data=data, usage=Usage(provider=self.name, model=model, tokens=tokens, cost=0.0))


def _known(model: str | None, only: str) -> str:
    if model not in (None, only):
        raise PermanentError(
            f"the offline provider has no model {model!r}",
            hint=f"Leave `model` out or write {only!r}; for other models set provider='openai' or XTYL_PROVIDER=openai.",
        )
    return only
