"""The openai provider, through the real SDK, against a server that misbehaves on purpose."""

import io
import socket
import sys

import pytest
from PIL import Image

from openai_server import openai_server
from xtyl_engine.errors import NodeTimeout, PermanentError, TransientError
from xtyl_engine.failures import describe_error
from xtyl_engine.providers import get_provider
from xtyl_engine.providers import openai as module
from xtyl_engine.providers.base import ImageRequest, TextRequest

KEY = "sk-canary-0123456789"


@pytest.fixture(scope="module")
def server():
    with openai_server() as served:
        yield served
        for client in module._clients.values():
            client.close()
        module._clients.clear()


@pytest.fixture
def provider(server):
    server.requests.clear()
    return get_provider("openai", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url})


def failure(action):
    with pytest.raises((TransientError, PermanentError)) as caught:
        action()
    described = describe_error(caught.value)
    assert KEY not in described.message + described.traceback + repr(caught.value) + str(caught.value.data)
    return caught.value


def test_text_is_written_with_its_usage(provider, server):
    """A completion gives its text, the model that answered, and the tokens it took."""
    request = TextRequest(prompt="Hello", system="Be kind", model="m", temperature=0.5, max_tokens=9, seed=3, key="k/1")
    result = provider.write(request)
    assert result.text == "Hello by m"
    assert (result.usage.provider, result.usage.model, result.usage.tokens, result.usage.cost) == (
        "openai",
        "m-2026",
        11,
        None,
    )
    ((path, body, headers),) = server.requests
    assert path == "/v1/chat/completions"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.5, 9, 3)
    assert headers["idempotency-key"] == "k/1"


def test_an_image_is_drawn_at_its_size(provider, server):
    """An image comes back as bytes of the size asked for, asked for as data."""
    result = provider.draw(ImageRequest(prompt="A lamp", width=64, height=32, model="m"))
    assert Image.open(io.BytesIO(result.data)).size == (64, 32)
    assert server.requests[0][1]["response_format"] == "b64_json"
    provider.draw(ImageRequest(prompt="A lamp", width=64, height=32))
    assert "response_format" not in server.requests[1][1]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("bad-request", "unknown parameter"),
        ("content-policy", "change the prompt"),
        ("bad-key", "OPENAI_API_KEY"),
        ("forbidden", "rights"),
        ("no-model", "OPENAI_BASE_URL"),
        ("no-quota", "billing"),
        ("no-room", "max_tokens"),
        ("filtered", "refused"),
        ("refused", "I cannot"),
    ],
)
def test_what_another_try_would_repeat_is_permanent(provider, server, model, words):
    """Bad requests, keys, rights, models, quota and content fail at once, and say what to do."""
    error = failure(lambda: provider.write(TextRequest(prompt="Hello", model=model)))
    assert isinstance(error, PermanentError)
    assert words in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("model", "seconds"),
    [
        ("rate-limit", 7.0),
        ("rate-limit-date", 0.0),
        ("rate-limit-nonsense", None),
        ("broken", None),
        ("overloaded", 2.0),
        ("no-choices", None),
        ("null-choices", None),
        ("empty-text", None),
        ("half-json", None),
        ("list", None),
        ("number", None),
        ("web-page", None),
        ("cut-off", None),
    ],
)
def test_what_another_try_may_cure_is_transient(provider, server, model, seconds):
    """Rate limits, server errors and unusable answers are left to the engine to retry, with the server's delay."""
    error = failure(lambda: provider.write(TextRequest(prompt="Hello", model=model)))
    assert isinstance(error, TransientError)
    assert error.retry_after == seconds
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("link", PermanentError, "links are not followed"),
        ("half-base64", TransientError, "base64"),
        ("no-data", TransientError, "no image"),
        ("null-choices", TransientError, "no image"),
        ("empty-image", TransientError, "empty"),
        ("content-policy", PermanentError, "change the prompt"),
        ("web-page", TransientError, "no image"),
    ],
)
def test_an_answer_without_an_image_is_sorted_too(provider, model, kind, words):
    """Links, broken data and missing images each have their own words."""
    error = failure(lambda: provider.draw(ImageRequest(prompt="A lamp", model=model)))
    assert isinstance(error, kind)
    assert words in str(error)


def test_silence_is_a_timeout(provider):
    """A server that does not answer in the time given is a NodeTimeout."""
    error = failure(lambda: provider.write(TextRequest(prompt="Hello", model="hang", timeout_seconds=0.2)))
    assert isinstance(error, NodeTimeout)


def test_nobody_there_is_transient():
    """A closed port is a connection error with the address, to be tried again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    provider = get_provider("openai", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": address})
    error = failure(lambda: provider.write(TextRequest(prompt="Hello")))
    assert isinstance(error, TransientError)
    assert address in str(error)


def test_the_key_is_read_at_call_time(server):
    """A key set after the provider was made is used; while there is none, the error names the variable."""
    environment = {"OPENAI_BASE_URL": server.url}
    provider = get_provider("openai", environment)
    error = failure(lambda: provider.write(TextRequest(prompt="Hello", model="m")))
    assert "OPENAI_API_KEY" in str(error)
    environment["OPENAI_API_KEY"] = KEY
    assert provider.write(TextRequest(prompt="Hello", model="m")).text == "Hello by m"
    assert KEY not in repr(provider)


def test_a_missing_package_is_named(provider, monkeypatch):
    """Without the SDK the error says which extra to install."""
    monkeypatch.setitem(sys.modules, "openai", None)
    error = failure(lambda: provider.write(TextRequest(prompt="Hello", model="m")))
    assert 'pip install "xtyl-nb[openai]"' in str(error)
