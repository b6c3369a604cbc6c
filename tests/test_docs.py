"""How the project's Markdown and notebooks are written: lines that fit, sentences whose subject is a thing."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WIDTH = 100
YET_TO_WRAP = {"README.md", "CHANGELOG.md", "docs/decisions.md"}
SUBJECTS = re.compile(r"\b(?:whoever|somebody|nobody)\b", re.IGNORECASE)


def tracked(pattern: str) -> list[Path]:
    """The files of the project with such a name, as Git lists them."""
    listed = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(ROOT / name for name in listed.stdout.split("\0") if name)


MARKDOWN = [path for path in tracked("*.md") if str(path.relative_to(ROOT)) not in YET_TO_WRAP]
NOTEBOOKS = tracked("*.ipynb")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Each line of a Markdown file outside of code blocks, with its number."""
    is_code = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, line


@pytest.mark.parametrize("path", MARKDOWN, ids=name)
def test_prose_is_wrapped(path: Path) -> None:
    """A line has at most 100 columns; tables, code blocks and lines of HTML keep theirs, as does what has no space to break at."""
    lines = [(number, line) for number, line in prose(path) if not line.lstrip().startswith(("|", "<"))]
    assert [number for number, line in lines if len(line) > WIDTH and " " in line.strip()] == []


@pytest.mark.parametrize("path", MARKDOWN, ids=name)
def test_the_subject_is_a_thing_or_a_named_person(path: Path) -> None:
    """No sentence is about "whoever" or "nobody", who make a reader ask who that is."""
    found = [(number, line) for number, line in prose(path) if SUBJECTS.search(re.sub(r"`[^`]*`", "", line))]
    assert found == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_the_subject_in_a_notebook_is_a_thing_or_a_named_person(path: Path) -> None:
    """The same in the texts and the code of a notebook's cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert [cell["source"] for cell in cells if SUBJECTS.search("".join(cell["source"]))] == []
