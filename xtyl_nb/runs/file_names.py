"""Names for files that hold results: readable in any script, valid on every file system, and distinct on those that take upper
and lower case, or two ways to code a letter, for the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MOST_CHARACTERS = 40
# A node's name, the places of its item, an asset's name and a suffix together stay below 255 bytes, which is the most anywhere.
MOST_BYTES = 100
# Letters and marks that cannot be seen, and that some file systems leave out when they compare names.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])", re.IGNORECASE)
UNNAMED = "unnamed"


def readable(text: str, joint: str = "-") -> str:
    """The letters, digits and underscores of a text, with `joint` for all that is between; empty where there are none."""
    text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
    kept = "".join(
        letter if _is_kept(letter) else "" if unicodedata.category(letter) == "Cf" else " " for letter in text
    )
    name = joint.join(word for part in kept.split() if (word := _without_leading_marks(part)))
    name = unicodedata.normalize("NFC", name)[:MOST_CHARACTERS]
    name = name.encode()[:MOST_BYTES].decode("utf-8", "ignore").rstrip(joint)
    # Windows takes these names for devices, whatever their suffix.
    return f"{name}_" if _DEVICE.fullmatch(name) else name


def distinct(texts: Iterable[str], joint: str = "-") -> list[str]:
    """A name for each text, in order: `readable`, and numbered from the second on where names are alike."""
    taken: set[str] = set()
    names, counts = [], dict[str, int]()
    for text in texts:
        stem = name = readable(text, joint) or UNNAMED
        while (alike := _folded(name)) in taken:
            counts[stem] = counts.get(stem, 1) + 1
            name = f"{stem}{joint}{counts[stem]}"
        taken.add(alike)
        names.append(name)
    return names


def _is_kept(letter: str) -> bool:
    return letter == "_" or unicodedata.category(letter)[0] in "LMN"


def _without_leading_marks(word: str) -> str:
    """A mark belongs to the letter before it, and would sit on the joint."""
    while word and unicodedata.category(word[0])[0] == "M":
        word = word[1:]
    return word


def _folded(name: str) -> str:
    """The same for all names that any file system takes for the same."""
    for _ in range(2):
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).upper().casefold())
    return name
