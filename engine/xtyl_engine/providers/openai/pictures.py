"""Pictures in OpenAI's protocol: as parts of a message, and as the files of a form. Each file is read only while it is sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from typing import Any

from xtyl_engine.providers.base import ImageRequest
from xtyl_engine.values.pictures import Picture


def with_pictures(prompt: str, images: tuple[Picture, ...]) -> str | list[dict[str, Any]]:
    """The content of a message: a prompt, and pictures behind it."""
    return [{"type": "text", "text": prompt}, *picture_parts(images)] if images else prompt


def picture_parts(images: tuple[Picture, ...]) -> list[dict[str, Any]]:
    """Pictures as parts of a message."""
    return [{"type": "image_url", "image_url": {"url": each.data_url()}} for each in images]


def editing(edit: Callable[..., Any], request: ImageRequest) -> Callable[..., Any]:
    """A streamed verb that changes images, with those of a request: each time it is called, it reads them from the beginning."""

    @contextmanager
    def create(**facts: Any) -> Any:
        with ExitStack() as opened:

            def file(name: str, picture: Picture) -> tuple[str, Any, str]:
                ending = picture.media_type.removeprefix("image/")
                return f"{name}.{ending}", opened.enter_context(picture.open()), picture.media_type

            files = [file(f"image-{place}", each) for place, each in enumerate(request.images)]
            # Earlier models take one file under this name, and no list.
            given: dict[str, Any] = {"image": files[0] if len(files) == 1 else files}
            if request.mask is not None:
                given["mask"] = file("mask", request.mask)
            yield opened.enter_context(edit(**given, **facts))

    return create
