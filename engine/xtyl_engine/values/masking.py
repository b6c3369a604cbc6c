"""Hides secrets in texts that are logged or kept: those that are recognised by their form, and the values of variables whose
names say that they are secret. It keeps no text.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from xtyl_engine.values.recent import Recent

HIDDEN = "[hidden]"
# A shorter value, such as `false`, stands in many texts and is no secret.
SHORTEST = 8
# Kernels at work at the same time; each mask takes some 40 us to make.
REMEMBERED = 16
# Our tokens hold a digit, a capital or a hyphen somewhere; names of settings and metrics, which begin the same way, hold none.
_SECRETS = re.compile(
    r"""(?P<before>://[^/\s:@'"]*:)[^/\s'"]+(?=@)"""
    r"""|(?P<dsn>https?://)[^/\s:@'"]+(?=@)"""
    r"""|(?P<name>(?:password|passwd|secret|token|access[_-]?key|api[_-]?key|authorization)["']?\s*[=:]\s*["']?)"""
    r"""(?:(?:Bearer|Basic|Token)\s+)?[^\s"',;&]+"""
    r"""|(?P<bearer>Bearer\s+)[\w.~+/=-]+"""
    r"""|\b(?:sk|pk)[-_][\w-]{8,}"""
    r"""|\b(?-i:xtyl_(?=[a-z_]*[A-Z0-9-])[\w-]{12,})""",
    re.IGNORECASE,
)
_VARIABLES = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|private|authorization|_pwd$|_dsn$|(^|_)key($|_)|api_?key",
    re.IGNORECASE,
)


def hide(text: str) -> str:
    """A text without the passwords, keys and tokens that are recognised by their form."""
    return _SECRETS.sub(lambda found: (found[found.lastgroup] if found.lastgroup else "") + HIDDEN, text)


def names_secret(name: str) -> bool:
    """Whether what stands under this name is secret whatever its form."""
    return _SECRETS.match(f"{name}=.") is not None


class Mask:
    """Hides what `hide` does, and the values of those of these variables that are secret by their names."""

    def __init__(self, variables: Mapping[str, str] | None = None):
        given = (variables or {}).items()
        secret = [value for name, value in given if _VARIABLES.search(name)]
        secret += [part for _, value in given if "://" in value for part in _in_url(value)]
        # A key of several lines is hidden line by line too: only some of them may be kept.
        parts = {part.strip() for value in secret for part in (value, *value.splitlines())}
        values = {form for part in parts for form in _written(part)}
        self._values = sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, self._values))) if self._values else None

    def hide(self, text: str) -> str:
        """The text without secrets."""
        return hide(text if self._found is None else self._found.sub(HIDDEN, text))

    def hide_in(self, value: Any) -> Any:
        """A plain value without the values of secret variables, in any text of it. What only has the form of one stays."""
        if isinstance(value, str):
            return value if self._found is None else self._found.sub(HIDDEN, value)
        if isinstance(value, dict):
            return {name: self.hide_in(part) for name, part in value.items()}
        return [self.hide_in(part) for part in value] if isinstance(value, list) else value

    def without_beginning(self, text: str) -> str:
        """The text without the first characters of a secret value at its very end: the rest of it may follow."""
        lengths = (len(begun) for value in self._values if (begun := _beginning(value, text)))
        return text[: len(text) - max(lengths, default=0)]


class Masks:
    """The masks of the variables used last, each made once for all who ask with the same mapping, which nothing changes; this
    process's own, which any code may set, is made anew when they are others."""

    def __init__(self) -> None:
        self._made: Recent[int, tuple[Mapping[str, str], dict[Any, Any], Mask]] = Recent(REMEMBERED)

    def of(self, variables: Mapping[str, str]) -> Mask:
        """What hides the secrets among these variables."""
        made = self._made.get(id(variables))
        # Through its own face each variable of this process is decoded: 40 us for each job.
        held: dict[Any, Any] = vars(os.environ)["_data"] if variables is os.environ else {}
        if made is not None and made[0] is variables and made[1] == held:
            return made[2]
        mask = Mask(variables)
        self._made.put(id(variables), (variables, dict(held), mask))
        return mask


def _in_url(text: str) -> Iterator[str]:
    """The passwords and keys of a URL: what stands before its host, and the values after `?`, as they are and as they mean."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return
    if "@" in text and "@" not in parts.netloc:
        # A password that is not written as one in a URL: libraries cut it at these, and quote a piece.
        yield from re.split("[/#?@]", text.partition("://")[2].rpartition("@")[0].partition(":")[2])
    _, _, password = parts.netloc.rpartition("@")[0].rpartition(":")
    if password:
        # As a client sends it on.
        yield b64encode(unquote(parts.netloc.rpartition("@")[0]).encode()).decode()
    for part in (password, *(value for _, value in parse_qsl(parts.query))):
        yield from (part, unquote(part))


def _written(value: str) -> Iterator[str]:
    """A value as it stands in texts: as it is, in a URL, and as Python writes it, alone or in a list."""
    yield from (value, repr(value)[1:-1], repr(f"{value}'\"")[1:-4])
    yield from (
        quote(value, errors="replace"),
        quote(value, safe="", errors="replace"),
        quote_plus(value, errors="replace"),
    )


def _beginning(value: str, text: str) -> str:
    """The longest beginning of a value, not all of it, with which a text ends."""
    return next((value[:length] for length in range(len(value) - 1, 0, -1) if text.endswith(value[:length])), "")
