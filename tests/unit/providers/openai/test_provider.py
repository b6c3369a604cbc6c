"""The openai provider, through the real SDK, against a server that misbehaves on purpose."""

import io
import socket
import sys

import pytest
from PIL import Image

import xtyl_nb as xt
from openai_server import RESPELT, openai_server
from workbench import workbench
from xtyl_engine.errors import AnswerLost, NodeTimeout, PermanentError, TransientError
from xtyl_engine.providers.base import ImageRequest, TextRequest
from xtyl_engine.providers.openai import clients
from xtyl_engine.providers.registry import get_provider
from xtyl_engine.values.error_text import describe_error

KEY = "sk-canary-0123456789"
ONCE = {"attempts": 1}


@pytest.fixture(scope="module")
def server():
    with openai_server() as served:
        yield served
        for client in clients._clients.values():
            client.close()
        clients._clients.clear()


@pytest.fixture
def provider(server):
    server.requests.clear()
    return get_provider("openai", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url})


def test_only_the_given_environment_counts(provider, server, monkeypatch):
    """The SDK would read this process's variables too, which may be those of another kernel: its server, its account."""
    provider.write(TextRequest(prompt="Hello", model="m"))
    for name, value in (("BASE_URL", server.url), ("ORG_ID", "org-worker"), ("PROJECT_ID", "proj-worker")):
        monkeypatch.setenv(f"OPENAI_{name}", value)
    ours = {"OPENAI_API_KEY": f"{KEY}-other", "OPENAI_BASE_URL": server.url}
    get_provider("openai", ours).write(TextRequest(prompt="Hello", model="m"))
    get_provider("openai", {**ours, "OPENAI_ORG_ID": "org-kernel"}).write(TextRequest(prompt="Hello", model="m"))
    sent = [headers for _, _, headers in server.requests]
    assert [headers.get("openai-organization") for headers in sent] == [None, None, "org-kernel"]
    assert [headers.get("openai-project") for headers in sent] == [None] * 3
    get_provider("openai", {"OPENAI_API_KEY": f"{KEY}-far"})
    assert str(list(clients._clients.values())[-1].base_url) == "https://api.openai.com/v1/"


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


@pytest.mark.parametrize(("model", "finish"), [("m", "stop"), ("cut", "length")])
def test_why_a_text_ends_is_told(provider, model, finish):
    """A text that the limit on tokens cut is told apart from a whole one."""
    assert provider.write(TextRequest(prompt="Hello", model=model)).finish == finish


@pytest.mark.parametrize("model", RESPELT)
def test_a_limit_is_respelt_where_a_server_asks_for_that(provider, server, model):
    """The refusal costs one more request, once for a server and a model; the requests differ only in the spelling."""
    request = TextRequest(prompt="Hello", model=model, max_tokens=9, temperature=0.5, seed=3, key="k/1")
    for _ in range(2):
        assert provider.write(request).text == f"Hello by {model}"
        provider = get_provider("openai", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url})
    bodies = [body for _, body, _ in server.requests]
    spelt = [{name: value for name, value in body.items() if "max" in name} for body in bodies]
    assert spelt == [{"max_tokens": 9}, {"max_completion_tokens": 9}, {"max_completion_tokens": 9}]
    assert all((body["model"], body["temperature"], body["seed"]) == (model, 0.5, 3) for body in bodies)
    assert [headers["idempotency-key"] for *_, headers in server.requests] == ["k/1"] * 3


def test_a_respelt_limit_concerns_one_model_of_one_server(provider, server):
    """Another model gets the old spelling, and so does another server; without a limit none is sent."""
    limited = TextRequest(prompt="Hello", model="reasoning", max_tokens=9)
    provider.write(limited)
    server.requests.clear()
    provider.write(TextRequest(prompt="Hello", model="m", max_tokens=9))
    provider.write(TextRequest(prompt="Hello", model="reasoning"))
    assert server.requests[0][1]["max_tokens"] == 9
    assert not {"max_tokens", "max_completion_tokens"} & set(server.requests[1][1])
    with openai_server() as other:
        get_provider("openai", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": other.url}).write(limited)
        assert ["max_tokens" in body for _, body, _ in other.requests] == [True, False]


@pytest.mark.parametrize(("model", "requests"), [("too-many-tokens", 1), ("no-limit", 2), ("bad-request", 1)])
def test_a_refused_limit_fails_with_the_servers_words(provider, server, model, requests):
    """A wrong value is not sent again, and a limit refused in both spellings is not remembered."""
    for _ in range(2):
        server.requests.clear()
        error = failure(lambda: provider.write(TextRequest(prompt="Hello", model=model, max_tokens=9)))
        assert isinstance(error, PermanentError)
        assert "the server answered 400" in str(error)
        assert [("max_tokens" in body) for _, body, _ in server.requests] == [True, False][:requests]


def test_a_seed_is_sent_where_it_is_asked_for(provider, server, tmp_path, monkeypatch):
    """It is sent if set, even as 0, and where one prompt makes several texts; a single text without one is left to the server."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    flow = (
        xt.Workflow("seeds")
        .generate_copy("plain", prompt="plain", model="m")
        .generate_copy("set", prompt="set", model="m", seed=7)
        .generate_copy("zero", prompt="zero", model="m", seed=0)
        .generate_copy("two", prompt="two", model="m", n=2)
        .generate_copy("each", prompt="each: {{ two }}", model="m", over="two")
    )
    with workbench(tmp_path, XTYL_PROVIDER="openai") as bench:
        assert bench.done(flow).state == "completed"
    seeds = [(body["messages"][-1]["content"].partition(":")[0], body.get("seed")) for _, body, _ in server.requests]
    expected = [("each", None), ("each", None), ("plain", None), ("set", 7), ("two", 0), ("two", 1), ("zero", 0)]
    assert sorted(seeds, key=str) == sorted(expected, key=str)


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
        ("content-policy", "Change the prompt."),
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
    """Bad requests, keys, rights, models, quota and content fail at once, with a remedy."""
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


def test_an_answer_that_breaks_off_may_have_been_billed(provider):
    """The server was reached and had answered; that it is lost has a class of its own, and words of its own."""
    error = failure(lambda: provider.write(TextRequest(prompt="Hello", model="cut-off")))
    assert isinstance(error, AnswerLost)
    assert "broke off before its answer was whole" in str(error)


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("link", PermanentError, "a private network"),
        ("half-base64", TransientError, "base64"),
        ("no-data", TransientError, "no image"),
        ("null-choices", TransientError, "no image"),
        ("empty-image", TransientError, "empty"),
        ("content-policy", PermanentError, "Change the prompt."),
        ("web-page", TransientError, "no image"),
    ],
)
def test_an_answer_without_an_image_is_sorted_too(provider, model, kind, words):
    """Links into the private network, broken data and missing images each have their own words."""
    error = failure(lambda: provider.draw(ImageRequest(prompt="A lamp", model=model)))
    assert isinstance(error, kind)
    assert words in str(error)


def test_silence_is_a_timeout(provider):
    """A server that does not answer in the time given is a NodeTimeout."""
    error = failure(lambda: provider.write(TextRequest(prompt="Hello", model="hang", timeout_seconds=0.2)))
    assert isinstance(error, NodeTimeout)


def test_a_closed_port_is_transient():
    """It is a connection error with the address, to be tried again."""
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


def test_what_a_server_says_of_the_key_is_not_kept(server, tmp_path, monkeypatch):
    """Neither in its text, nor as its model's name, nor in its refusal; nor is a password in its address."""
    monkeypatch.setenv("OPENAI_API_KEY", "canary0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    with workbench(tmp_path) as bench:
        flow = (
            xt.Workflow("asks")
            .generate_copy("said", prompt="Hi", provider="openai", model="echo")
            .generate_copy("refused", prompt="Hi", provider="openai", model="echo-refusal", after=[])
        )
        run = bench.done(flow)
        jobs = run.jobs().set_index("node")
        assert (run.outputs("said")["text"][0], jobs["model"]["said"]) == ("by [hidden]", "m [hidden]")
        assert "refused to write this: not with [hidden]" in jobs["error"]["refused"]
        monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("://", "://me:canary%2F987654@"))
        assert bench.done(flow).outputs("said")["text"][0] == "by Basic [hidden]"
        monkeypatch.setenv("OPENAI_BASE_URL", "http://me:canary%2F987654@127.0.0.1:9/v1?sig=canary-sig")
        error = bench.done(xt.Workflow("far").generate_copy("far", prompt="Hi", provider="openai", retry=ONCE)).jobs()
        assert "http://127.0.0.1:9/v1 cannot be reached" in error["error"][0]
        assert not [path for path in tmp_path.rglob("xtyl.db*") if b"canary" in path.read_bytes()]


@pytest.mark.parametrize(
    "address", ["http://me:canary@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?key=canary", "http://[canary"]
)
def test_no_error_names_a_password_of_the_address(address):
    """Of a provider's own errors too, which others than the engine may raise."""
    error = failure(
        lambda: get_provider("openai", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": address}).write(
            TextRequest(prompt="x")
        )
    )
    assert "canary" not in str(error)
