"""What the words of errors have in common."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtyl_engine.errors import PermanentError, TransientError, WorkflowException, visible, visible_line, with_article
from xtyl_engine.providers.base import Usage


@pytest.mark.parametrize("noun", ["an int", "an Image", "an ndarray", "a str", "a UUID", "a NoneType"])
def test_a_noun_has_its_article(noun: str) -> None:
    """It is chosen by the word: by its first sound, as far as letters tell."""
    assert with_article(noun.split()[1]) == noun


ACTING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
ATTACKS = st.sampled_from(
    ["\x1b]0;owned\a", "\x9b31m", "\x1b[2J", "\u202e", "\u2066", "\r", "\b", "\x7f", "\ud800", "\0"]
)


@settings(max_examples=60)
@given(st.lists(ATTACKS | st.text(max_size=5), max_size=8).map("".join))
def test_no_text_acts_on_a_terminal(text: str) -> None:
    """Neither alone nor in an error: what would act is in sight, and all else is as it was."""
    for shown in (visible(text), str(WorkflowException(text, hint=text, node=text))):
        assert not ACTING.search(shown)
    assert len(visible_line(text).splitlines()) <= 1
    if not ACTING.search(text):
        assert visible(text) == text


def test_what_acts_is_shown_as_python_writes_it() -> None:
    """Lines, tabs, accents and signs of several characters stay."""
    assert visible("a\x1b[31mb\u202ec\x9b") == r"a\x1b[31mb\u202ec\x9b"
    assert visible("é\tü\r\n👩‍👩‍👧") == "é\tü\n👩‍👩‍👧"


def test_an_error_may_say_what_its_request_had_used() -> None:
    """It is beside the error's data, which describe what went wrong."""
    used = Usage(provider="p", model="m", input_tokens=5, output_tokens=0)
    for kind in (TransientError, PermanentError):
        found = kind("cut", usage=used, where="here")
        assert (found.usage, found.data, kind("cut").usage) == (used, {"where": "here"}, None)
