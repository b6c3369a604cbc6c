"""Keys, addresses and proxies that cannot be right are named before anything is sent."""

import socket

import pytest

from openai_server import openai_server
from xtyl_engine.errors import PermanentError, TransientError
from xtyl_engine.providers.base import ImageRequest, TextRequest
from xtyl_engine.providers.openai import clients
from xtyl_engine.providers.openai.addresses import read_place
from xtyl_engine.providers.registry import get_provider

KEY = "sk-canary-0123456789"
CUSTOMARY = "https://api.example.org/v1"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(scope="module")
def server():
    with openai_server() as served:
        yield served
        for client in clients._clients.values():
            client.close()
        clients._clients.clear()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """None of this machine's."""
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)


def refused(environment):
    """The error of a call, and that it is permanent: another try would find the same variables."""
    with pytest.raises(PermanentError) as caught:
        get_provider("openai", environment).write(TextRequest(prompt="Hello", model="m"))
    assert "canary" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("sk-canaryé", "OPENAI_API_KEY has a character that no key has at place 10 of 10"),
        ("sk-canary\nsk-canary", "OPENAI_API_KEY has a line break at place 10 of 19"),
        ("sk-canary\x00", "a character that no key has"),
        ("“sk-canary”", "at place 1 of 11"),
        (" \n ", "has no key"),
    ],
)
def test_a_key_that_cannot_be_one_is_named(server, key, words):
    """Where it is wrong, and never what it is; nothing is sent."""
    server.requests.clear()
    assert words in refused({"OPENAI_API_KEY": key, "OPENAI_BASE_URL": server.url})
    assert server.requests == []


def test_an_account_that_cannot_be_one_is_named(server):
    """It is sent in a header too."""
    assert "OPENAI_PROJECT_ID has" in refused(
        {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url, "OPENAI_PROJECT_ID": "projé"}
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("localhost:11434/v1", "does not begin with http"),
        ("api.example.org/v1", "does not begin with http"),
        ("ftp://canary.example.org/v1", "does not begin with http"),
        ("http:/canary/v1", "does not begin with http"),
        ("http:///v1", "names no host"),
        ("http://127.0.0.1:canary/v1", "no address that can be read"),
        ("http://127.0.0.1:99999/v1", "no address that can be read"),
        ("http://127.0.0.1:0/v1", "names port 0"),
        ("http://[canary/v1", "no address that can be read"),
        ("http://canary .example.org/v1", "has a space"),
        ("http://127.0.0.1:9/v1/chat/completions", "ends in /chat/completions"),
    ],
)
def test_an_address_that_cannot_be_one_is_named(address, words):
    """With what is wrong and how it is written; it is not quoted, for a password may stand in it."""
    said = refused({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": address})
    assert words in said
    assert "https://host/v1" in said


def test_what_follows_the_question_mark_is_a_query(server):
    """It is sent with each request and not glued into the path; Azure's version asks for the key under Azure's name too."""
    server.requests.clear()
    address = f"{server.url}/deployments/d/?api-version=2024-10-21&x=a%20b"
    provider = get_provider("openai", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": address})
    provider.write(TextRequest(prompt="Hello", model="m"))
    provider.draw(ImageRequest(prompt="A lamp", model="m"))
    paths = [path.partition("?") for path, _, _ in server.requests]
    assert [path for path, _, _ in paths] == [
        f"/v1/deployments/d/{end}" for end in ("chat/completions", "images/generations")
    ]
    assert {query for _, _, query in paths} == {"api-version=2024-10-21&x=a+b"}
    assert [headers["api-key"] for *_, headers in server.requests] == [KEY] * 2
    server.requests.clear()
    plain = get_provider("openai", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/"})
    plain.write(TextRequest(prompt="Hello", model="m"))
    assert [(path, headers.get("api-key")) for path, _, headers in server.requests] == [("/v1/chat/completions", None)]


@pytest.mark.parametrize("proxy", ["socks9://canary:1", "http://:80", "http://canary:port", "://"])
def test_a_proxy_that_cannot_be_one_is_named(server, proxy):
    """By the variables that name it."""
    assert "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names no proxy" in refused(
        {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url, "HTTP_PROXY": proxy}
    )


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_dead_proxy_is_named(server, monkeypatch, in_kernel):
    """It may be back soon, so another try is made; what does not answer is the proxy and not the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://me:canary@127.0.0.1:{free.getsockname()[1]}"
    environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url}
    if in_kernel:
        environment["http_proxy"] = dead
    else:
        monkeypatch.setenv("HTTP_PROXY", dead)
    with pytest.raises(TransientError, match="the proxy http://127") as caught:
        get_provider("openai", environment).write(TextRequest(prompt="Hello", model="m"))
    assert "HTTPS_PROXY" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
        ({"all_proxy": "http://p"}, "http://p"),
        ({"HTTP_PROXY": "http://p"}, None),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "other.org, .example.org"}, None),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "ample.org"}, "http://p"),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, None),
        ({}, None),
    ],
)
def test_the_proxy_is_that_of_the_address(variables, proxy):
    """By its scheme and host, as programs customarily read these variables."""
    assert read_place({"OPENAI_API_KEY": KEY, **variables}, CUSTOMARY).proxy == proxy


def test_a_server_that_does_not_speak_tls_is_told(server):
    """Its address is wrong, and no other try would find it right."""
    said = refused({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url.replace("http:", "https:")})
    assert "does not speak TLS" in said


def test_a_place_does_not_show_its_key():
    """Nor the password of its proxy."""
    place = read_place({"OPENAI_API_KEY": KEY, "HTTPS_PROXY": "http://me:canary@p:1"}, CUSTOMARY)
    assert "canary" not in repr(place)
