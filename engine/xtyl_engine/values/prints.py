"""What one attempt printed, as text: the first and last 32 KB, as a terminal would show it in the end. Bytes come in as they are
written, cut anywhere; what is kept can be stored in any database. It reads no pipe and stores nothing.
"""

from __future__ import annotations

import codecs
import re
import threading
from collections import deque
from dataclasses import dataclass

from xtyl_engine.values.masking import Mask

KEPT_BYTES = 32 * 1024
# Programs that draw several bars move the cursor up among the last lines.
SCREEN_LINES = 24
# A line that does not end is kept in parts. No secret that is longer than the overlap is found across two.
PART_CHARACTERS, OVERLAP_CHARACTERS = 128 * 1024, 8 * 1024
CHUNK_BYTES = 64 * 1024
_MOVES = re.compile(r"(\r?\n|\r|\x1b\[[0-9]{0,3}A)")
_ESCAPES = re.compile(
    r"\x1b\[(?![0-9]{0,3}A)[0-?]{0,64}[ -/]{0,8}[@-~]"  # colours, clearing, other moves
    r"|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)"  # titles and links
    r"|\x1b[ -/]{0,8}[0-Z\\`-~]"
)
_CUT_ESCAPE = re.compile(r"\x1b(?:[ -/]{0,8}|\[[0-?]{0,64}[ -/]{0,8}|[\]PX^_][^\x07\x1b]{0,4096}\x1b?)\Z")
_UNSEEN = re.compile(r"[\0-\x07\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What an attempt has printed so far, without secrets, and how far it said it was: `done` of `of`."""

    text: str
    done: float | None = None
    of: float | None = None


class Prints:
    """Takes what one attempt writes to its standard output and error. Safe to share between threads."""

    def __init__(self, mask: Mask | None = None):
        self._mask = mask or Mask()
        self._lock = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._cut = ""
        # The lines that the cursor may still reach, the one it is in, and whether a text there begins the line anew.
        self._lines, self._at, self._is_anew = [""], 0, False
        self._first: list[str] = []
        self._last: deque[str] = deque()
        self._first_size = self._last_size = self._size = 0
        self._progress: tuple[float, float | None] | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes that were written."""
        with self._lock:
            for start in range(0, len(data), CHUNK_BYTES):
                self._write(self._decoder.decode(data[start : start + CHUNK_BYTES]))

    def tell(self, done: float, of: float | None) -> None:
        """Take how far the attempt says it is."""
        with self._lock:
            self._progress = (done, of)

    def printed(self, *, is_live: bool = False) -> Printed:
        """What is kept. `is_live` says that more may follow: then a secret whose end is missing is not shown yet."""
        with self._lock:
            if not is_live:
                self._write(self._decoder.decode(b"", final=True))
            done, of = self._progress or (None, None)
            text = self._text()
        return Printed(text=self._mask.without_beginning(text) if is_live else text, done=done, of=of)

    def _write(self, text: str) -> None:
        if self._cut or "\x1b" in text:
            text, self._cut = self._cut + text, ""
            if cut := _CUT_ESCAPE.search(text):
                text, self._cut = text[: cut.start()], cut[0]
            text = _ESCAPES.sub("", text)
        for place, part in enumerate(_MOVES.split(text)):
            if place % 2:
                self._move(part)
            elif part:
                before = "" if self._is_anew else self._lines[self._at]
                self._lines[self._at], self._is_anew = before + _UNSEEN.sub("", part), False
                if len(self._lines[self._at]) > PART_CHARACTERS:
                    self._keep_part()

    def _move(self, move: str) -> None:
        if move.endswith("\n"):
            self._end_line()
        else:
            self._is_anew = True
            self._at -= 0 if move == "\r" else min(self._at, int(move[2:-1] or 1))

    def _end_line(self) -> None:
        self._at += 1
        # Down from a line that the cursor went up to, there is a text already, which the next one takes the place of.
        self._is_anew = self._at < len(self._lines)
        if not self._is_anew:
            self._lines.append("")
        if len(self._lines) > SCREEN_LINES:
            self._keep(_line(self._lines.pop(0)) + "\n")
            self._at -= 1

    def _keep_part(self) -> None:
        for line in self._lines[: self._at]:
            self._keep(_line(line) + "\n")
        line = self._lines[self._at]
        # Only a secret across the cut is hidden now; the others are found in the end.
        end = self._mask.hide(line[-2 * OVERLAP_CHARACTERS :])
        self._keep(line[: -2 * OVERLAP_CHARACTERS] + end[:-OVERLAP_CHARACTERS])
        self._lines, self._at = [end[-OVERLAP_CHARACTERS:], *self._lines[self._at + 1 :]], 0

    def _keep(self, text: str) -> None:
        self._size += len(text)
        if self._first_size < KEPT_BYTES:
            self._first.append(text)
            self._first_size += len(text)
            return
        self._last.append(text)
        self._last_size += len(text)
        while self._last_size - len(self._last[0]) >= KEPT_BYTES:
            self._last_size -= len(self._last.popleft())

    def _text(self) -> str:
        shown = "\n".join(map(_line, self._lines)).rstrip()
        size = self._size + len(shown)
        first, last = "".join(self._first), "".join(self._last) + shown
        if self._size == self._first_size + self._last_size:
            whole = self._mask.hide(first + last).rstrip()
            if len(whole.encode()) <= 2 * KEPT_BYTES:
                return whole
            first = last = whole
            size = len(whole)
        else:
            first, last = self._mask.hide(first), self._mask.hide(last)
        first = first.encode()[:KEPT_BYTES].decode(errors="ignore")
        last = last.encode()[-KEPT_BYTES:].decode(errors="ignore")
        return f"{first}\n... {size - len(first) - len(last):,} characters left out ...\n{last}"


def _line(text: str) -> str:
    """A line with its backspaces carried out, without blanks at its end."""
    if "\b" in text:
        kept: list[str] = []
        for char in text:
            if char != "\b":
                kept.append(char)
            elif kept:
                kept.pop()
        text = "".join(kept)
    return text.rstrip()
