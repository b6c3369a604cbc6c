"""How the project's Markdown and notebooks are written: lines that fit, links and names that lead somewhere, sentences about
things.
"""

from __future__ import annotations

import json
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import xtyl_nb as xt
from repository import ROOT

WIDTH = 100
# The two tests that name the words, to hold others to them.
NAMED_IN = {"tests/house/test_docs.py", "tests/house/test_glossary.py"}
SUBJECTS = re.compile(r"\b(?:whoever|somebody|nobody)\b", re.IGNORECASE)
# Files and folders of code by their paths, modules and what is in them by their dotted names, tests by theirs.
FILE = re.compile(r"(?<![\w./*-])[\w./]*\w\.py\b")
ROOM = re.compile(r"(?<![\w./-])(?:engine/)?(?:xtyl_engine|xtyl_nb)/[\w/]*\w(?!\w|\.\w)")
DOTTED = re.compile(r"(?<![\w./])xtyl_(?:engine|nb)(?:\.\w+)+")
TEST = re.compile(r"\btest_\w+\b(?!\.)")
# What users write, by the names that every example gives to the package, a workflow and a run.
VERB = re.compile(r"(?<![\w./\"'-])((?:xt|flow|run)\.[a-z]\w*)")
VERBS = {
    f"{name}.{verb}"
    for name, verbs in {"xt": dir(xt), "flow": dir(xt.Workflow), "run": [*dir(xt.Run), "id"]}.items()
    for verb in verbs
}
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def tracked(pattern: str) -> list[str]:
    """The project's files with such a name, as Git lists them."""
    listed = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(name for name in listed.stdout.split("\0") if name)


MARKDOWN = tracked("*.md")
NOTEBOOKS = tracked("*.ipynb")
PYTHON = tracked("*.py")
CODE = [name for name in PYTHON + tracked("*.js") + tracked("*.css") if name not in NAMED_IN]
TESTS = {
    name
    for file in PYTHON
    if "tests/" in file
    for name in [Path(file).stem, *re.findall(r"def (test_\w+)\(", (ROOT / file).read_text(encoding="utf-8"))]
}


def prose(name: str) -> Iterator[tuple[int, str]]:
    """Each line outside of code blocks, with its number."""
    is_code = False
    for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, line


def cells(name: str) -> list[str]:
    """The texts and the code of a notebook, cell by cell, without outputs."""
    return ["".join(cell["source"]) for cell in json.loads((ROOT / name).read_text(encoding="utf-8"))["cells"]]


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or leads to something in one."""
    try:
        pkgutil.resolve_name(dotted)
    except (ImportError, AttributeError):
        return False
    return True


def stale(text: str) -> list[str]:
    """The names of code in a text that lead nowhere."""
    return [
        *[path for path in FILE.findall(text) if not any(f"/{file}".endswith(f"/{path}") for file in PYTHON)],
        *[path for path in ROOM.findall(text) if not ((ROOT / path).exists() or (ROOT / "engine" / path).exists())],
        *[dotted for dotted in DOTTED.findall(text) if not is_there(dotted)],
        *[test for test in TEST.findall(text) if test not in TESTS],
        *[verb for verb in VERB.findall(text) if verb not in VERBS],
    ]


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
    assert [cell for cell in cells(name) if SUBJECTS.search(cell)] == []


@pytest.mark.parametrize("name", CODE)
def test_a_sentence_of_a_module_is_about_a_thing_or_a_person_it_names(name: str) -> None:
    """They stand in no module, script or style sheet, be it in a docstring, a comment or a message."""
    lines = enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
    assert [(number, line) for number, line in lines if SUBJECTS.search(line)] == []


@pytest.mark.parametrize("name", MARKDOWN)
def test_a_link_leads_somewhere(name: str) -> None:
    """Each link within the project names a file that is there, and each anchor a heading of that file."""
    for target, anchor in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("name", MARKDOWN + NOTEBOOKS)
def test_code_that_is_named_is_there(name: str) -> None:
    """A path that ends in .py is the end of one of the project's files, a path into a package leads to a room or a module, a
    dotted name can be imported, the name of a test is the name of one, and a run or a workflow has each verb."""
    assert stale("\n".join(cells(name)) if name in NOTEBOOKS else (ROOT / name).read_text(encoding="utf-8")) == []


def test_code_that_moved_is_noticed() -> None:
    """Each name of the past is found in its sentence, and none of today."""
    past = "`no_such.py`, (tests/no_such.py::test_no_such), xtyl_engine/migrations. `xtyl_engine.no_such`, xtyl_nb.runs.run.Walk"
    past += ", `flow.no_such()`, run.plan"
    assert stale(past) == [
        "no_such.py",
        "tests/no_such.py",
        "xtyl_engine/migrations",
        "xtyl_engine.no_such",
        "xtyl_nb.runs.run.Walk",
        "test_no_such",
        "flow.no_such",
        "run.plan",
    ]
    today = "`schema.py` of xtyl_engine/database/. `xtyl_nb.runs.run.Run.wait()`, tests/test_*.py::test_prose_is_wrapped, run.id"
    assert stale(today) == []
