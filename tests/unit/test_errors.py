"""What the words of errors have in common."""

from __future__ import annotations

import pytest

from xtyl_engine.errors import with_article


@pytest.mark.parametrize("noun", ["an int", "an Image", "an ndarray", "a str", "a UUID", "a NoneType"])
def test_a_noun_has_its_article(noun: str) -> None:
    """It is chosen by the word: by its first sound, as far as letters tell."""
    assert with_article(noun.split()[1]) == noun
