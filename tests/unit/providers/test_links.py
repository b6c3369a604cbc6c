"""Links to images: fetched from the public network and from the server that gave them, within bounds, and from nowhere else."""

import base64
import json
import socket
import threading
from contextlib import contextmanager

import pytest

from openai_server import openai_server, png
from xtyl_engine.errors import PermanentError, TransientError
from xtyl_engine.providers import links
from xtyl_engine.providers.base import ImageRequest, Usage
from xtyl_engine.providers.links import fetch_image, is_public, origin_of
from xtyl_engine.providers.registry import get_provider

PNG = base64.b64decode(png(8, 8)).decode("latin-1")
PAID = Usage(provider="openai", model="m", image_tokens=7)


@pytest.fixture(scope="module")
def served():
    with openai_server() as served:
        yield served


@pytest.fixture
def site(served):
    """The address of the server, whose files a test sets."""
    served.answers.clear()
    served.requests.clear()
    served.root = served.url.removesuffix("/v1")
    return served


def fetched(site, path, seconds=5.0):
    return fetch_image(f"{site.root}{path}", origin_of(site.url), seconds, PAID)


def refused(kind, action):
    with pytest.raises((PermanentError, TransientError)) as caught:
        action()
    assert isinstance(caught.value, kind), caught.value
    assert caught.value.usage is PAID
    assert "secret" not in str(caught.value)
    return str(caught.value)


def test_the_image_behind_a_link_is_fetched(site):
    """With one plain request, which bears no key."""
    site.answers["/i.png?sig=a%20b"] = (200, PNG, {})
    site.answers["m"] = (200, json.dumps({"data": [{"url": f"{site.root}/i.png?sig=a%20b"}]}), {})
    provider = get_provider("openai", {"OPENAI_API_KEY": "sk-canary", "OPENAI_BASE_URL": site.url})
    assert provider.draw(ImageRequest(prompt="A lamp", model="m")).data == PNG.encode("latin-1")
    path, _, headers = site.requests[-1]
    assert path == "/i.png?sig=a%20b"
    assert "canary" not in str(headers)


def test_a_link_may_lead_on_a_few_times(site):
    """Three times, and not for ever."""
    for number in range(9):
        site.answers[f"/{number}"] = (302, "", {"Location": f"/{number + 1}"})
    site.answers["/3"] = (200, PNG, {})
    assert fetched(site, "/0")
    site.answers["/3"] = (302, "", {"Location": "/4"})
    assert "leads on more than 3 times" in refused(PermanentError, lambda: fetched(site, "/0"))
    assert len(site.requests) == 4 + 4


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:9/secret",
        "http://localhost:9/secret",
        "http://10.0.0.1/secret",
        "http://169.254.169.254/latest/meta-data/secret",
        "http://[::1]:9/secret",
        "http://[::ffff:127.0.0.1]:9/secret",
        "http://0.0.0.0:9/secret",
        "http://2130706433/secret",
        "http://0x7f.1/secret",
    ],
)
def test_a_link_into_the_private_network_is_refused(site, link):
    """However its address is written, at once and after a redirect, unless it is the very server that gave it."""
    assert "a private network" in refused(PermanentError, lambda: fetch_image(link, origin_of(site.url), 5.0, PAID))
    site.answers["/on"] = (307, "", {"Location": link})
    assert "a private network" in refused(PermanentError, lambda: fetched(site, "/on"))


@pytest.mark.parametrize(
    "link", ["file:///etc/secret", "ftp://example.org/secret", "/secret", "http:///secret", "http://a:secret@example.org/", "http://é/"]
)  # fmt: skip
def test_a_link_that_is_no_web_address_is_refused(site, link):
    """Nothing but http and https is spoken."""
    assert "no http or https" in refused(PermanentError, lambda: fetch_image(link, origin_of(site.url), 5.0, PAID))


def test_a_name_is_looked_up_once(site, monkeypatch):
    """What was checked is connected to: a name that leads elsewhere the second time leads nowhere."""
    looked_up = []
    port = origin_of(site.url)[2]
    real = socket.getaddrinfo

    def look_up(host, *rest, **how):
        if host != "images.example.org":
            return real(host, *rest, **how)
        looked_up.append(host)
        return real("127.0.0.1" if len(looked_up) == 1 else "10.0.0.1", *rest, **how)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    site.answers["/i.png"] = (200, PNG, {})
    giver = ("http", "images.example.org", port)
    assert fetch_image(f"http://images.example.org:{port}/i.png", giver, 5.0, PAID) == PNG.encode("latin-1")
    assert looked_up == ["images.example.org"]


@pytest.mark.parametrize(
    ("status", "kind"), [(404, PermanentError), (403, PermanentError), (500, TransientError), (429, TransientError)]
)
def test_a_link_that_is_refused_says_so(site, status, kind):
    """Gone stays gone, busy does not."""
    site.answers["/secret"] = (status, "", {})
    assert "the image that the server links to" in refused(kind, lambda: fetched(site, "/secret"))


def test_half_an_image_is_not_taken(site):
    """A connection that ends early is another try's."""
    site.answers["/i.png"] = (200, PNG, {"Content-Length": str(len(PNG) + 9)})
    refused(TransientError, lambda: fetched(site, "/i.png"))


def test_the_bytes_are_bounded(site, monkeypatch):
    """Whatever length is said before."""
    monkeypatch.setattr(links, "MAX_IMAGE_BYTES", 10)
    site.answers["/i.png"] = (200, PNG, {})
    assert "more than 10 bytes" in refused(PermanentError, lambda: fetched(site, "/i.png"))


@contextmanager
def trickling():
    """A server that sends a byte now and then, for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def serve():
            peer, _ = listening.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.02):
                    try:
                        peer.sendall(b"X")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def test_the_time_is_bounded():
    """Also where every single wait is short."""
    with trickling() as address:
        refused(TransientError, lambda: fetch_image(f"{address}/i.png", origin_of(address), 0.3, PAID))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
        ("fec0::1", False),
        ("::7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("64:ff9b:1::7f00:1", False),
    ],
)
def test_which_addresses_are_public(address, expected):
    """Also those of IPv6 that stand for one of IPv4."""
    assert is_public(address) is expected
