"""Images to Anthropic, Google and Mistral, as each of their protocols has them."""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

import xtyl_nb as xt
from vendor_server import VendorServer, vendor_server
from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.base import ImageRequest, Provider, TextRequest
from xtyl_engine.providers.registry import get_provider
from xtyl_engine.providers.vendors import calls
from xtyl_engine.providers.vendors.table import BY_NAME
from xtyl_engine.values.pictures import Picture, PictureBounds, fitted


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with vendor_server() as served:
        yield served
        calls.close()


def provider(server: VendorServer, name: str) -> Provider:
    server.requests.clear()
    vendor = BY_NAME[name]
    return get_provider(name, {vendor.keys[0]: "sk-0123456789", vendor.address_variable: server.url})


def picture(mode: str = "RGB") -> Picture:
    buffer = io.BytesIO()
    Image.new(mode, (32, 16)).save(buffer, "PNG")
    return fitted(lambda: io.BytesIO(buffer.getvalue()), PictureBounds())


def sent_images(name: str, body: Any) -> list[bytes]:
    """The images of a request, by the words of its protocol."""
    if name == "anthropic":
        sources = [part["source"] for part in body["messages"][-1]["content"] if part["type"] == "image"]
        assert {each["media_type"] for each in sources} == {"image/png"}
        return [b64decode(each["data"]) for each in sources]
    if name == "gemini":
        return [b64decode(part["inlineData"]["data"]) for part in body["contents"][-1]["parts"][1:]]
    urls = [part["image_url"] for part in body["messages"][-1]["content"][1:]]
    return [b64decode((each if isinstance(each, str) else each["url"]).partition(",")[2]) for each in urls]


@pytest.mark.parametrize("name", ["anthropic", "gemini", "mistral"])
def test_a_model_sees_images_behind_the_prompt(server: VendorServer, name: str) -> None:
    """They arrive byte for byte."""
    images = (picture(), picture("RGBA"))
    result = provider(server, name).write(TextRequest(prompt="Look", model="m", images=images))
    assert result.text == "Look by m"
    assert sent_images(name, server.requests[-1][1]) == [each.read() for each in images]


def test_gemini_changes_images_and_takes_no_mask(server: VendorServer) -> None:
    """An image goes before the model that draws; a mask is refused before anything is asked, by `validate` already."""
    gemini = provider(server, "gemini")
    gemini.draw(ImageRequest(prompt="At night", model="draw", images=(picture(),)))
    assert sent_images("gemini", server.requests[-1][1]) == [picture().read()]
    server.requests.clear()
    with pytest.raises(PermanentError, match="gemini takes no mask"):
        gemini.draw(ImageRequest(prompt="x", model="draw", images=(picture(),), mask=picture("RGBA")))
    assert server.requests == []
    photo = "{{ photo }}"
    flow = xt.Workflow("w").generate_image("made", prompt="x", provider="gemini", images=photo, mask=photo)
    with pytest.raises(xt.WorkflowError, match="`gemini` takes no mask"):
        flow.validate()
