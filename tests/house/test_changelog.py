"""CHANGELOG.md has the form of Keep a Changelog, and docs/decisions.md its numbers, days and list of contents."""

from __future__ import annotations

import re
from datetime import date

from repository import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
DECISIONS = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def sections(text: str, level: int) -> list[tuple[str, str]]:
    """Each heading of this level with the text below it."""
    parts = re.split(rf"^{'#' * level} (.+)\n", text, flags=re.M)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_changes_stand_under_their_day_the_newest_first() -> None:
    """A heading is a day, after a version where that is the day of one; no day comes twice."""
    headings = [title for title, _ in sections(CHANGELOG, 2)]
    found = [re.fullmatch(r"(?:\[?\d+\.\d+\.\d+\]? - )?(\d{4}-\d\d-\d\d)", title) for title in headings]
    assert all(found), headings
    days = [date.fromisoformat(each[1]) for each in found if each]
    assert len(days) > 4
    assert days == sorted(set(days), reverse=True)


def test_each_change_is_of_a_kind() -> None:
    """Added, Changed, Fixed and the like, in this order, each with entries and nothing else below it."""
    for day, text in sections(CHANGELOG, 2):
        kinds = sections(text, 3)
        assert [kind for kind in KINDS if kind in dict(kinds)] == [kind for kind, _ in kinds], day
        assert text.startswith(f"\n### {kinds[0][0]}\n"), day
        for kind, entries in kinds:
            lines = entries.strip().splitlines()
            assert lines[0].startswith("- "), f"{day} {kind}"
            assert all(line.startswith(("- ", "  ")) for line in lines), f"{day} {kind}"


def test_decisions_have_a_number_and_a_day() -> None:
    """Numbers go up by one, days never back; each has a text."""
    found = sections(DECISIONS, 2)
    assert [title.partition(". ")[0] for title, _ in found] == [str(number) for number in range(1, len(found) + 1)]
    bodies = [re.fullmatch(r"\n(\d{4}-\d\d-\d\d)\n\n(.{80,})", text, re.S) for _, text in found]
    assert [title for (title, _), body in zip(found, bodies, strict=True) if body is None] == []
    days = [date.fromisoformat(body[1]) for body in bodies if body]
    assert days == sorted(days)


def test_the_contents_list_each_decision() -> None:
    """With its number, its day, and a link that leads to it."""
    rows = []
    for title, text in sections(DECISIONS, 2):
        number, _, name = title.partition(". ")
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        rows.append(f"| {number} | [{name}](#{anchor}) | {text.strip()[:10]} |")
    assert "\n".join(rows) == DECISIONS.partition("|---|---|---|\n")[2].partition("\n\n")[0]
