"""Writes a workflow's document as JSON text, and reads one from a dict, text or a file. A function is written by its
name; one that has no importable name is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from xtyl_engine.errors import Problem, WorkflowError, with_article
from xtyl_engine.functions.references import reference
from xtyl_engine.workflow.document import Document, Node, as_stored, parse_document


def write_document(document: Document) -> str:
    """The document as JSON text, functions as `module:name`, classes as their schemas. Raises WorkflowError, naming each node
    that another program could not read."""
    document = as_stored(document)
    problems = [problem for node in document.nodes if (problem := _unwritable(node)) is not None]
    if problems:
        raise WorkflowError(problems, workflow=document.name, document=document)
    return json.dumps(document.to_dict(), default=_reference, indent=2, ensure_ascii=False)


def read_document(source: Mapping[str, Any] | str | PathLike[str]) -> Document:
    """The document in a dict, in JSON text, or in the file at a path. Raises WorkflowError if there is none."""
    if isinstance(source, Mapping) or (isinstance(source, str) and source.lstrip()[:1] in ("{", "[")):
        return parse_document(source)
    try:
        return parse_document(Path(source).read_text(encoding="utf-8"))
    except WorkflowError:
        raise
    except (OSError, ValueError, TypeError) as error:
        message = f"this is no JSON text, and no file could be read: {error}"
        raise _failed("document", None, message, "Pass a dict, JSON text, or the path of a file.") from error


def _unwritable(node: Node) -> Problem | None:
    function = node.config.get("function") if node.kind.takes_function else None
    if callable(function) and reference(function) is None:
        name = getattr(function, "__name__", "the function")
        hint = "Put it in a module that the other program can import, and import it from there."
        return _failed("function-not-portable", node.id, f"{name}() lives in this session only", hint).problems[0]
    try:
        json.dumps(dict(node.config), default=_reference)
    except (TypeError, ValueError, RecursionError) as error:
        hint = "Give texts, numbers, lists and dicts, or read the value in a call node."
        return _failed("value-not-portable", node.id, f"a value cannot be written as JSON: {error}", hint).problems[0]
    return None


def _reference(value: Any) -> str:
    found = reference(value) if callable(value) else None
    if found is None:
        raise TypeError(f"{with_article(type(value).__name__)} is no JSON value")
    return found


def _failed(code: str, node: str | None, message: str, hint: str) -> WorkflowError:
    return WorkflowError([Problem(code=f"workflow/{code}", node=node, message=message, hint=hint)])
