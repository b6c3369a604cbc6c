"""Names on disk can be read, are valid anywhere, and stay apart on file systems that tell fewer names apart."""

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xtyl_nb.runs.file_names import distinct, readable


def nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def unseen_left_out(name: str) -> str:
    """HFS+ passes over what cannot be seen."""
    unseen = re.compile("[\u00ad\u034f\u115f\u1160\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff]")
    return unicodedata.normalize("NFD", unseen.sub("", name)).casefold()


FILE_SYSTEMS: dict[str, Callable[[str], str]] = {
    "ext4": lambda name: name,
    "APFS": lambda name: nfc(unicodedata.normalize("NFD", name).casefold()),
    "HFS+": unseen_left_out,
    "NTFS": str.upper,
    "FAT": lambda name: unicodedata.normalize("NFKC", name).lower(),
    "a search": lambda name: unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()),
}
LABELS = st.one_of(
    st.text(max_size=12),
    st.text("aAbB_-. \u0131\u0130Iſsß\u00e9e\u0301\u1e9e\u212aK\ufb01fiμµ①1²2\u200b\u3164\ufe0f", max_size=5),
    st.sampled_from(
        ["", ".", "..", "CON", "nul", "COM¹", "lpt1", "a/b", "a\\b", "a:b", "x" * 300, "漢" * 200, "한" * 90]
    ),
)


def is_valid(name: str) -> bool:
    """Whether every file system takes the name, with a number, the name of a step and a suffix besides."""
    return (
        0 < len(name.encode()) <= 120
        and not any(unicodedata.category(letter)[0] in "CZ" or letter in '<>:"/\\|?*.' for letter in name)
        and not re.fullmatch(r"(?i)(con|prn|aux|nul|(com|lpt)[0-9¹²³])", name)
        and name == nfc(name)
        and not unicodedata.combining(name[0])
    )


@given(st.lists(LABELS, max_size=12))
@example(["A", "a", "a-2", "", "-", "-2"])
@example(["ı", "I", "i", "ſ", "s", "ẞ", "ss"])
@settings(max_examples=80, deadline=None)
def test_names_stay_apart_on_every_file_system(labels: list[str]) -> None:
    """As many texts are as many valid names, on file systems that fold case, forms of letters or unseen characters too."""
    names = distinct(labels)
    assert all(map(is_valid, names)), names
    for fold in FILE_SYSTEMS.values():
        assert len({fold(name) for name in names}) == len(labels)
    assert distinct(labels) == names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hero_image", "hero_image"),
        ("Sommer — Straße", "Sommer-Straße"),
        ("标题", "标题"),
        ("عنوان", "عنوان"),
        ("हिन्दी", "हिन्दी"),
        ("cafe\u0301", "café"),
        ("../../etc/passwd", "etc-passwd"),
        ("price: 19.90 €", "price-19-90"),
        ("\u202eexe.txt", "exe-txt"),
        (" . ", ""),
        ("🌊", ""),
        ("aux", "aux_"),
        ("soft\u00adhyphen", "softhyphen"),
    ],
)
def test_names_can_be_read(text: str, name: str) -> None:
    """Letters and digits of any script stay, all between them is a hyphen."""
    assert readable(text) == name


def test_many_texts_alike_are_numbered_quickly() -> None:
    """Texts without a letter have names too, each its own."""
    assert distinct(["🌊", "🌙", "Unnamed"]) == ["unnamed", "unnamed-2", "Unnamed-3"]
    names = distinct(["🌊"] * 5_000)
    assert names[:3] == ["unnamed", "unnamed-2", "unnamed-3"]
    assert len(set(names)) == 5_000
