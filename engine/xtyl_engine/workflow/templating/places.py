"""Where in a Jinja text something is wrong: the token that its parser stopped at, or the word that is not allowed, and the line
with a caret under it. jinja2 tells the line alone, so the text is read once more here, and only once it is known to be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import combining, east_asian_width

from jinja2 import Environment
from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser

SHOWN = 80
INDENT = "    "
_NEWLINE = re.compile(r"\r\n?")
# What stands before an expression where a block begins.
_BEFORE = re.compile(r"(?:if|elif|for\s+.+?\s+in|set\s+\w+\s*=)\s+")
_SIGNS = {
    "end of print statement": "}}",
    "end of statement block": "%}",
    "begin of print statement": "{{",
    "begin of statement block": "{%",
}
# The caret says it.
_AT = re.compile(r" at \d+$")
_EXPECTED = re.compile(r"expected token '(?P<expected>.+)', got '(?P<got>.+)'", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caret:
    """A place in a Jinja text, after its ends of lines are made one character each; `found` is the token there, and `unclosed`
    the kind of block that begins there and does not end."""

    text: str
    offset: int
    found: str = ""
    unclosed: str = ""

    @property
    def advice(self) -> str | None:
        """What to write there, where that is plain."""
        if self.unclosed:
            return f"Write `{{% end{self.unclosed} %}}` where it ends."
        is_half = (
            not self.found and self.text.startswith("}", self.offset) and not self.text.startswith("}}", self.offset)
        )
        return "Write both braces: `}}`." if is_half else None

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.offset) + 1

    @property
    def written(self) -> str:
        """What stands in the braces there, up to a filter: `product name` of `{{ product name|upper }}`."""
        begin = max(self.text.rfind("{{", 0, self.offset + 1), self.text.rfind("{%", 0, self.offset + 1))
        if begin < 0:
            return ""
        inner = re.split(r"\}\}|%\}|\||\{\{|\{%", self.text[begin + 2 : begin + 2 + 4 * SHOWN], maxsplit=1)[0]
        inner = inner.strip(" \t\n-+")
        return _BEFORE.sub("", inner, count=1).strip()

    def shown(self) -> str:
        """The line, or the part of it around the place, and a caret below the place."""
        begin = self.text.rfind("\n", 0, self.offset) + 1
        line, at = self.text[begin:].partition("\n")[0], self.offset - begin
        first = 0 if len(line) <= SHOWN else max(0, min(at - SHOWN // 2, len(line) - SHOWN))
        dots, more = "..." if first else "", "..." if first + SHOWN < len(line) else ""
        before = dots + line[first:at]
        space = "".join(each if each == "\t" else " " * _columns(each) for each in before)
        return f"{INDENT}{dots}{line[first : first + SHOWN]}{more}\n{INDENT}{space}^"


class _Placed(Token):
    """A token that knows where it stands."""

    offset: int = 0


def find_place(environment: Environment, text: str, word: str | None) -> Caret | None:
    """The place of a word that is not allowed, else the one that the parser stops at; None if it reads all of the text."""
    text = _NEWLINE.sub("\n", text)
    reading = _Lexing(environment, text)
    if word is not None:
        # The tokens before the word can be read: the text was parsed.
        found = (token for token in reading.tokens() if token.value == word and token.type == "name")
        return next((Caret(text=text, offset=token.offset, found=word) for token in found), None)
    parser = Parser(environment, "")
    try:
        parser.stream = TokenStream(reading.tokens(), None, None)
        parser.parse()
    except TemplateSyntaxError as error:
        at = parser.stream.current
        if reading.stopped is not None:
            return Caret(text=text, offset=min(reading.stopped, max(len(text) - 1, 0)))
        if isinstance(at, _Placed):
            return Caret(text=text, offset=at.offset, found=str(at.value))
        block = re.search(r"needs to be closed is '(\w+)'", error.message or "")
        end = len(text.rstrip("\n"))
        if block is None:
            return Caret(text=text, offset=end)
        return Caret(text=text, offset=_opening(reading, block[1], end), unclosed=block[1])
    return None


def plainly(message: str, place: Caret | None) -> str:
    """What jinja2's parser says, with the signs themselves in place of its names for them."""
    if place is not None and place.found and (told := _EXPECTED.fullmatch(message)):
        return f"expected {_sign(told['expected'])}, and there stands `{place.found[:SHOWN]}`"
    # jinja2 calls any text a template; here that is a stored plan.
    message = _AT.sub("", message.replace("end of template", "end of text")).removesuffix(".")
    for name, sign in _SIGNS.items():
        message = message.replace(f"'{name}'", f"`{sign}`")
    return message


def _sign(word: str) -> str:
    return "a name" if word == "name" else f"`{_SIGNS.get(word, word)[:SHOWN]}`"


class _Lexing:
    """One reading of a text; `stopped` is where no token can be read."""

    def __init__(self, environment: Environment, text: str):
        self.lexer = environment.lexer
        self.text = text
        self.begin = self.end = 0
        self.stopped: int | None = None

    def tokens(self) -> Iterator[_Placed]:
        """The tokens that a parser gets."""
        self.begin = self.end = 0
        try:
            for token in self.lexer.wrap(self._raw()):
                placed = _Placed(*token)
                placed.offset = self.begin
                yield placed
        except TemplateSyntaxError:
            self.stopped = self.end
            raise

    def _raw(self) -> Iterator[tuple[int, str, str]]:
        for number, kind, value in self.lexer.tokeniter(self.text, None):
            # `{{-` strips the blanks before it, which are in no token.
            while self.end < len(self.text) and not self.text.startswith(value, self.end):
                self.end += 1
            self.begin, self.end = self.end, self.end + len(value)
            yield number, kind, value


def _opening(reading: _Lexing, block: str, otherwise: int) -> int:
    """Where the innermost block of a name begins that is not closed."""
    begun: list[int] = []
    before = ""
    for token in reading.tokens():
        if before == "block_begin" and token.value == block:
            begun.append(token.offset)
        elif before == "block_begin" and token.value == f"end{block}" and begun:
            begun.pop()
        before = token.type
    return begun[-1] if begun else otherwise


def _columns(letter: str) -> int:
    """How many columns of a terminal a letter takes."""
    if combining(letter):
        return 0
    return 2 if east_asian_width(letter) in "WF" else 1
