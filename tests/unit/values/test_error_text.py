"""Exceptions become text that shows the user's code, whatever the exception does."""

from pathlib import Path

import pytest

from xtyl_engine.errors import PermanentError
from xtyl_engine.functions.loading import load_reference
from xtyl_engine.values.error_text import MAX_MESSAGE, MAX_TRACEBACK, describe_error


class Mute(Exception):
    def __str__(self):
        raise SystemExit("even this")

    __repr__ = __str__


def caught(action):
    with pytest.raises(BaseException) as info:
        action()
    return info.value


def raise_(error):
    raise error


def test_type_message_and_traceback_are_kept():
    """An ordinary exception gives its type, message and the line that raised it."""
    text = describe_error(caught(lambda: 1 / 0))
    assert (text.type, text.message) == ("ZeroDivisionError", "division by zero")
    assert "1 / 0" in text.traceback


def test_an_exception_whose_text_raises_is_described():
    """A `str` that raises, even SystemExit, does not escape."""
    text = describe_error(caught(lambda: raise_(Mute())))
    assert "Mute" in text.type
    assert "raised SystemExit" in text.message
    assert "Mute" in text.traceback


def test_our_frames_are_trimmed():
    """The engine's own frames and the import system's are left out where the user's remain."""
    error = caught(lambda: load_reference("no_such_module_anywhere:f"))
    assert "functions.py" not in describe_error(error).traceback
    assert Path(__file__).name in describe_error(error).traceback


def test_a_wrapped_traceback_is_preferred():
    """An engine error that brings the user's traceback shows that one."""
    text = describe_error(PermanentError("score() raised", traceback="Traceback of the user\n"))
    assert text.traceback == "Traceback of the user\n"


def test_text_is_capped_and_storable():
    """Long texts are capped with both ends kept; NUL and lone surrogates are replaced."""
    text = describe_error(ValueError("start\0\ud800" + "x" * 100_000 + "end"))
    assert len(text.message) < MAX_MESSAGE + 100
    assert len(text.traceback) < MAX_TRACEBACK + 100
    assert text.message.startswith("start")
    assert text.message.endswith("end")
    assert "\0" not in text.message + text.traceback
    (text.message + text.traceback).encode()


def test_endless_recursion_is_described():
    """A RecursionError's thousand frames are folded."""

    def loop():
        return loop()

    text = describe_error(caught(loop))
    assert text.type == "RecursionError"
    assert "more times" in text.traceback
