"""Checks one node's own parameters: those of its type's config model, its Jinja, and whether its function can be called
with its arguments. References to other nodes are checked in `references`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ValidationError

from xtyl_engine.errors import LimitExceeded, Problem
from xtyl_engine.nodes.base import NodeConfig, NodeType
from xtyl_engine.workflow.analysis import Texts
from xtyl_engine.workflow.checks.models import check_model
from xtyl_engine.workflow.checks.wording import Suggestions, list_names, show_name, show_value, spelled
from xtyl_engine.workflow.document import Node
from xtyl_engine.workflow.templating.render import is_expression, is_jinja

CODE = "workflow/bad-parameter"
# What may be the name of a column that Jinja has no word for.
_WORDS = re.compile(r"\w+(?:[ .-]+\w+)+|\d\w*")
# The subjects of pydantic's sentences.
SUBJECT = re.compile("^(Input|String|List|Dictionary|Tuple|Value) should")


def check_parameters(node: Node, kind: NodeType, suggestions: Suggestions) -> Iterator[Problem]:
    """The problems of a node's config by itself."""
    wrong = {"function"} if kind.takes_function else set()
    try:
        for detail in _faults(kind.config, node.config):
            if not _is_unrendered(detail, kind):
                wrong.update(map(str, detail["loc"][:1]))
                yield _reworded(node, kind, detail, suggestions)
        # A type may take more, but the engine reads these itself.
        of_every_node = {name: given for name, given in node.config.items() if name in NodeConfig.model_fields}
        for detail in _faults(NodeConfig, of_every_node):
            if str(detail["loc"][0]) not in wrong:
                wrong.add(str(detail["loc"][0]))
                yield _reworded(node, kind, detail, suggestions)
    except (TypeError, RecursionError) as error:
        yield _problem(node, f"its parameters cannot be read: {error}", "Use plain names and values.")
    yield from _check_misplaced(node, kind)
    yield from check_model(node.id, kind, node.config, suggestions)
    yield from _check_plain(node, kind, wrong)
    if kind.takes_function and callable(node.config.get("function")):
        yield from _check_function(node, suggestions)


def _faults(config: type[NodeConfig], given: Mapping[str, Any]) -> Sequence[Any]:
    try:
        config.model_validate(dict(given))
    except ValidationError as error:
        return error.errors(include_url=False)
    return ()


def _check_plain(node: Node, kind: NodeType, told: Collection[str]) -> Iterator[Problem]:
    """A value in a workflow is stored with it as JSON; tables, images and dates come from the frame. In a field that is
    `told` already, only the values inside a mapping are checked."""
    for field, given in node.config.items():
        values = given if isinstance(given, Mapping) else {} if field in told else {field: given}
        for key, value in values.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError, RecursionError):
                name = show_name(str(key))
                column = f', or read it from a column: {name}="{{{{ column }}}}"' if field in kind.rendered else ""
                hint = f"Write text, numbers, lists or dicts{column}."
                yield _problem(node, f"`{name}` cannot be stored: it is {show_value(value)}", hint)


def check_jinja(node: Node, texts: Texts, names: Collection[str] | None, suggestions: Suggestions) -> Iterator[Problem]:
    """The problems of a node's Jinja by itself. `names` are the columns and other inputs, None if not known yet."""
    for parameter, error in texts.errors:
        hint = error.hint or _named_hint(str(error.data.get("written") or ""), names, suggestions)
        code = "workflow/too-large" if isinstance(error, LimitExceeded) else "workflow/template"
        yield Problem(code=code, node=show_name(node.id), message=f"`{parameter}`: {error.message}", hint=hint)
    for name in node.kind.expressions:
        given = node.config.get(name)
        if isinstance(given, str) and not texts.errors and not is_expression(given):
            hint = f"Write one expression, such as {name}=\"{{{{ tone == 'calm' }}}}\"."
            yield _problem(node, f"`{name}` is text, which is never false: {show_value(given)}", hint)


def _named_hint(written: str, names: Collection[str] | None, suggestions: Suggestions) -> str:
    """What to do where braces hold no Jinja: a column is read, whose name has a blank or begins with a digit."""
    close = suggestions.closest(written, names or ())
    if close is not None and spelled(close) != written:
        return f"Did you mean `{{{{ {spelled(close)} }}}}`?"
    if names is None and _WORDS.fullmatch(written):
        return f"A column of this name is read as `{{{{ {spelled(written)} }}}}`."
    return "Write Jinja: `{{ product }}`, `{{ headline.text }}`, `{% if ... %}...{% endif %}`."


def _reworded(node: Node, kind: NodeType, detail: Any, suggestions: Suggestions) -> Problem:
    where = ".".join(str(part) for part in detail["loc"]) or "config"
    name = show_name(where)
    if detail["type"] == "missing":
        return _problem(node, f"`{name}` is missing", f"Write `{name}=...`.")
    if detail["type"] == "extra_forbidden":
        known = list(kind.config.model_fields)
        hint = suggestions.hint(where, known, f"Use one of {list_names(known, 30)}.")
        return _problem(node, f"{kind.name} has no parameter `{name}`", hint)
    reason = SUBJECT.sub("it should", detail["msg"].removeprefix("Value error, ")).replace(" after validation", "")
    return _problem(node, f"`{name}` is {show_value(detail['input'])}: {reason}", f"Change `{name}`.")


def _is_unrendered(detail: Any, kind: NodeType) -> bool:
    """Whether a value is still Jinja, so that what it renders to is not known."""
    given = detail["input"]
    return detail["loc"][:1] in [(name,) for name in kind.rendered] and isinstance(given, str) and is_jinja(given)


def _check_misplaced(node: Node, kind: NodeType) -> Iterator[Problem]:
    for name, value in node.config.items():
        if name in kind.config.model_fields and name not in kind.rendered and isinstance(value, str) and "{{" in value:
            fields = list_names(kind.rendered)
            hint = f"Write the value itself; Jinja goes in {fields}." if kind.rendered else "Write the value itself."
            yield _problem(node, f"`{name}` is not rendered, and holds Jinja: {show_value(value)}", hint)


def _check_function(node: Node, suggestions: Suggestions) -> Iterator[Problem]:
    function = node.config["function"]
    bare = function
    while isinstance(bare, partial):
        bare = bare.func
    bare = bare if inspect.isroutine(bare) or inspect.isclass(bare) else type(bare).__call__
    name = show_name(getattr(bare, "__name__", "function"))
    if inspect.isgeneratorfunction(bare) or inspect.isasyncgenfunction(bare):
        yield _problem(node, f"{name}() is a generator, which cannot be stored", "Return a list instead of yielding.")
        return
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return
    arguments = node.config.get("arguments", {})
    if isinstance(arguments, Mapping):
        yield from _check_arguments(node, name, parameters, arguments, suggestions)


def _check_arguments(
    node: Node,
    name: str,
    parameters: Mapping[str, inspect.Parameter],
    arguments: Mapping[str, Any],
    suggestions: Suggestions,
) -> Iterator[Problem]:
    kinds = inspect.Parameter
    takes = [key for key, one in parameters.items() if one.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)]
    for key in [] if any(one.kind is kinds.VAR_KEYWORD for one in parameters.values()) else arguments:
        if key not in takes and key not in parameters:
            otherwise = f"Pass only what it takes: {list_names(takes)}." if takes else "Leave it out."
            hint = suggestions.hint(key, takes, otherwise)
            yield _problem(node, f"{name}() takes no argument `{show_name(key)}`", hint)
    for key, one in parameters.items():
        if one.default is not kinds.empty or one.kind in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL):
            continue
        if one.kind is kinds.POSITIONAL_ONLY:
            hint = (
                f"Write lambda {key}: {name}({key})."
                if inspect.isbuiltin(node.config["function"])
                else "Remove the `/` from its signature."
            )
            yield _problem(node, f"{name}() takes `{key}` by position only", hint)
        elif key not in arguments:
            hint = f'Pass it to call(): {key}="{{{{ ... }}}}", or give it a default.'
            if key == "after" or (key in node.kind.config.model_fields and key not in ("function", "arguments")):
                hint = f"Give it another name or a default in the function: call() takes `{key}` itself."
            yield _problem(node, f"{name}() needs an argument `{key}`", hint)


def _problem(node: Node, message: str, hint: str) -> Problem:
    return Problem(code=CODE, node=show_name(node.id), message=message, hint=hint)
