"""A memory with a bound: what stays, what goes, and what counts."""

from __future__ import annotations

import pytest

from xtyl_engine.values.recent import Recent, remembers_texts


def test_what_was_not_used_for_longest_goes_first() -> None:
    """Reading a value counts as using it; the keys that go are told."""
    kept: Recent[str, int] = Recent(3)
    assert [kept.put(name, place) for place, name in enumerate("abc")] == [[], [], []]
    assert kept.get("a") == 0
    assert kept.put("d", 3) == ["b"]
    assert [kept.get(name) for name in "abcd"] == [0, None, 2, 3]


def test_weights_are_summed_and_not_counted() -> None:
    """One heavy value takes the place of several light ones, and a value put again weighs what it weighs now."""
    kept: Recent[str, str] = Recent(10)
    for name in "abcd":
        kept.put(name, name, 2)
    assert kept.put("heavy", "h", 7) == ["a", "b", "c"]
    assert kept.weight == 9
    kept.put("heavy", "h", 1)
    assert (kept.weight, len(kept)) == (3, 2)


def test_a_value_over_the_whole_capacity_stays_alone() -> None:
    """It is in use, so it is not made again for each use; nothing else stays beside it."""
    kept: Recent[str, str] = Recent(10)
    kept.put("a", "a")
    assert kept.put("b", "b", 50) == ["a"]
    assert kept.get("b") == "b"


def test_a_text_is_read_once_and_an_error_each_time() -> None:
    """Values of texts are remembered, None among them; an error is raised again by the function itself."""
    seen: list[str] = []

    @remembers_texts(100, len)
    def read(text: str) -> None:
        seen.append(text)
        if text == "bad":
            raise ValueError(text)

    for text in ("good", "good", "bad", "bad"):
        if text == "good":
            assert read(text) is None
        else:
            with pytest.raises(ValueError, match="bad"):
                read(text)
    assert seen == ["good", "bad", "bad"]


def test_a_heavy_text_is_not_remembered() -> None:
    """A text that weighs more than a quarter of all is read each time, and drops nothing else."""
    seen: list[str] = []

    @remembers_texts(100, len)
    def read(text: str) -> int:
        seen.append(text)
        return len(text)

    for text in ("light", "heavy" * 10, "heavy" * 10, "light"):
        assert read(text) == len(text)
    assert seen == ["light", "heavy" * 10, "heavy" * 10]
