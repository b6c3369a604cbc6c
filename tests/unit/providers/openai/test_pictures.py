"""Images to a server that speaks OpenAI's protocol: in a message, and in a form with a mask."""

from __future__ import annotations

import io
import json
import threading
import tracemalloc
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from openai_server import OpenAIServer, openai_server
from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.base import ImageRequest, Provider, TextRequest
from xtyl_engine.providers.openai import clients
from xtyl_engine.providers.registry import get_provider
from xtyl_engine.values.pictures import Picture, PictureBounds, fitted


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with openai_server() as served:
        yield served
        for client in clients._clients.values():
            client.close()
        clients._clients.clear()


@pytest.fixture
def provider(server: OpenAIServer) -> Provider:
    server.requests.clear()
    return get_provider("openai", {"OPENAI_API_KEY": "sk-0123456789", "OPENAI_BASE_URL": server.url})


def picture(kind: str = "PNG", mode: str = "RGB") -> Picture:
    buffer = io.BytesIO()
    Image.new(mode, (32, 16)).save(buffer, kind)
    return fitted(lambda: io.BytesIO(buffer.getvalue()), PictureBounds())


def test_a_model_sees_images_behind_the_prompt(provider: Provider, server: OpenAIServer) -> None:
    """Each is a part of the message, as a URL that holds its bytes; a request without images is spelt as ever."""
    images = (picture(), picture("JPEG"))
    result = provider.write(TextRequest(prompt="Look", system="Be kind", model="m", images=images))
    assert result.text == "Look by m"
    (_, body, _) = server.requests[0]
    words, *parts = body["messages"][-1]["content"]
    assert words == {"type": "text", "text": "Look"}
    for part, image in zip(parts, images, strict=True):
        head, comma, data = part["image_url"]["url"].partition(",")
        assert (head + comma, b64decode(data)) == (f"data:{image.media_type};base64,", image.read())
    provider.write(TextRequest(prompt="Look", model="m"))
    assert server.requests[1][1]["messages"] == [{"role": "user", "content": "Look"}]


@pytest.mark.parametrize(("count", "field"), [(1, "image"), (2, "image[]")])
def test_a_model_changes_images_where_a_mask_is_transparent(
    provider: Provider, server: OpenAIServer, count: int, field: str
) -> None:
    """Image and mask are files of a form, under the names that servers know; what is refused is asked again with the files
    read from their beginnings."""
    images, mask = tuple(picture() for _ in range(count)), picture(mode="RGBA")
    server.answers["fussy"] = (400, json.dumps({"error": {"message": "unknown", "param": "response_format"}}), {})
    request = ImageRequest(prompt="At night", model="fussy", images=images, mask=mask, width=64, height=48, key="k/1")
    with pytest.raises(PermanentError):
        provider.draw(request)
    del server.answers["fussy"]
    result = provider.draw(request)
    assert Image.open(io.BytesIO(result.data)).size == (64, 48)
    first, *_, last = server.requests
    for path, form, headers in (first, last):
        assert path == "/v1/images/edits"
        assert (form["prompt"], form["size"], form["n"], headers["idempotency-key"]) == (
            "At night",
            "64x48",
            "1",
            "k/1",
        )
        assert [data for _, _, data in form[field]] == [each.read() for each in images]
        assert form["mask"] == [("mask.png", "image/png", mask.read())]
        assert form[field][0][:2] == ("image-0.png", "image/png")
    assert ("response_format" in first[1], len(server.requests)) == (True, 3)


def test_a_server_that_changes_no_images_says_so(provider: Provider, server: OpenAIServer) -> None:
    """It is not taken for one that makes none."""
    server.answers["none"] = (404, '{"error": "not found"}', {})
    with pytest.raises(PermanentError, match="changes no images: it answered 404"):
        provider.draw(ImageRequest(prompt="x", model="none", images=(picture(),)))


class Sink(BaseHTTPRequestHandler):
    """Keeps nothing of what it reads, so that only the client's memory is counted."""

    def do_POST(self) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            left -= len(self.rfile.read(min(left, 65_536)))
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def sink() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Sink) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/v1"
        for client in clients._clients.values():
            client.close()
        clients._clients.clear()
        served.shutdown()
        thread.join()


@pytest.mark.parametrize("verb", ["write", "draw"])
def test_an_image_that_is_passed_on_takes_at_most_five_times_its_size(tmp_path: Path, sink: str, verb: str) -> None:
    """From a file of 4 MB until it is sent, as a part of a message and as a file of a form."""
    path = tmp_path / "photo.png"
    Image.effect_noise((2000, 2000), 90).save(path, compress_level=0)
    image = fitted(lambda: path.open("rb"), PictureBounds())
    provider = get_provider("openai", {"OPENAI_API_KEY": "sk-0123456789", "OPENAI_BASE_URL": sink})
    asked: Any = (TextRequest if verb == "write" else ImageRequest)(prompt="x", model="m", images=(image,))
    tracemalloc.start()
    with pytest.raises(PermanentError, match="400"):
        getattr(provider, verb)(asked)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert image.size > 4_000_000
    assert peak <= 5 * image.size
