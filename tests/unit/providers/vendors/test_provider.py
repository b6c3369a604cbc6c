"""The providers of Anthropic, Google and Mistral, through the real libraries, against a server that speaks their protocols and
misbehaves on purpose.
"""

import io

import pytest
from PIL import Image

from vendor_server import SCHEMAS, vendor_server
from xtyl_engine.errors import AnswerLost, NodeTimeout, PermanentError, TransientError
from xtyl_engine.providers.base import ImageRequest, TextRequest
from xtyl_engine.providers.registry import get_provider
from xtyl_engine.providers.vendors import calls
from xtyl_engine.providers.vendors.table import BY_NAME, VENDORS
from xtyl_engine.values.error_text import describe_error

KEY = "sk-canary-0123456789"
NAMES = [vendor.name for vendor in VENDORS if vendor.wiring]


@pytest.fixture(scope="module")
def server():
    with vendor_server() as served:
        yield served
        calls.close()


@pytest.fixture(params=NAMES)
def vendor(request):
    return BY_NAME[request.param]


@pytest.fixture
def provider(server, vendor):
    server.requests.clear()
    return get_provider(vendor.name, environment(vendor, server))


def environment(vendor, server, key=KEY):
    return {vendor.keys[-1]: key, vendor.address_variable: server.url}


def failure(action, key=KEY):
    with pytest.raises((TransientError, PermanentError)) as caught:
        action()
    described = describe_error(caught.value)
    assert key not in described.message + described.traceback + repr(caught.value) + str(caught.value.data)
    return caught.value


def ask(provider, model="m", **facts):
    return provider.write(TextRequest(prompt="Hello", model=model, **facts))


def test_a_text_comes_with_its_model_its_tokens_and_its_request(provider, vendor, server):
    """Tokens are apart: input, of it cached, output; the id of the request is the vendor's."""
    result = ask(provider, system="Be kind", temperature=0.5, max_tokens=9, key="k/1")
    used = result.usage
    assert (result.text, result.finish) == ("Hello by m", "stop")
    assert (used.provider, used.model, used.tokens, used.cost) == (vendor.name, "m-2026", 14, None)
    assert (used.input_tokens, used.cached_tokens, used.output_tokens, used.image_tokens) == (8, 2, 6, None)
    assert used.request_id == "req-1"
    ((path, body, headers),) = server.requests
    assert "Be kind" in str(body)
    assert headers["idempotency-key"] == "k/1"
    assert KEY in (headers.get("x-api-key"), headers.get("x-goog-api-key"), headers.get("authorization", "")[7:])
    assert path in ("/v1/messages", "/v1beta/models/m:generateContent", "/v1/chat/completions")


def test_a_seed_is_sent_as_the_vendor_calls_it(provider, vendor, server):
    """A vendor that takes none is sent none, and the usage says so."""
    result = ask(provider, seed=5, is_seeded=True)
    body = str(server.requests[0][1])
    if vendor.seed is None:
        assert "seed" not in body
        assert "takes no seed" in result.usage.notes[0]
    else:
        assert f"'{vendor.seed}': 5" in body
        assert result.usage.notes == ()
    ask(provider, seed=5, is_seeded=False)
    assert "seed" not in str(server.requests[1][1])


def test_a_seed_that_a_model_refuses_is_left_out_unless_it_was_asked_for(provider, vendor, server):
    """Told each time, tried once; one that was asked for is refused in words."""
    texts = [ask(provider, "plain", seed=5) for _ in range(2)]
    assert [text.text for text in texts] == ["Hello by plain"] * 2
    assert ["takes no seed" in text.usage.notes[0] for text in texts] == [True, True]
    assert len(server.requests) == (2 if vendor.seed is None else 3)
    if vendor.seed is not None:
        other = get_provider(
            vendor.name, environment(vendor, server) | {vendor.address_variable: f"{server.url}/other"}
        )
        error = failure(lambda: ask(other, "plain", seed=5, asked=frozenset({"seed"})))
        assert "not supported" in str(error)


def test_a_limit_that_no_user_set_is_made_smaller_where_the_model_refuses_it(server):
    """Anthropic requires one, and older models take half of what is usual; one that was set is refused in words."""
    provider = get_provider("anthropic", environment(BY_NAME["anthropic"], server))
    server.requests.clear()
    assert ask(provider, "small").usage.notes[-1] == "The model takes no limit of 8,192 tokens, so 4,096 were allowed."
    assert [body["max_tokens"] for _, body, _ in server.requests] == [8192, 4096]
    assert "max_tokens: 8192" in str(
        failure(lambda: ask(provider, "small", max_tokens=8192, asked=frozenset({"max_tokens"})))
    )


SCHEMA = {"type": "object", "properties": {"headline": {"type": "string"}}, "required": ["headline"]}


def test_a_schema_goes_as_the_vendor_takes_it(provider, server):
    """Each has a parameter of its own for it; a model that takes none gets it in words, told each time and tried once."""
    ask(provider, schema=SCHEMA)
    ((_, body, _),) = server.requests
    assert "headline" in str(body)
    assert any(name in str(body) for name in SCHEMAS)
    server.requests.clear()
    asked = [ask(provider, "schemaless", schema=SCHEMA, is_seeded=False) for _ in range(2)]
    assert ["stands in the prompt" in each.usage.notes[0] for each in asked] == [True, True]
    assert ["Answer with one JSON object" in str(body) for _, body, _ in server.requests] == [False, True, True]


def test_only_the_given_environment_counts(vendor, server, monkeypatch):
    """The libraries read this process's variables too, which may be those of another kernel: keys, servers, headers."""
    server.requests.clear()
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY", "GOOGLE_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, "sk-of-another")
    for name in ("ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "GEMINI_BASE_URL", "MISTRAL_API_BASE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-of-another: 1")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-another")
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v9")
    for key in (f"{KEY}-first", f"{KEY}-second"):
        ask(get_provider(vendor.name, environment(vendor, server, key)))
    sent = [headers for _, _, headers in server.requests]
    assert ["-first" in str(each) for each in sent] == [True, False]
    assert ["-second" in str(each) for each in sent] == [False, True]
    assert "of-another" not in str(server.requests)
    assert "no key" in str(failure(lambda: ask(get_provider(vendor.name, {vendor.address_variable: server.url}))))


@pytest.mark.parametrize("model", ["cut", "cut-context"])
def test_a_text_that_a_limit_cut_says_so(provider, model):
    """Each vendor's word for it becomes `length`."""
    assert ask(provider, model).finish == "length"


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("bad-key", PermanentError, "_API_KEY"),
        ("no-model", PermanentError, "Check `model`"),
        ("no-quota", PermanentError, "Check plan and billing"),
        ("too-long", PermanentError, "longer than the model takes"),
        ("filtered-prompt", PermanentError, "Change the prompt"),
        ("bad-parameter", PermanentError, "Check the parameters"),
        ("elsewhere", PermanentError, "keys do not follow"),
        ("no-room", PermanentError, "Raise `max_tokens`"),
        ("refused", PermanentError, "Change the prompt"),
        ("paused", TransientError, "before it was whole"),
        ("unended", TransientError, "cannot be used"),
        ("empty", TransientError, "no text"),
        ("half-json", TransientError, "cannot be used"),
        ("list", TransientError, "cannot be used"),
        ("nothing", TransientError, "cannot be used"),
        ("web-page", TransientError, "cannot be used"),
        ("error-inside", TransientError, "cannot be used"),
        ("cut-off", AnswerLost, "it broke off"),
        ("overloaded", TransientError, "529"),
        ("broken", TransientError, "500"),
    ],
)
def test_each_failure_has_its_class_and_its_words(provider, server, model, kind, words):
    """What another try may cure is transient; all else says what to do. Each is asked once: to try again is the engine's."""
    error = failure(lambda: ask(provider, model))
    assert isinstance(error, kind), error
    assert words in str(error)
    assert len(server.requests) == 1
    assert error.usage.request_id is not None


@pytest.mark.parametrize(
    ("model", "seconds"), [("busy", 7.0), ("busy-date", 40.0), ("busy-ms", 0.25), ("busy-silent", None), ("away", 2.0)]
)
def test_a_busy_vendor_says_when_to_come_back(provider, server, model, seconds):
    """In seconds, as a date, in milliseconds; and it is asked once. What it refused took nothing."""
    error = failure(lambda: ask(provider, model))
    assert isinstance(error, TransientError)
    assert error.retry_after == seconds
    assert len(server.requests) == 1
    assert error.usage.cost == (None if model == "away" else 0.0)


@pytest.mark.parametrize("model", ["hang", "drip"])
def test_every_wait_ends(provider, model):
    """Also where the server sends a byte now and then: the time given is for the whole answer."""
    error = failure(lambda: ask(provider, model, timeout_seconds=0.2))
    assert isinstance(error, NodeTimeout)


def test_an_answer_has_a_bound(provider, monkeypatch):
    """A server that sends without end is cut off, not kept in memory until the time is over."""
    monkeypatch.setattr(calls, "MOST_BYTES", 3_000_000)
    error = failure(lambda: ask(provider, "endless"))
    assert isinstance(error, TransientError)
    assert "cannot be used" in str(error)


def test_a_server_that_is_not_there_is_a_transient_error(vendor):
    """The error names the address without the password in it, and the variable."""
    variables = {vendor.keys[0]: KEY, vendor.address_variable: f"http://me:{KEY}@127.0.0.1:9"}
    error = failure(lambda: ask(get_provider(vendor.name, variables)))
    assert isinstance(error, TransientError)
    assert "http://127.0.0.1:9 cannot be reached" in str(error)
    assert vendor.address_variable in str(error)


@pytest.mark.parametrize(
    "address", ["localhost:8000", "ftp://localhost", "https://", "http://localhost:port", "http://[::1"]
)
def test_an_address_that_is_none_is_said_to_be_none(vendor, address):
    """Before anything is asked."""
    error = failure(lambda: ask(get_provider(vendor.name, {vendor.keys[0]: KEY, vendor.address_variable: address})))
    assert isinstance(error, PermanentError)
    assert f"{vendor.address_variable} is no address" in str(error)


@pytest.mark.parametrize("key", ["sk-ключ", "sk-…0123456789", "sk-one two", "sk-one\ntwo"])
def test_a_key_that_no_header_takes_is_said_to_be_none(vendor, server, key):
    """A key that was copied with more, or with dots for its middle, is named before anything is asked."""
    error = failure(lambda: ask(get_provider(vendor.name, environment(vendor, server, key))), key)
    assert isinstance(error, PermanentError)
    assert "holds a character that no key has" in str(error)


@pytest.mark.parametrize("end", ["/", "/v1", "/v1/"])
def test_an_address_may_end_in_its_version(vendor, server, end):
    """As the vendors' own documents write it, with or without."""
    variables = environment(vendor, server) | {vendor.address_variable: server.url + end}
    assert ask(get_provider(vendor.name, variables)).text == "Hello by m"


def test_usage_that_is_not_told_is_unknown(server):
    """The library would count zero tokens."""
    used = ask(get_provider("gemini", environment(BY_NAME["gemini"], server)), "no-usage").usage
    assert (used.tokens, used.input_tokens, used.output_tokens) == (None, None, None)


def test_what_the_vendor_says_of_the_prompt_is_a_refusal(server):
    """Google refuses a prompt in an answer without any text."""
    error = failure(lambda: ask(get_provider("gemini", environment(BY_NAME["gemini"], server)), "blocked"))
    assert isinstance(error, PermanentError)
    assert "PROHIBITED_CONTENT" in str(error)


def draw(server, model=None, **facts):
    made = get_provider("gemini", environment(BY_NAME["gemini"], server))
    return made.draw(ImageRequest(prompt="A lamp", model=model, **facts))


def test_gemini_draws_in_the_shape_that_comes_closest(server):
    """The image's tokens are apart from the text's, and the usage says which shape was asked for."""
    server.requests.clear()
    result = draw(server, width=1200, height=680)
    assert Image.open(io.BytesIO(result.data)).size == (8, 8)
    assert (result.usage.output_tokens, result.usage.image_tokens) == (6, 1290)
    assert result.usage.notes == ("gemini draws shapes, not sizes: 1200x680 was drawn as 16:9.",)
    ((path, body, _),) = server.requests
    assert path == f"/v1beta/models/{BY_NAME['gemini'].image_model}:generateContent"
    assert body["generationConfig"]["imageConfig"] == {"aspectRatio": "16:9"}


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("talks", PermanentError, "wrote in place of drawing: A lamp by talks"),
        ("no-image", TransientError, "no image"),
        ("half-image", TransientError, "cannot be used"),
        ("refused", PermanentError, "Change the prompt"),
    ],
)
def test_an_answer_without_an_image_is_sorted(server, model, kind, words):
    """A text, nothing, half an image and a refusal each have their words."""
    error = failure(lambda: draw(server, model))
    assert isinstance(error, kind)
    assert words in str(error)


@pytest.mark.parametrize("name", [vendor.name for vendor in VENDORS if vendor.capabilities.draws is False])
def test_a_vendor_that_makes_no_images_says_so(server, name):
    """Without a request."""
    server.requests.clear()
    error = failure(
        lambda: get_provider(name, environment(BY_NAME[name], server)).draw(ImageRequest(prompt="A lamp", model="m"))
    )
    assert "makes no images here" in str(error)
    assert server.requests == []
