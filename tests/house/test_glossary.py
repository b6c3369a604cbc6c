"""One thing has one word: the glossary of CONTRIBUTING.md is that of the code, and words that were given up stay so."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
SOURCES = {
    ".".join(path.relative_to(folder.parent).with_suffix("").parts): path.read_text(encoding="utf-8")
    for folder in (ROOT / "engine" / "xtyl_engine", ROOT / "xtyl_nb")
    for path in sorted(folder.rglob("*.py"))
}
# Identifiers that had a second meaning or said nothing, and the ones in their place.
GIVEN_UP = {
    "Closeup": "JobDetails",
    "Glance": "Overviews",
    "Kept": "ExecutionFiles",
    "Census": "JobCounts",
    "Waits": "QueueTimes",
    "Over": "EndedJob",
    "Reach": "JobRange",
    "Rates": "ClaimPolicy",
    "Ledger": "LockedExecution",
    "Office": "AppState",
    "In": "State",
    "Desk": "ThreadPools",
    "Keeper": "Housekeeper",
    "KEEPER": "REAPER",
    "Hint": "Notify",
    "HintRequest": "NotificationRequest",
    "send_hint": "notify_workers",
    "Move": "Transition",
    "JOB_MOVES": "JOB_TRANSITIONS",
    "EXECUTION_MOVES": "EXECUTION_TRANSITIONS",
    "ledger": "locked",
    "born": "expanded",
    "bearer": "expander",
    "bearers": "expanders",
    "nobody": "discard",
    "unnoted": "no_op",
}


def rows() -> list[tuple[str, str, str]]:
    """The glossary's rows: a noun, its meaning, and the module of the class, empty for an idea."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| noun | meaning | class in |\n")[2].partition("\n\n")[0]
    found = [re.fullmatch(r"\| ([\w ]+) \| (.+) \| (?:`([\w.]+)` )?\|", line) for line in table.splitlines()[1:]]
    assert all(found), table
    return [(row[1], row[2], row[3] or "") for row in found if row]


def classes() -> Mapping[str, list[str]]:
    """The modules in which each name of a class, or of a type made of several, is defined."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for module, source in SOURCES.items():
        for node in ast.walk(tree := ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(module)
        for node in tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(op=ast.BitOr())):
                    found[name].append(module)
    return found


def identifiers(source: str) -> set[str]:
    """The names in a module's code; comments and texts are none."""
    return {
        token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.NAME
    }


GLOSSARY = rows()
CLASSES = classes()
USED = {name: identifiers(source) for name, source in SOURCES.items()}


def test_a_noun_has_one_meaning() -> None:
    """The glossary has no noun twice, in whatever case, and says of each what it is."""
    assert len(GLOSSARY) > 30
    nouns = Counter(noun.lower() for noun, _, _ in GLOSSARY)
    assert [noun for noun, times in nouns.items() if times > 1] == []


@pytest.mark.parametrize(("noun", "module"), [(noun, module) for noun, _, module in GLOSSARY])
def test_a_noun_that_is_a_class_is_one(noun: str, module: str) -> None:
    """The class of that name stands in the module that the glossary names, and nowhere else; an idea has no class."""
    name = "".join(word[0].upper() + word[1:] for word in noun.split())
    assert CLASSES.get(name, []) == ([module] if module else [])


def test_no_two_classes_have_one_name() -> None:
    """A name says which class is meant, wherever it is read."""
    assert {name: found for name, found in CLASSES.items() if len(found) > 1} == {}


@pytest.mark.parametrize("word", sorted(GIVEN_UP))
def test_a_word_that_was_given_up_stays_so(word: str) -> None:
    """No identifier of the product is the word, and the one in its place is in use."""
    assert [module for module, names in USED.items() if word in names] == []
    assert [module for module, names in USED.items() if GIVEN_UP[word] in names] != []
