"""What a reply says that it took: apart where it tells it apart, unknown where it does not or contradicts itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtyl_engine.providers.openai.replies import read_reply, read_usage

NAMES = ("tokens", "input_tokens", "cached_tokens", "output_tokens", "image_tokens")


def counts(usage, **document):
    found = read_usage({"usage": usage, **document}, {}, "openai", "m")
    return tuple(getattr(found, name) for name in NAMES)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}, (11, 5, None, 6, None)),
        ({"prompt_tokens": 5, "completion_tokens": 6}, (11, 5, None, 6, None)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}}, (10, 9, 8, 1, None)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, (10, 9, 4, 1, None)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}}, (10, 9, None, 1, None)),
        # Reasoning that only the total counts.
        ({"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 111}, (111, 5, None, 106, None)),
        ({"input_tokens": 5, "output_tokens": 6}, (11, 5, None, 6, None)),
        ({"total_tokens": 11}, (11, None, None, None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (None,) * 5),
        ({"prompt_tokens": 50, "completion_tokens": 60, "total_tokens": 7}, (None,) * 5),
        ({"prompt_tokens": -5, "completion_tokens": "6", "total_tokens": True}, (None,) * 5),
        ({"prompt_tokens": 5.5, "completion_tokens": None, "prompt_tokens_details": 3}, (None,) * 5),
        (None, (None,) * 5),
        ("many", (None,) * 5),
    ],
)  # fmt: skip
def test_tokens_are_told_apart(usage, expected):
    """Of texts; what cannot be right is unknown and not a number."""
    assert counts(usage, choices=[]) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 100, "total_tokens": 105}, (105, 5, None, 0, 100)),
        (
            {"input_tokens": 5, "output_tokens": 110, "output_tokens_details": {"image_tokens": 100, "text_tokens": 10}},
            (115, 5, None, 10, 100),
        ),
        ({"output_tokens_details": {"image_tokens": 100}}, (None,) * 5),
        (None, (None,) * 5),
    ],
)  # fmt: skip
def test_tokens_of_an_image_are_told_apart(usage, expected):
    """What an image's answer writes is the image, where it does not say otherwise."""
    assert counts(usage, data=[{}]) == expected


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        ({"cost": 0.25}, 0.25),
        ({"cost": 0}, 0.0),
        ({"cost": {"total_cost": 0.5}}, 0.5),
        ({"cost": 0.25, "is_byok": True}, None),
        ({"cost": "free"}, None),
        ({"cost": -1}, None),
        ({"cost": float("nan")}, None),
        ({}, None),
    ],
)
def test_a_cost_that_the_server_says_is_taken(told, cost):
    """In dollars; one that it does not say is unknown."""
    assert read_usage({"usage": told}, {}, "openai", "m").cost == cost


@pytest.mark.parametrize(
    ("headers", "document", "name"),
    [
        ({"x-request-id": "req-1"}, {"id": "chatcmpl-1"}, "req-1"),
        ({"request-id": "req-2"}, {}, "req-2"),
        ({"apim-request-id": "req-3"}, "oops", "req-3"),
        ({}, {"id": "gen-4"}, "gen-4"),
        ({}, {"id": 7}, None),
        ({}, [], None),
    ],
)
def test_a_request_has_the_servers_name(headers, document, name):
    """By the header of its kind, else by the answer's own."""
    assert read_usage(document, headers, "openai", "m").request_id == name


@pytest.mark.parametrize(
    ("document", "is_refusal"),
    [
        ({"choices": [{}], "error": None}, False),
        ({"choices": [{}], "error": {"message": "no"}}, False),
        ({"error": "no"}, True),
        ({"error": {"message": "no", "code": 502}, "choices": None}, True),
        ([{"error": {"message": "no"}}], True),
        ({"object": "error", "message": "no"}, True),
        ({"detail": "no"}, True),
        ([], False),
        ([1, 2], False),
        ({}, False),
        ("text", False),
    ],
)
def test_a_refusal_may_come_as_a_success(document, is_refusal):
    """An answer in order for HTTP holds what was asked for, or says why not."""
    assert (read_reply(200, {}, document, "openai", "m", "").reason is not None) is is_refusal


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "output_tokens"]),
        st.integers(-2, 30) | st.none() | st.floats() | st.text(max_size=2) | st.booleans(),
    ),
    st.booleans(),
)
def test_counts_never_contradict_each_other(usage, is_image):
    """Where the parts are known they make up the total."""
    tokens, into, _, out, image = counts(usage, data=[{}] if is_image else None)
    if None not in (into, out):
        assert tokens == into + out + (image or 0)
    assert all(each is None or each >= 0 for each in (tokens, into, out, image))
