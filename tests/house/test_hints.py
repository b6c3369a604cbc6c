"""A hint is the last part of an error, what to do now: one or more sentences, as the modules of the product write them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import ROOT

MODULES = [path for folder in ("engine", "xtyl_nb", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]
# A capital or code at its beginning, a full stop or a question mark at its end; \0 is what a value fills in.
SENTENCE = re.compile(r"[A-Z`\0].*[.?\0]", re.DOTALL)


def texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may give, values left open."""
    match node:
        case ast.IfExp(body=body, orelse=orelse):
            yield from texts(body)
            yield from texts(orelse)
        case ast.BoolOp(values=values):
            for value in values:
                yield from texts(value)
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.JoinedStr(values=values):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in values)


def positions(tree: ast.Module) -> dict[str, int]:
    """The functions and methods of a module that take a hint by position, and which argument it is."""
    found = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            names = [argument.arg for argument in function.args.args if argument.arg != "self"]
            if "hint" in names:
                found[function.name] = names.index("hint")
    return found


def hints(source: str) -> Iterator[str]:
    """The hints that a module writes: by keyword, by position in a function of its own, in a variable of the name,
    in a table `HINTS`."""
    places = positions(tree := ast.parse(source))
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="hint", value=value) | ast.Assign(targets=[ast.Name(id="hint")], value=value):
                yield from texts(value)
            case ast.Assign(targets=[ast.Name(id="HINTS")], value=ast.Dict(values=values)):
                for value in values:
                    yield from texts(value)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=given) if len(given) > places.get(
                name, len(given)
            ):
                yield from texts(given[places[name]])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_hint_is_a_sentence(path: Path) -> None:
    """It begins with a capital or with code, and ends with a full stop or a question mark."""
    assert [hint for hint in hints(path.read_text(encoding="utf-8")) if not SENTENCE.fullmatch(hint)] == []


def test_hints_are_found_where_modules_write_them() -> None:
    """By keyword, by position, in a variable and in a table, with each way that a condition may go."""
    source = """
def wrong(message, hint): ...
hint = f"use {one}" if close else "Use none."
Error("it is wrong", hint=hint or "try again")
wrong("it is wrong", "remove it")
HINTS = {"it/is": "wait"}
"""
    assert sorted(hints(source)) == ["Use none.", "remove it", "try again", "use \0", "wait"]
