"""How much Jinja texts hold, counted before any of it is parsed: cheaply, and rather too much than too little."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

# Parsed and analysed, a word or sign takes some 8 us. So a workflow, whose texts strangers may write, takes a few seconds.
MAX_SIGNS = 400_000
_JINJA = re.compile(r"\{[{%](.*?)(?:[}%]\}|\Z)", re.DOTALL)
_SIGN = re.compile(r"\w+|[^\w\s]")


def has_more_signs(texts: Iterable[str], most: int = MAX_SIGNS) -> bool:
    """Whether these texts, each different one once, hold more words and signs of Jinja than this. It counts no further."""
    left = most
    for text in dict.fromkeys(texts):
        for part in _JINJA.finditer(text):
            left -= sum(1 for _ in islice(_SIGN.finditer(part[1]), left + 1))
            if left < 0:
                return True
    return False
