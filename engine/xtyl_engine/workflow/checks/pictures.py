"""Checks the parameters that take images: whether each is an expression, whether the step that it reads makes an image at
all, and whether the rows hold images where it reads a column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xtyl_engine.errors import Problem, WorkflowException
from xtyl_engine.nodes.pictures import as_pictures
from xtyl_engine.workflow.analysis import Survey
from xtyl_engine.workflow.checks.rows import spelled_path, values_at
from xtyl_engine.workflow.checks.wording import show_name, show_value
from xtyl_engine.workflow.document import Node
from xtyl_engine.workflow.plan import Plan, PlanNode
from xtyl_engine.workflow.templating.names import ANY, ROW, Path, of_row
from xtyl_engine.workflow.templating.render import is_expression, is_jinja, iterate_texts, read_names, read_verbatim


def check_pictures(read: Survey, node: Node) -> Iterator[Problem]:
    """The problems of what a node takes for images."""
    for parameter in node.kind.pictures:
        try:
            texts = [text for text in iterate_texts(node.config.get(parameter)) if is_jinja(text)]
        except WorkflowException:
            continue
        for text in texts:
            yield from _check_text(read, node, parameter, text)
    yield from _check_words(read, node)
    if node.config.get("mask") is not None and "mask" in node.kind.pictures and not node.config.get("images"):
        yield _problem(node, "`mask` has no image that it belongs to", 'Give that image: images="{{ photo }}".')


def _check_words(read: Survey, node: Node) -> Iterator[Problem]:
    """The images that stand in the texts of a node, where no text can hold one."""
    kind = node.kind
    for parameter in kind.rendered:
        if parameter in kind.expressions or parameter in kind.pictures:
            continue
        try:
            texts = [*iterate_texts(node.config.get(parameter))]
            told = [text for text in texts if is_jinja(text) and (parameter in kind.texts or not is_expression(text))]
            paths = [of_row(path, read.nodes) for text in told for path in read_verbatim(text).paths]
        except WorkflowException:
            # Told where a node's Jinja is checked.
            continue
        for path in dict.fromkeys(paths):
            if _is_image(read, path):
                # Of a list that a loop goes through, all of it.
                shown = spelled_path(path[: path.index(ANY)] if ANY in path else path)
                hint = f'Give it to the model: images="{{{{ {shown} }}}}".'
                if not kind.pictures:
                    hint = f'Let the parameter be the image alone: "{{{{ {shown} }}}}".'
                message = f"`{parameter}`: `{shown}` is an image, and no text can hold one"
                yield replace(_problem(node, message, hint), code="workflow/template")


def _is_image(read: Survey, path: Path) -> bool:
    """Whether a path reads the image of a step that makes them, itself or by way of a review."""
    source, names = read.nodes.get(str(path[0])), [step for step in path[1:] if isinstance(step, str)]
    while source is not None and source.id in read.kinds and source.kind.waits:
        following = names.pop(0) if names else str(source.config.get("of"))
        source = read.nodes.get(following) if following != source.id else None
    if source is None or source.id not in read.kinds or source.kind.main_of(source.config) != "image":
        # What a function returns may be an image, and may be words.
        return False
    return names[:1] in ([], ["image"])


def _check_text(read: Survey, node: Node, parameter: str, text: str) -> Iterator[Problem]:
    if any(parameter == where for where, _ in read.texts[node.id].errors):
        return
    if not is_expression(text):
        hint = f'Write one expression, such as {parameter}="{{{{ photo }}}}"; several stand in a list.'
        yield _problem(node, f"`{parameter}` is an image among words: {show_value(text)}", hint)
        return
    for path in read_verbatim(text).paths:
        shown = _imageless(read, of_row(path, read.nodes))
        if shown is not None:
            hint = "Read a step that makes images, or a column that holds them."
            yield _problem(node, f"`{parameter}` reads {shown}, and that is no image", hint)


def _imageless(read: Survey, path: Path) -> str | None:
    """What a path reads of a step whose type gives no image there."""
    source = read.nodes.get(str(path[0]))
    if source is None or source.id not in read.kinds or not source.kind.asks_provider:
        return None
    names = [step for step in path[1:] if isinstance(step, str)]
    if not names:
        return None if source.kind.makes_images else f"`{show_name(source.id)}`, a {source.type}"
    fields = source.kind.fields(source.config)
    if fields is None or names[0] not in fields or (source.kind.makes_images and names[0] == "image"):
        # A field that it lacks is a problem of its own.
        return None
    return f"`{show_name(source.id)}.{show_name(names[0])}`"


def columns_of_images(plan: Plan) -> frozenset[str]:
    """The columns, and other inputs, that the steps of a plan read for images."""
    found = (_columns(plan, [use.path for use in read_names(text).uses]) for _, _, text in _texts(plan))
    return frozenset(str(path[0]) for paths in found for path in paths)


def find_image_problems(plan: Plan, rows: Sequence[Mapping[str, Any]], labels: Sequence[Any]) -> Iterator[Problem]:
    """What stands in the rows where a step reads an image, and is none."""
    for node, parameter, text in _texts(plan):
        for path in _columns(plan, read_verbatim(text).paths):
            for row, label in zip(rows, labels, strict=True):
                try:
                    for value in values_at(row, path):
                        as_pictures(value)
                except ValueError as error:
                    message = f"`{parameter}` reads `{show_name(str(path[0]))}`, and in row {label!r} {error}"
                    yield _problem(node, message, "Give an image in each row, or leave those rows out.")
                    break


def _texts(plan: Plan) -> Iterator[tuple[PlanNode, str, str]]:
    for node in plan.nodes.values():
        for parameter in node.kind.pictures:
            for text in iterate_texts(node.config.get(parameter)):
                yield node, parameter, text


def _columns(plan: Plan, paths: Sequence[Path]) -> Iterator[Path]:
    taken = {*plan.nodes, *({ROW} & set(plan.inputs))}
    for path in (of_row(each, taken) for each in paths):
        if path[0] not in plan.nodes:
            yield path


def _problem(node: Node | PlanNode, message: str, hint: str) -> Problem:
    return Problem(code="workflow/bad-parameter", node=show_name(node.id), message=message, hint=hint)
