"""The images of a step that sends some: from the value of `images=` to pictures as its provider takes them. All that is wrong
with them is found here, before anything is paid. Pixels are for `values.pictures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, SerializerFunctionWrapHandler, model_serializer

from xtyl_engine.errors import PermanentError, WorkflowException, with_article
from xtyl_engine.nodes.base import NodeConfig
from xtyl_engine.providers.base import Provider
from xtyl_engine.values.artifacts import KEY, ArtifactStore, is_artifact
from xtyl_engine.values.images import ImageRefused
from xtyl_engine.values.pictures import PNG, USUAL_BOUNDS, Picture, PictureBounds, fitted, fitted_mask

T = TypeVar("T")
# What a picture takes of a model's input at most: vendors count some thousands for a large one, and price those of a picture that
# is changed at up to twice the price of words.
TOKENS_SEEN, TOKENS_CHANGED = 8_000, 16_000
_SHOWN = 60
# Fields of a config that were added after results had been stored under keys without them.
_LATER = frozenset({"images", "mask", "returns"})
_EMPTY = "the value is empty: fill it in, or write {{ [photo] if photo else [] }} where some rows have no image"


def as_pictures(value: Any) -> Any:
    """The references in the value of a parameter that takes images, without facts that stand in no key of a cache; Jinja as it
    is. Raises ValueError with what stands in their place."""
    if isinstance(value, str) and "{{" in value:
        return value
    return [*_references(value, "")] if isinstance(value, (list, tuple)) else next(_references(value, ""))


def sent_as(value: Any) -> Any:
    """The references that a value of such a parameter gives; the value itself where it gives none."""
    try:
        return as_pictures(value)
    except ValueError:
        return value


def as_mask(value: Any) -> Any:
    """The reference in the value of a parameter that takes one image."""
    if isinstance(value, (list, tuple)):
        raise ValueError(f"{len(value)} images stand here, and a mask is one")
    return as_pictures(value)


def _references(value: Any, at: str) -> Iterator[Any]:
    if is_artifact(value):
        kind = str(value.get("media_type"))[:40]
        if not kind.startswith("image/"):
            raise ValueError(f"{at}a stored file of {kind} is no image: give a PNG, JPEG or WEBP")
        yield {KEY: value[KEY], "media_type": kind}
    elif isinstance(value, (list, tuple)):
        for place, part in enumerate(value):
            yield from _references(part, f"number {place + 1}: ")
    elif isinstance(value, Mapping):
        yield from _references(_standing(value, at), at)
    elif isinstance(value, str) and "{{" in value:
        yield value
    elif value is None:
        raise ValueError(f"{at}{_EMPTY}")
    elif isinstance(value, str):
        raise ValueError(
            f'{at}the text {value[:_SHOWN]!r} is no image: write "{{{{ photo }}}}" for that of a column or a step; the path of a '
            "file stands in a column, and has to lead to it from where the run is started"
        )
    else:
        raise ValueError(f"{at}{with_article(type(value).__name__)} is no image: put it into a column, and read that")


def _standing(output: Mapping[str, Any], at: str) -> Any:
    """The image that stands for a step's output: its `image`, that of the option that was chosen, or its only one."""
    if "image" in output:
        return output["image"]
    if isinstance(chosen := output.get("of"), str) and chosen in output:
        return output[chosen]
    images = [value for value in output.values() if is_artifact(value)]
    if len(images) == 1:
        return images[0]
    names = ", ".join(map(str, output))[:200]
    raise ValueError(f"{at}an output with {names} is no image: name one field, as in {{{{ step.field }}}}")


Pictures = Annotated[Any, BeforeValidator(as_pictures)]
Mask = Annotated[Any, BeforeValidator(as_mask)]


class SeeingConfig(NodeConfig):
    """The parameters of a step that may send images to its provider."""

    images: Pictures = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Left out where it is not used: a cache key of an earlier release has no word of it."""
        facts: dict[str, Any] = serialize(self)
        return {name: value for name, value in facts.items() if name not in _LATER or value is not None}


def count_pictures(images: Any) -> int:
    """How many pictures a value of `images` sends; one for an expression, which may yet be a list."""
    return 0 if images is None else len(_listed(images))


def pictures_for(provider: Provider, images: Any, store: ArtifactStore) -> tuple[Picture, ...]:
    """The pictures of a step, as its provider takes them. Raises PermanentError and LimitExceeded, naming the image."""
    return _fitted(images, store, _bounds(provider, images)) if images else ()


def pictures_and_mask(
    provider: Provider, images: Any, mask: Any, store: ArtifactStore
) -> tuple[tuple[Picture, ...], Picture | None]:
    """The pictures of a step that changes them, and the mask of the first one. Raises PermanentError and LimitExceeded."""
    if mask is None:
        return pictures_for(provider, images, store), None
    if not images:
        raise PermanentError("`mask` has no image that it belongs to", hint="Give that image by `images=`.")
    bounds = _bounds(provider, images)
    # Providers take a mask only beside an image of its format.
    pictures = _fitted(images, store, replace(bounds, media_types=(PNG,)))
    opened, first = partial(store.open, mask), partial(store.open, _listed(images)[0])
    return pictures, _named("`mask`", lambda: fitted_mask(opened, first, pictures[0], bounds))


def _listed(images: Any) -> list[Any]:
    return images if isinstance(images, list) else [images]


def _fitted(images: Any, store: ArtifactStore, bounds: PictureBounds) -> tuple[Picture, ...]:
    found = _listed(images)
    if len(found) > bounds.most_pictures:
        raise PermanentError(
            f"{len(found)} images stand in `images`, and the provider takes {bounds.most_pictures} at once",
            hint="Give fewer, such as `{{ photos[:4] }}`, or ask about parts of them with `over=`.",
        )
    share = bounds.most_together // max(1, len(found))
    bounds = replace(bounds, most_bytes=min(bounds.most_bytes, share))
    names = ["`images`"] if len(found) == 1 else [f"`images[{place}]`" for place in range(len(found))]
    return tuple(
        _named(name, partial(fitted, partial(store.open, each), bounds))
        for name, each in zip(names, found, strict=True)
    )


def _bounds(provider: Provider, images: Any) -> PictureBounds:
    """What a provider takes. One that knows nothing of images would leave them out, and be paid all the same."""
    if not getattr(provider, "takes_images", False):
        raise PermanentError(
            f"the provider {provider.name} is not told of images by this release",
            hint="Leave `images` out, or take another provider, such as openai.",
        )
    for each in _listed(images):
        if not is_artifact(each):
            raise PermanentError(f"`images` holds {str(each)[:_SHOWN]!r}, which is no image")
    bounds = getattr(provider, "picture_bounds", None)
    return bounds if isinstance(bounds, PictureBounds) else USUAL_BOUNDS


def _named(name: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except WorkflowException as error:
        # Said by its place: several images may be given, and their names are hashes.
        error.message = f"{name}: {error.message}"
        raise


__all__ = ["ImageRefused", "Mask", "Pictures", "SeeingConfig", "pictures_and_mask", "pictures_for"]
