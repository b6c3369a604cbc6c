"""Texts and images in each of the shapes that were seen, and what comes in their place: said in words, with what it cost."""

import base64
import json

import pytest

from openai_server import openai_server, png
from xtyl_engine.errors import PermanentError, TransientError
from xtyl_engine.providers.base import ImageRequest, TextRequest
from xtyl_engine.providers.openai import clients
from xtyl_engine.providers.registry import get_provider

USAGE = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}
# Both letters that the alphabets differ in are in it.
PNG = png(18, 13)


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
    server.answers.clear()
    return get_provider("openai", {"OPENAI_API_KEY": "sk-canary-0123456789", "OPENAI_BASE_URL": server.url})


@pytest.fixture
def answer(server):
    """Sets how the server answers a model."""

    def set_answer(model, body, status=200, **headers):
        server.answers[model] = (status, body, {name.replace("_", "-"): value for name, value in headers.items()})

    return set_answer


def completion(message, finish="stop", **more):
    choice = {"index": 0, "finish_reason": finish, "message": message, **more}
    return json.dumps({"id": "c", "model": "m-1", "choices": [choice], "usage": USAGE})


def write(provider, answer, body, **how):
    answer("m", body, **how)
    return provider.write(TextRequest(prompt="Hello", model="m"))


def failed(kind, action):
    with pytest.raises((PermanentError, TransientError)) as caught:
        action()
    assert isinstance(caught.value, kind), caught.value
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        "Light that stays",
        [{"type": "text", "text": "Light "}, {"type": "text", "text": "that stays"}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Light that stays"}],
        [{"type": "output_text", "text": "Light that stays", "annotations": []}],
        ["Light ", "that stays"],
        [{"text": "Light that stays"}],
    ],
)  # fmt: skip
def test_a_text_may_come_in_parts(provider, answer, content):
    """They are one text, without what the model thought before."""
    result = write(provider, answer, completion({"role": "assistant", "content": content}))
    assert result.text == "Light that stays"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (5, 6)


@pytest.mark.parametrize(
    ("message", "finish", "words"),
    [
        ({"content": None, "tool_calls": [{"function": {"name": "search", "arguments": "{}"}}]}, "tool_calls", "'search'"),
        ({"content": "", "tool_calls": "odd"}, "tool_calls", "called a tool"),
        ({"content": None, "function_call": {"name": "look"}}, "function_call", "'look'"),
        ({"content": "", "reasoning_content": "hm"}, "stop", "reasoned, and wrote no answer"),
        ({"content": None, "reasoning": "hm"}, "stop", "reasoned, and wrote no answer"),
        ({"content": "", "reasoning_content": "hm"}, "length", "max_tokens"),
        ({"content": [{"type": "image_url", "image_url": {}}]}, "stop", "image_url instead of a text"),
        ({"content": [{"type": "refusal", "refusal": "I will not"}]}, "stop", "I will not"),
        ({"content": None, "refusal": "I will not"}, "stop", "I will not"),
        ({"content": "half of it"}, "content_filter", "content filter"),
    ],
)  # fmt: skip
def test_what_comes_in_place_of_a_text_is_said_once(provider, server, answer, message, finish, words):
    """Another try would be paid for, and mostly give the same; what this one took stands in the error."""
    error = failed(PermanentError, lambda: write(provider, answer, completion(message, finish), x_request_id="req-9"))
    assert words in str(error)
    assert len(server.requests) == 1
    assert (error.usage.tokens, error.usage.model, error.usage.request_id) == (11, "m-1", "req-9")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (completion({"content": ""}), "its message is empty"),
        (completion({"content": [{"type": "text", "text": " "}]}), "its message is empty"),
        (completion({"content": "half"}, "error", error={"message": "lost upstream"}), "lost upstream"),
        ('{"choices": [{"message": 7}]}', "no message"),
        ('{"error": "the model is being loaded"}', "the model is being loaded"),
        ('{"error": {"message": "Provider returned error", "code": 502}}', "answered 502: Provider"),
        ('[{"error": {"message": "slow down", "code": 429}}]', "answered 429: slow down"),
        ("", "no message"),
        ("<html><body>Please log in</body></html>", "Please log in"),
    ],
)
def test_what_another_try_may_cure_keeps_the_servers_words(provider, answer, body, words):
    """Also where the server puts its error into an answer that is in order for HTTP."""
    assert words in str(failed(TransientError, lambda: write(provider, answer, body)))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error": {"message": "no such deployment", "code": 404}}', "no such deployment"),
        ('{"error": {"message": "too rude", "code": "content_filter"}}', "content policy"),
        ('{"error": {"message": "no more", "code": "insufficient_quota"}}', "quota is used up"),
    ],
)
def test_a_refusal_in_a_success_is_sorted_as_if_it_were_none(provider, answer, body, words):
    """By the status or the code that it holds."""
    assert words in str(failed(PermanentError, lambda: write(provider, answer, body)))


@pytest.mark.parametrize(
    "body", ['{"error": "the key is stale"}', "the key is stale", '{"detail": "the key is stale"}']
)
def test_the_servers_reason_is_kept(provider, answer, body):
    """In whichever form it comes, with what to do and the request's name, for those who ask the provider."""
    error = failed(PermanentError, lambda: write(provider, answer, body, status=401, x_request_id="req-7"))
    assert "the server answered 401: the key is stale" in str(error)
    assert "OPENAI_API_KEY" in str(error)
    assert (error.usage.request_id, error.usage.tokens) == ("req-7", None)


def test_a_gateways_time_to_come_back_is_kept(provider, server, answer):
    """By its own header, or in the document as Google says it."""
    server.answers["m"] = (429, '{"error": "busy"}', {"llm_provider-retry-after": "7"})
    assert failed(TransientError, lambda: provider.write(TextRequest(prompt="x", model="m"))).retry_after == 7.0
    busy = [{"error": {"message": "busy", "code": 429, "details": [{"retryDelay": "12s"}]}}]
    error = failed(TransientError, lambda: write(provider, answer, json.dumps(busy), status=429))
    assert error.retry_after == 12.0


def url_alphabet(encoded):
    return encoded.replace("+", "-").replace("/", "_")


@pytest.mark.parametrize(
    "entry",
    [
        {"b64_json": PNG},
        {"b64_json": f"data:image/png;base64,{PNG}"},
        {"b64_json": "\r\n".join(PNG[at : at + 20] for at in range(0, len(PNG), 20))},
        {"b64_json": url_alphabet(PNG)},
        {"b64_json": url_alphabet(PNG).rstrip("=")},
        {"b64_json": None, "url": f"data:image/png;base64,{PNG}"},
        {"b64_json": "", "url": f"data:image/png;base64,{PNG}"},
    ],
)
def test_an_image_may_come_in_any_base64(provider, answer, entry):
    """With a prefix, in lines, in the alphabet of URLs, without its end's marks, or as a link that holds it."""
    answer("m", json.dumps({"data": [entry]}))
    assert provider.draw(ImageRequest(prompt="A lamp", model="m")).data == base64.b64decode(PNG)


@pytest.mark.parametrize("encoded", [PNG[: len(PNG) // 2].rstrip("=") + "A", "data:image/png;base64,", "?", "é"])
def test_half_an_image_is_none(provider, answer, encoded):
    """It is paid for and cannot be used, and another try may give a whole one."""
    answer("m", json.dumps({"data": [{"b64_json": encoded}], "usage": {"input_tokens": 5, "output_tokens": 100}}))
    error = failed(TransientError, lambda: provider.draw(ImageRequest(prompt="A lamp", model="m")))
    assert "not whole base64" in str(error)
    assert error.usage.image_tokens == 100


@pytest.mark.parametrize("cut", ["chunked", "short"])
def test_an_answer_that_breaks_off_is_never_whole(provider, server, cut):
    """Neither where its length was said before, nor where it comes in pieces and the last one is missing."""
    body = completion({"content": "Light"})
    headers = {"Transfer-Encoding": "chunked"} if cut == "chunked" else {"Content-Length": str(len(body) + 9)}
    text = f"{len(body):x}\r\n{body}\r\n" if cut == "chunked" else body
    server.answers["m"] = (200, text, headers)
    error = failed(TransientError, lambda: provider.write(TextRequest(prompt="Hello", model="m")))
    assert server.url in str(error)


def test_a_step_of_any_name_has_a_key(provider, server):
    """The idempotency key holds the step's name, and goes in a header; keys of plain names are sent as they are."""
    for key in ("run/überschrift/0/0", "run/a b-c_d.e/0/0"):
        provider.write(TextRequest(prompt="Hello", model="plain", key=key))
    sent = [headers["idempotency-key"] for *_, headers in server.requests]
    assert sent == ["run/%C3%BCberschrift/0/0", "run/a b-c_d.e/0/0"]


@pytest.mark.parametrize(
    ("status", "body", "cost"),
    [
        (401, {"error": {"message": "no such key"}}, 0.0),
        (429, {"error": {"message": "too many", "code": "insufficient_quota"}}, 0.0),
        (429, {"error": "slow down"}, 0.0),
        (200, {"error": {"message": "no such model", "code": 404}}, 0.0),
        (400, {"error": {"message": "filtered"}, "usage": USAGE}, None),
        (408, {"error": "no answer in time"}, None),
        (500, {"error": "down"}, None),
        (200, {"error": "down"}, None),
    ],
)
def test_a_request_that_was_refused_took_nothing(provider, answer, status, body, cost):
    """Also where the refusal has a name that is kept; what a server that failed, or that tells of tokens, takes is not known."""
    error = failed(
        (PermanentError, TransientError),
        lambda: write(provider, answer, json.dumps(body), status=status, x_request_id="r-1"),
    )
    assert (error.usage.cost, error.usage.request_id) == (cost, "r-1")
