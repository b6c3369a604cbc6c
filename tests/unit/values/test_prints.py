"""What is kept of what an attempt printed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtyl_engine.values.masking import HIDDEN, Mask
from xtyl_engine.values.prints import KEPT_BYTES, Printed, Prints

MASK = Mask({"STRIPE_KEY": "hunter2-hunter2"})
LEFT_OUT = re.compile(r"\n\.\.\. ([\d,]+) characters left out \.\.\.\n")


def text_of(*written: bytes | str) -> str:
    """What is kept of these writes."""
    prints = Prints(MASK)
    for each in written:
        prints.feed(each.encode("utf-8", "surrogatepass") if isinstance(each, str) else each)
    return prints.printed().text


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["one\n", "two\n"], "one\ntwo"),
        (["Windows\r", "\nends\r\n"], "Windows\nends"),
        ([" 10%|#   |", "\r 50%|##  |", "\r100%|####|\n", "done\n"], "100%|####|\ndone"),
        (["waits\r", "\n"], "waits"),
        (["longer line\rshort\n"], "short"),
        (["\x1b[31mred\x1b[0m and \x1b]8;;http://x.org\x07link\x1b]8;;\x07\n"], "red and link"),
        (["cut \x1b", "[1", "mescape\n"], "cut escape"),
        (["spins |\b/\b-\b\\\b done\n"], "spins  done"),
        (["outer 0%\n", "\rinner 10%\x1b[A", "\n\rinner 90%\x1b[A", "\router 9%\n", "\rinner 100%\n"], "outer 9%\ninner 100%"),
        ([b"caf\xc3", b"\xa9 \xe2\x82", b"\xac\n"], "café €"),
        ([b"cut for ever \xe2\x82"], "cut for ever \ufffd"),
        (["NUL \0 bell \a\n"], "NUL  bell"),
        (["half \ud800 pair\n"], "half \ufffd\ufffd\ufffd pair"),
        (["tab\tstays  \n\n\n"], "tab\tstays"),
        (["the key is hunter2", "-hunter2, token=abc\n"], f"the key is {HIDDEN}, token={HIDDEN}"),
    ],
)  # fmt: skip
def test_a_text_is_kept_as_a_terminal_shows_it_in_the_end(written: Iterable[bytes | str], kept: str) -> None:
    """Bars that are drawn over each other leave the last one; what no database takes or that tells a secret is replaced."""
    assert text_of(*written) == kept


def test_the_middle_of_a_long_text_is_left_out() -> None:
    """The first and the last 32 KB stay, and between them is said how much is missing."""
    lines = [f"line {number}\n" for number in range(20_000)]
    kept = text_of(*lines)
    assert kept.startswith("line 0\nline 1\n")
    assert kept.endswith("line 19998\nline 19999")
    (left,) = LEFT_OUT.findall(kept)
    shown = len(LEFT_OUT.sub("", kept))
    assert shown == 2 * KEPT_BYTES
    assert int(left.replace(",", "")) == len("".join(lines)) - 1 - shown


def test_a_text_of_just_the_limit_is_whole() -> None:
    """Nothing is left out of 64 KB, and of one more byte as little as that."""
    whole = ("é" * 31 + "\n") * (2 * KEPT_BYTES // 63)
    assert text_of(whole) == whole.rstrip()
    assert LEFT_OUT.search(text_of("x" * (2 * KEPT_BYTES))) is None
    assert LEFT_OUT.findall(text_of("x" * (2 * KEPT_BYTES + 1))) == ["1"]


def test_a_line_without_an_end_takes_bounded_memory() -> None:
    """Of 20 MB without a line end the first and last 32 KB are kept, also where they came in one write."""
    for written in ([b"a" + b"x" * 20_000_000 + b"z"], [b"a", *[b"x" * 1_000_000] * 20, b"z"]):
        kept = text_of(*written)
        assert len(kept) < 2 * KEPT_BYTES + 100
        assert (kept[0], kept[-1]) == ("a", "z")


@settings(max_examples=40)
@given(st.integers(0, 300_000), st.sampled_from([1, 40, 4_000]), st.sampled_from(["", "\n"]))
def test_no_part_of_a_secret_is_kept_wherever_the_text_is_cut(before: int, width: int, end: str) -> None:
    """A secret that lies where the middle begins or ends, or where a long line is kept in parts, is hidden whole."""
    filling = "." * width + end
    text = filling * (before // len(filling)) + "hunter2-hunter2" + filling * (100_000 // width // len(filling) * width)
    assert "hunter2" not in text_of(text)


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_any_bytes_become_a_text_that_every_database_takes(written: list[bytes]) -> None:
    """Whatever is written, in whatever pieces, the text is valid Unicode without control characters."""
    text = text_of(*written)
    assert text.encode("utf-8").decode() == text
    assert not re.search(r"[\0-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_what_is_still_written_hides_a_secret_that_has_begun() -> None:
    """A look in between shows no part of a value, and changes nothing of what is kept in the end."""
    prints = Prints(MASK)
    prints.feed(b"key hunter2-hun")
    assert prints.printed(is_live=True).text == "key "
    prints.feed(b"ted \xe2\x82")
    assert prints.printed(is_live=True).text == "key hunter2-hunted"
    prints.feed(b"\xac")
    assert prints.printed().text == "key hunter2-hunted €"


def test_progress_is_the_last_that_was_told() -> None:
    """It is kept beside the text, and also without any."""
    prints = Prints()
    assert prints.printed() == Printed(text="")
    prints.tell(3, 10)
    prints.tell(4, 10)
    assert prints.printed() == Printed(text="", done=4, of=10)
