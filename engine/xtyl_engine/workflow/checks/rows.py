"""What the texts of a plan make of the rows of a table, before anything runs. A file, or a method not called, is a problem; an
empty cell, or a name in the braces of another language, is told and refused nowhere. All other checks need no rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xtyl_engine.errors import Problem, WorkflowException
from xtyl_engine.values.artifacts import references
from xtyl_engine.workflow.checks.wording import show_name, show_value, spelled
from xtyl_engine.workflow.plan import Plan, PlanNode
from xtyl_engine.workflow.templating.names import ROW, Path, of_row
from xtyl_engine.workflow.templating.render import is_expression, iterate_texts, read_verbatim, render
from xtyl_engine.workflow.templating.sandbox import METHODS
from xtyl_engine.workflow.templating.verbatim import Verbatim

# What `astype(str)` makes of a missing value.
MISSING = frozenset({"nan", "NaN", "None", "<NA>", "NaT"})
_NAME = r"[^\W\d]\w*"
# The ways of other languages to write a name into a text.
_PLACEHOLDER = re.compile(
    rf"(?<![\w\\{{$%])(?:"
    rf"\$?\{{(?P<braces>[^{{}}\n]{{1,80}})\}}(?!\}})"
    rf"|\$(?P<dollar>{_NAME}(?:\.{_NAME})*)"
    rf"|<(?P<tag>[^<>\n]{{1,80}})>"
    rf"|\[(?P<square>[^\[\]\n]{{1,80}})\](?!\()"
    rf"|%\((?P<percent>[^()\n]{{1,80}})\)[sdf]"
    rf"|\{{\{{(?P<jinja>[^{{}}\n]{{1,80}})\}}\}})"
)
_END_OF_NAME = re.compile(r"[.!:\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """One text of a plan that is told to a provider or delivered, and what it tells as it stands."""

    node: PlanNode
    parameter: str
    text: str
    verbatim: Verbatim


def texts_of(plan: Plan) -> list[Wording]:
    """The texts of a plan. An argument of a function is the function's own business."""
    found = []
    taken = {*plan.nodes, *({ROW} & set(plan.inputs))}
    for node in plan.nodes.values():
        kind = node.kind
        for parameter in () if kind.takes_function else kind.rendered:
            if parameter in kind.expressions:
                continue
            for text in iterate_texts(node.config.get(parameter)):
                if parameter in kind.texts or not is_expression(text):
                    verbatim = read_verbatim(text)
                    verbatim = replace(verbatim, paths=tuple(of_row(path, taken) for path in verbatim.paths))
                    found.append(Wording(node=node, parameter=parameter, text=text, verbatim=verbatim))
    return found


def find_row_problems(
    plan: Plan, texts: Sequence[Wording], rows: Sequence[Mapping[str, Any]], labels: Sequence[Any]
) -> Iterator[Problem]:
    """The files in texts, and the methods of texts that are not called."""
    for text in texts:
        for path in text.verbatim.paths:
            if path[0] in plan.nodes:
                continue
            for row, label in zip(rows, labels, strict=True):
                if any(True for value in values_at(row, path) for _ in references(value)):
                    yield _problem(
                        text, f"{spelled_path(path)} is a stored file in row {label!r}, and no text can hold one"
                    )
                    break
                if method := _method(row, path):
                    hint = f"Write `{{{{ {spelled_path(path)}() }}}}`."
                    yield _problem(
                        text, f"`{spelled_path(path)}` is a method of text, `{method}`, and is not called", hint
                    )
                    break


def find_doubts(
    plan: Plan,
    texts: Sequence[Wording],
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[Any],
    names: Collection[str],
) -> Iterator[str]:
    """What is probably not meant, each once: names that are not rendered, cells that are empty. `names` are all columns."""
    known = {*names, *plan.nodes}
    told: set[tuple[str, str]] = set()
    for text in texts:
        where = f"{show_name(text.node.id)}: `{text.parameter}`"
        for words in text.verbatim.words:
            for written, name in _placeholders(words, known, text.text):
                if (text.node.id, written) not in told:
                    told.add((text.node.id, written))
                    right = f"Write `{{{{ {name} }}}}` to put in its value."
                    yield f"{where} has `{written}`, which is sent as it stands. {right}"
        for path in text.verbatim.paths:
            column = str(path[0])
            if column not in plan.nodes and (text.node.id, column) not in told:
                told.add((text.node.id, column))
                yield from _odd_cells(text, path, where, rows, labels, known)


def _odd_cells(
    text: Wording,
    path: Path,
    where: str,
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[Any],
    known: Collection[str],
) -> Iterator[str]:
    found = [list(values_at(row, path)) for row in rows]
    empty = [place for place, values in enumerate(found) if any(map(_is_empty, values))]
    name = spelled_path(path)
    if empty:
        many = f"{len(empty):,} of {len(rows):,} rows" if len(rows) > 1 else "its row"
        first = f", the first {labels[empty[0]]!r}" if len(rows) > 1 else ""
        hint = f"Fill it in, leave the rows out, or write `{{% if {name} %}}...{{% endif %}}`."
        yield f"{where} reads `{name}`, which is empty in {many}{first}{_told(text, rows[empty[0]])}. {hint}"
        numbers = [value for values in found for value in values if not _is_empty(value)]
        if len(path) == 1 and numbers and all(isinstance(each, float) and each.is_integer() for each in numbers):
            integer = f'frame.astype({{"{path[0]}": "Int64"}})'
            yield f"{where} reads `{name}`, whose whole numbers the empty cell made {numbers[0]}. Give {integer}."
    for place, values in enumerate(found):
        for value in values:
            for written, right in _placeholders(value, known) if isinstance(value, str) else ():
                yield (
                    f"{where} reads `{name}`, which has `{written}` in row {labels[place]!r}: a cell is not rendered. "
                    f"Write `{{{{ {right} }}}}` into `{text.parameter}` itself."
                )
                return


def _told(text: Wording, row: Mapping[str, Any]) -> str:
    """What a row makes of a text, where the row alone decides it."""
    try:
        told = render(text.text, {ROW: row, **row})
    except WorkflowException:
        return ""
    return f": {show_value(told)}" if isinstance(told, str) else ""


def _placeholders(words: str, known: Collection[str], text: str | None = None) -> Iterator[tuple[str, str]]:
    """Names in another language's braces, as they are written, and as Jinja writes them. The words of a cell, which is part of no
    text, may be about anything: there only braces count."""
    for match in _PLACEHOLDER.finditer(words):
        kind, inner = next((kind, inner) for kind, inner in match.groupdict().items() if inner is not None)
        name = inner.strip()
        root = name if name in known else _END_OF_NAME.split(name)[0].strip()
        if root not in known or (text is None and kind not in ("braces", "jinja")):
            continue
        if kind == "tag" and f"</{inner}>" in (text or ""):
            continue
        fields = name[len(root) :].split(":")[0].split("!")[0]
        yield match.group(), f"{spelled(root)}{fields}"


def values_at(row: Mapping[str, Any], path: Path) -> Iterator[Any]:
    """What a path reads from a row: several values where it reads a part of each."""
    waiting: list[tuple[Any, Path]] = [(row.get(str(path[0])), path[1:])]
    while waiting:
        value, rest = waiting.pop()
        if not rest:
            yield value
        elif isinstance(rest[0], str):
            if isinstance(value, dict) and rest[0] in value:
                waiting.append((value[rest[0]], rest[1:]))
        elif isinstance(value, list):
            parts = value if rest[0] < 0 else value[rest[0] : rest[0] + 1]
            waiting.extend((part, rest[1:]) for part in reversed(parts))


def _method(row: Mapping[str, Any], path: Path) -> str | None:
    """The method of a text that a path ends in."""
    last = path[-1]
    if len(path) < 2 or last not in METHODS[str]:
        return None
    return str(last) if any(isinstance(value, str) for value in values_at(row, path[:-1])) else None


def _is_empty(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip() or value in MISSING
    return value is None or value == [] or value == {}


def spelled_path(path: Path) -> str:
    """A path as Jinja writes it."""
    return spelled(str(path[0])) + "".join(
        f".{step}" if isinstance(step, str) else f"[{step if step >= 0 else '...'}]" for step in path[1:]
    )


def _problem(text: Wording, message: str, hint: str = "") -> Problem:
    hint = hint or "Read a column of words; or give the file to `images=`, or another parameter that takes files."
    return Problem(
        code="workflow/template", node=show_name(text.node.id), message=f"`{text.parameter}`: {message}", hint=hint
    )
