"""How the project's Markdown and notebooks are written: lines that fit, links that lead somewhere, sentences about things."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WIDTH = 100
SUBJECTS = re.compile(r"\b(?:whoever|somebody|nobody)\b", re.IGNORECASE)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def tracked(pattern: str) -> list[str]:
    """The project's files with such a name, as Git lists them."""
    listed = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(name for name in listed.stdout.split("\0") if name)


MARKDOWN = tracked("*.md")
NOTEBOOKS = tracked("*.ipynb")


def prose(name: str) -> Iterator[tuple[int, str]]:
    """Each line outside of code blocks, with its number."""
    is_code = False
    for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, line


def anchors(path: Path) -> set[str]:
    """The headings of a Markdown file in the form in which a link names them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", MARKDOWN)
def test_prose_is_wrapped(name: str) -> None:
    """A line has at most 100 columns; tables, HTML, code blocks and words without a space to break at keep their length."""
    lines = [(number, line) for number, line in prose(name) if not line.lstrip().startswith(("|", "<"))]
    assert [number for number, line in lines if len(line) > WIDTH and " " in line.strip()] == []


@pytest.mark.parametrize("name", MARKDOWN)
def test_a_sentence_is_about_a_thing_or_a_person_it_names(name: str) -> None:
    """The words that make a reader ask "who?" stand in no Markdown file."""
    assert [(number, line) for number, line in prose(name) if SUBJECTS.search(line)] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_sentence_of_a_notebook_is_about_a_thing_or_a_person_it_names(name: str) -> None:
    """They stand in no cell of a notebook, be it text or code."""
    cells = json.loads((ROOT / name).read_text(encoding="utf-8"))["cells"]
    assert [source for cell in cells if SUBJECTS.search(source := "".join(cell["source"]))] == []


@pytest.mark.parametrize("name", MARKDOWN)
def test_a_link_leads_somewhere(name: str) -> None:
    """Each link within the project names a file that is there, and each anchor a heading of that file."""
    for target, anchor in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"
