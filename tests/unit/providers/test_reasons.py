"""What a server says is wrong, in each of the forms that were seen."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtyl_engine.providers.reasons import MOST, read_reason

WORDS = "the cure is to rest"
FIELDS = {"detail": [{"type": "missing", "loc": ["body", "x"], "msg": WORDS}]}


@pytest.mark.parametrize(
    "said",
    [
        WORDS,
        {"error": {"message": WORDS}},
        {"error": WORDS},
        {"error": {"message": "", "metadata": {"raw": WORDS, "provider_name": "far"}}},
        {"error": {"message": "Provider returned error", "metadata": {"raw": json.dumps({"error": WORDS})}}},
        {"detail": WORDS},
        FIELDS,
        {"message": WORDS},
        {"object": "error", "message": FIELDS, "type": "invalid"},
        {"message": {"error": {"msg": WORDS}}},
        [{"error": {"code": 400, "message": WORDS, "status": "INVALID_ARGUMENT"}}],
        {"type": "error", "error": {"type": "overloaded_error", "message": WORDS}},
        f"<!DOCTYPE html><html><head><style>b {{}}</style></head><body><h1>{WORDS}</h1></body></html>",
        json.dumps({"error": WORDS}),
    ],
)
def test_the_words_are_found(said):
    """Wherever they stand."""
    assert WORDS in read_reason(said).words


def test_a_field_is_named_with_its_words():
    """What is wrong is wrong somewhere."""
    assert read_reason(FIELDS).words == f"body.x: {WORDS}"


@pytest.mark.parametrize(
    ("said", "code", "parameter", "status"),
    [
        ({"error": {"message": "no", "code": "bad", "param": "n"}}, "bad", "n", None),
        ({"error": {"message": "no", "code": 429}}, "", None, 429),
        ({"error": {"message": "no", "code": "502"}}, "502", None, 502),
        ([{"error": {"code": 400, "status": "INVALID_ARGUMENT"}}], "INVALID_ARGUMENT", None, 400),
        ({"error": {"code": True, "param": 7}}, "", None, None),
        ("no", "", None, None),
    ],
)
def test_code_parameter_and_status_are_read(said, code, parameter, status):
    """Each where it is one."""
    reason = read_reason(said)
    assert (reason.code, reason.parameter, reason.status) == (code, parameter, status)


def test_a_document_may_say_when_to_come_back():
    """Google says it there and not in a header."""
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
    assert read_reason([{"error": {"message": "slow", "details": details}}]).retry_after == 34.5


def test_a_long_reason_keeps_its_end():
    """The cure often stands there; what is left out is in the middle."""
    words = read_reason({"error": {"message": f"wrong {'x' * 9000} cure"}}).words
    assert len(words) <= MOST
    assert (words[:5], words[-4:]) == ("wrong", "cure")


def test_the_secret_is_not_in_the_words():
    """Not even where the cut would have gone through it."""
    secret = "sk-canary"
    for shift in range(20):
        assert "canary" not in read_reason("x" * (MOST // 2 - shift) + secret + "x" * MOST, secret).words


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "detail", "code", "metadata", "raw", "loc"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_any_document_has_a_reason(said):
    """Whatever a server answers, there are words, and never too many."""
    assert 0 < len(read_reason(said).words) <= MOST
