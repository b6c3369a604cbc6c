"""The provider of a vendor whose protocol is its own: Anthropic, Google, Mistral. Retries are the engine's; every wait ends;
key and address come from the environment that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from math import log
from typing import Any

from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.base import ImageRequest, ImageResult, TextRequest, TextResult, Usage
from xtyl_engine.providers.openai.pictures import with_pictures
from xtyl_engine.providers.vendors.address import place_of, root_of
from xtyl_engine.providers.vendors.answers import read_image, read_text, request_id
from xtyl_engine.providers.vendors.calls import Exchange
from xtyl_engine.providers.vendors.library import lane_to
from xtyl_engine.providers.vendors.parameters import parameters, prompt_of, refused_in
from xtyl_engine.providers.vendors.refusals import failure, read_json
from xtyl_engine.providers.vendors.table import Vendor

# What models refused that no user asked for, by address, vendor and model.
_refused: dict[tuple[Any, ...], frozenset[str]] = {}
_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")


class VendorProvider:
    """One vendor, asked with the key and at the address of its variables."""

    takes_schemas = True
    takes_images = True

    def __init__(self, vendor: Vendor, environment: Mapping[str, str]):
        self.name = vendor.name
        self.picture_bounds = vendor.pictures
        self._vendor, self._environment = vendor, environment
        # Connect before a job's effect starts; an error is raised by the call itself.
        with suppress(Exception), lane_to(*self._place()):
            pass

    def write(self, request: TextRequest) -> TextResult:
        """One answer to one prompt. What the model refuses and the user did not ask for is left out, now and from then on."""
        vendor, model = self._vendor, self._model(request.model, self._vendor.text_model)
        place = (*self._place()[::2], model)
        while True:
            refused = _refused.get(place, frozenset())
            sent, unasked, notes = parameters(vendor, request, refused)
            messages: list[dict[str, Any]] = []
            if request.system:
                messages.append({"role": "system", "content": request.system})
            messages.append({"role": "user", "content": with_pictures(prompt_of(request, refused), request.images)})
            try:
                answer, exchange = self._ask(request, model=model, messages=messages, **sent)
            except PermanentError as error:
                if (name := refused_in(error.message, unasked)) is None:
                    raise
                _refused[place] = refused | {name}
            else:
                return read_text(vendor, model, answer, exchange, notes)

    def draw(self, request: ImageRequest) -> ImageResult:
        """One image, also from given ones, in the shape that comes closest to its size: these vendors take no size in pixels."""
        if not self._vendor.capabilities.draws:
            raise PermanentError(f"{self.name} makes no images here", hint="Take a provider that does: openai, gemini.")
        if request.mask is not None:
            raise PermanentError(
                f"{self.name} takes no mask",
                hint="Say in the prompt what changes, and leave `mask` out; or use openai.",
            )
        shape = _shape(request.width, request.height)
        notes = (f"{self.name} draws shapes, not sizes: {request.width}x{request.height} was drawn as {shape}.",)
        model = self._model(request.model, self._vendor.image_model)
        answer, exchange = self._ask(
            request,
            model=model,
            messages=[{"role": "user", "content": with_pictures(request.prompt, request.images)}],
            response_modalities=["IMAGE"],
            image_config={"aspect_ratio": shape},
        )
        return read_image(self._vendor, model, answer, exchange, notes)

    def _ask(self, request: TextRequest | ImageRequest, **facts: Any) -> tuple[Any, Exchange]:
        vendor, key, address = self._place()
        exchange, seconds = Exchange(key=request.key), request.timeout_seconds
        try:
            with lane_to(vendor, key, address) as lane:
                answer = lane.wait(lambda client: client.complete(timeout=seconds, **facts), exchange, seconds)
            return answer, exchange
        except Exception as error:
            # `from None`: the library's own error can quote the request with the key in it.
            raised = failure(vendor, place_of(address), error, exchange, key)
        if (id := request_id(exchange, read_json(exchange.body))) is not None:
            raised.usage = Usage(provider=self.name, model=facts["model"], request_id=id).refused(exchange.status)
        raise raised from None

    def _model(self, asked: str | None, usual: str | None) -> str:
        if (model := asked or usual) is None:
            raise PermanentError(f"{self.name} has no default model", hint="Write `model=`.")
        return model

    def _place(self) -> tuple[Vendor, str, str]:
        """Vendor, key and address. Raises PermanentError where one of them cannot be asked."""
        vendor = self._vendor
        key = vendor.key(self._environment)
        if key is None:
            raise PermanentError(
                f"the {vendor.name} provider has no key",
                hint=f"Set {vendor.keys[0]} in the notebook, or where the workers of a shared back end run; then `run.retry()`. "
                "Or use provider='offline'.",
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise PermanentError(
                f"the key in {vendor.keys[0]} holds a character that no key has",
                hint="Copy it anew: blanks, quotes or dots of a shortened key are often copied along.",
            )
        address = root_of(vendor, self._environment.get(vendor.address_variable, ""))
        return vendor, key, address


def _shape(width: int, height: int) -> str:
    """The ratio that comes closest to a size."""

    def distance(ratio: str) -> float:
        across, _, down = ratio.partition(":")
        return abs(log(width / height) - log(int(across) / int(down)))

    return min(_RATIOS, key=distance)
