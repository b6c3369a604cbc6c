"""What kinds of servers refuse: left out or respelt where the user did not ask for it, refused in words where the user did."""

from itertools import count

import pytest

from kinds_of_servers import KINDS
from openai_server import openai_server
from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.base import ImageRequest, TextRequest
from xtyl_engine.providers.openai import clients
from xtyl_engine.providers.openai.refusals import negotiated
from xtyl_engine.providers.openai.replies import read_reply
from xtyl_engine.providers.registry import get_provider

IMAGES = ("n", "size", "response_format")
DRAWING = [kind for kind, known in KINDS.items() if known.no_images is None]
NUMBERS = count()


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


@pytest.fixture
def name():
    """A name of which this process knows nothing yet."""
    return f"m{next(NUMBERS)}"


def written(provider, model, *asked, **parameters):
    return provider.write(TextRequest(prompt="Hello", model=model, key="k/1", asked=frozenset(asked), **parameters))


def drawn(provider, model, *asked):
    return provider.draw(ImageRequest(prompt="A lamp", model=model, key="k/1", asked=frozenset(asked)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_nobody_asked_for_is_left_out(provider, server, kind, name):
    """The refusal costs one request of the first job, none of those that follow, and each says what was left out."""
    refuses = "seed" in KINDS[kind].refuses
    for number in range(2):
        server.requests.clear()
        result = written(provider, f"{kind}/{name}", seed=3)
        assert result.text == f"Hello by {kind}/{name}"
        assert [("seed" in body) for _, body, _ in server.requests] == ([True, False][number:] if refuses else [True])
        assert [f"`seed` was left out: {kind}/{name} refuses it."][: int(refuses)] == list(result.usage.notes)
    assert {headers["idempotency-key"] for *_, headers in server.requests} == {"k/1"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parameter", ["seed", "temperature"])
def test_what_the_user_asked_for_is_refused_in_words(provider, server, kind, name, parameter):
    """The error names the parameter, the model and the server's own words; nothing is sent a second time, nothing is left out."""
    value = {"seed": 3} if parameter == "seed" else {"temperature": 0.2, "is_seeded": False}
    if parameter not in KINDS[kind].refuses:
        assert written(provider, f"{kind}/{name}", parameter, **value).usage.notes == ()
        return
    for number in range(1, 3):
        with pytest.raises(PermanentError) as caught:
            written(provider, f"{kind}/{name}", parameter, **value)
        assert f"{kind}/{name} refuses `{parameter}`" in str(caught.value)
        assert f"answered {KINDS[kind].status}" in str(caught.value)
        assert len(server.requests) == number


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_on_tokens_is_respelt(provider, server, kind, name):
    """It means the same under both names, so that it is respelt also where the user set it."""
    for _ in range(2):
        result = written(provider, f"{kind}/{name}", "max_tokens", max_tokens=9, is_seeded=False)
    last = server.requests[-1][1]
    is_respelt = "max_tokens" in KINDS[kind].refuses
    assert last["max_completion_tokens" if is_respelt else "max_tokens"] == 9
    assert len(server.requests) == 2 + is_respelt
    assert ["as `max_completion_tokens`" in note for note in result.usage.notes] == [True] * is_respelt


SCHEMA = {"type": "object", "properties": {"line": {"type": "string"}}, "required": ["line"]}
NAMED = '{"error": {"message": "Invalid schema for response_format", "param": "response_format.json_schema"}}'


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_that_is_refused_stands_in_the_prompt(provider, server, kind, name):
    """It is sent strictly as a parameter where the server takes that, else in words, remembered and told."""
    refuses = "response_format" in KINDS[kind].refuses
    for number in range(2):
        server.requests.clear()
        result = written(provider, f"{kind}/{name}", schema=SCHEMA, is_seeded=False)
        sent = [
            (body.get("response_format"), "JSON Schema" in body["messages"][-1]["content"])
            for _, body, _ in server.requests
        ]
        strict = {"name": "answer", "schema": {**SCHEMA, "additionalProperties": False}, "strict": True}
        asked = ({"type": "json_schema", "json_schema": strict}, False)
        assert sent == ([asked, (None, True)][number:] if refuses else [asked])
        assert ("The schema stands in the prompt instead." in result.usage.notes) is refuses


def test_a_refusal_may_name_a_place_in_the_schema(provider, server, answer, name):
    """What a server says of a part of the schema is about the schema."""
    answer("particular", NAMED, 400)
    with pytest.raises(PermanentError, match="Invalid schema"):
        written(provider, "particular", schema=SCHEMA, is_seeded=False)
    assert ["response_format" in body for _, body, _ in server.requests] == [True, False]


@pytest.mark.parametrize("kind", DRAWING)
def test_an_image_is_asked_for_as_the_server_takes_it(provider, server, kind, name):
    """Of all that an image's request holds nothing was asked for but the prompt, and what is refused is left out."""
    refused = [name for name in IMAGES if name in KINDS[kind].refuses]
    for _ in range(2):
        result = drawn(provider, f"{kind}/{name}")
    assert result.data.startswith(b"\x89PNG")
    assert set(server.requests[-1][1]) == {"model", "prompt", *IMAGES} - set(refused)
    assert len(server.requests) == 2 + len(refused)
    assert len(result.usage.notes) == len(refused)


@pytest.mark.parametrize("kind", DRAWING)
@pytest.mark.parametrize("parameter", ["size", "seed"])
def test_an_image_that_cannot_be_as_asked_for_is_refused(provider, kind, name, parameter):
    """A size that the user set, or a seed, is not silently another one."""
    if parameter not in KINDS[kind].refuses:
        assert drawn(provider, f"{kind}/{name}", parameter).data
        return
    with pytest.raises(PermanentError, match=f"{kind}/{name} refuses `{parameter}`"):
        drawn(provider, f"{kind}/{name}", parameter)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(DRAWING)))
def test_a_server_without_images_is_told_apart_from_a_wrong_address(provider, server, kind, name):
    """It says what the server does not do, at the first request."""
    with pytest.raises(PermanentError, match="makes no images: it answered 404") as caught:
        drawn(provider, f"{kind}/{name}")
    assert "provider that makes images" in str(caught.value)
    assert len(server.requests) == 1


def test_all_that_a_server_names_is_left_out_at_once(provider, server, answer):
    """A refusal that names several is not learned from one by one, and ends where nothing is left to leave out."""
    answer("picky", '{"error": {"message": "neither \'n\', \'size\' nor response_format"}}', 400)
    with pytest.raises(PermanentError, match="the server answered 400: neither"):
        provider.draw(ImageRequest(prompt="A lamp", model="picky"))
    assert [len(body) for _, body, _ in server.requests] == [5, 2]


def test_what_is_known_of_models_is_bounded():
    """A process that lives for months forgets the models that it has not used for longest."""

    def asked(model):
        bodies = []

        def send(body):
            bodies.append(body)
            document: object = {"error": "seed is unknown here"} if "seed" in body else {"choices": [{}]}
            return read_reply(400 if "seed" in body else 200, {}, document, "openai", model, "")

        negotiated(send, {"seed": 1}, frozenset(), "http://here", model, "messages")
        return len(bodies)

    assert [asked("first"), asked("first")] == [2, 1]
    for number in range(1000):
        asked(f"later-{number}")
    assert asked("first") == 2
