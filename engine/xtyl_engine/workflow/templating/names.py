"""The names that parsed Jinja reads, as paths, and whether every construct in it is allowed. Names made by `for` and `set`
are traced to what they stand for. Rendering is in `render`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from xtyl_engine.workflow.templating.metering import signature_of
from xtyl_engine.workflow.templating.sandbox import FILTERS, METHODS, TESTS

Path = tuple[str | int, ...]
Scope = dict[str, Path | None]

ANY = -1
ROW = "row"
# What a person asked of one more option, for texts that have a place for it. A column or step of this name wins.
FEEDBACK = "feedback"
ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.Name, nodes.Const,
    nodes.Tuple, nodes.List, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.BinExpr, nodes.UnaryExpr, nodes.CondExpr,
    nodes.Concat, nodes.Call,
)  # fmt: skip
RESERVED = frozenset({"self", "super", "caller", "varargs", "kwargs"})
# Of what Jinja has besides.
LEFT_OUT = {
    "attr": "because it reads more than fields: write `name.field`",
    "pprint": "because it writes Python and not JSON: use `tojson(indent=2)`",
    "random": "because the same step would make another text each time",
    **dict.fromkeys(("urlize", "xmlattr"), "because it writes HTML"),
}
CALLABLE = frozenset().union(*METHODS.values())
# How a kind of node is written where its name differs.
TAGS = {"assignblock": "set", "callblock": "call", "filterblock": "filter", "fromimport": "from"}
NO_FORM = "only a text that is written there formats, such as '{:.2f}'.format(price)"
# What is wrong; the word that it is written with; what to do.
Objection = tuple[str] | tuple[str, str | None] | tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One use of a name. `path` is the name, then the fields (text) and positions (numbers, ANY for each or some) read from
    it; `optional` says that the Jinja works without it."""

    path: Path
    line: int
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Names:
    """What Jinja text reads."""

    uses: tuple[Use, ...] = ()

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The names themselves, in order of first use."""
        return tuple(dict.fromkeys(str(use.path[0]) for use in self.uses))


def collect_uses(tree: nodes.Template, *, before: bool = False) -> Names:
    """The names that Jinja reads. Raises jinja2's TemplateSyntaxError for a construct that is not allowed, and `before` a run for
    what a filter does not take."""
    _check_allowed(tree, before)
    return Names(uses=tuple(dict.fromkeys(_body(tree.body, {}))))


def of_row(path: Path, taken: Collection[str]) -> Path:
    """The path without `row`, which reads a column of any name: `row["product name"]`. What is called so is itself."""
    reads_column = path[0] == ROW and ROW not in taken and len(path) > 1 and isinstance(path[1], str)
    return path[1:] if reads_column and path[1] not in taken else path


def _check_allowed(tree: nodes.Template, before: bool) -> None:
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.iter_child_nodes())
        if objection := _objection(node) or (_misuse(node) if before else None):
            raise NotAllowed(node, *objection)


class NotAllowed(TemplateSyntaxError):
    """A construct is not allowed. `word` is how it is written, where that is known, and `advice` what to write instead."""

    def __init__(self, node: nodes.Node, reason: str, word: str | None = None, advice: str | None = None):
        super().__init__(reason, node.lineno or 1)
        self.word = word
        self.advice = advice


def _objection(node: nodes.Node) -> Objection | None:
    if not isinstance(node, ALLOWED):
        kind = type(node).__name__.lower()
        kind = TAGS.get(kind, kind)
        return f"`{kind}` is not allowed; use if, for, set and filters", kind
    if isinstance(node, nodes.Filter):
        return _filter_objection(node)
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        return f"there is no test `{node.name}`", node.name, _closest(node.name, TESTS)
    if _is_format(node) is False:
        return NO_FORM, "format"
    if isinstance(node, nodes.For) and node.recursive:
        return "`recursive` loops are not allowed", "recursive"
    if isinstance(node, nodes.Call) and not (isinstance(node.node, nodes.Getattr) and node.node.attr in CALLABLE):
        word = getattr(node.node, "attr", getattr(node.node, "name", None))
        return "only methods of text can be called, such as `name.upper()`", word
    if isinstance(node, nodes.Name) and node.name in RESERVED:
        return f"`{node.name}` is a reserved word", node.name
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        return f"`{node.attr}` is private", node.attr
    return None


def _filter_objection(node: nodes.Filter) -> Objection | None:
    if node.name not in FILTERS:
        reason = LEFT_OUT.get(node.name)
        said = f"there is no filter `{node.name}`{f', {reason}' if reason else ''}"
        return said, node.name, None if reason else _closest(node.name, FILTERS)
    if _is_format(node) is False:
        return NO_FORM, "format"
    return None


def _misuse(node: nodes.Node) -> Objection | None:
    """What a filter is given that it does not take. A job would find it too, after others were paid."""
    if not isinstance(node, nodes.Filter) or node.dyn_args or node.dyn_kwargs:
        return None
    if (takes := signature_of(node.name)) is None:
        return None
    try:
        takes.bind(*(None,) * (len(node.args) + 1), **{str(each.key): None for each in node.kwargs})
    except TypeError as error:
        known = ", ".join(list(takes.parameters)[1:])
        said = f"the filter `{node.name}` takes {known or 'nothing'}: {error}"
        return said, node.name, f"Give it {known}." if known else f"Write `|{node.name}`."
    return None


def _closest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name.lower(), known, n=1)
    return f"Did you mean `{close[0]}`?" if close else f"There are {', '.join(known)}."


def _is_format(node: nodes.Node) -> bool | None:
    """Whether the form that a node fills in is written in the Jinja itself; None for a node that fills in none. A form from a
    table or a model would choose what it reads."""
    form: Any = None
    if isinstance(node, nodes.Filter) and node.name == "format":
        form = node.node
    elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr == "format":
        form = node.node.node
    return None if form is None else isinstance(form, nodes.Const) and isinstance(form.value, str)


def _body(body: list[nodes.Node], scope: Scope) -> Iterator[Use]:
    for node in body:
        yield from _uses(node, scope)


def _uses(node: nodes.Node, scope: Scope, *, optional: bool = False) -> Iterator[Use]:
    if isinstance(node, (nodes.Name, nodes.Getattr, nodes.Getitem)):
        yield from _read(node, scope, optional)
    elif isinstance(node, nodes.For):
        yield from _loop(node, scope)
    elif isinstance(node, nodes.Assign):
        yield from _uses(node.node, scope)
        bind(node.target, path_of(node.node, scope), scope)
    elif isinstance(node, (nodes.Filter, nodes.Test)) and node.name in ("default", "d", "defined", "undefined"):
        for child in node.iter_child_nodes():
            yield from _uses(child, scope, optional=child is node.node or optional)
    elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
        yield from _uses(node.node.node, scope)
        for child in (*node.args, *node.kwargs):
            yield from _uses(child, scope)
    else:
        for child in node.iter_child_nodes():
            yield from _uses(child, scope, optional=optional)


def _read(node: nodes.Expr, scope: Scope, optional: bool) -> Iterator[Use]:
    if path := path_of(node, scope):
        yield Use(path=path, line=node.lineno or 1, optional=optional)
    base: nodes.Node = node
    while isinstance(base, (nodes.Getattr, nodes.Getitem)):
        if isinstance(base, nodes.Getitem) and not isinstance(base.arg, nodes.Const):
            yield from _uses(base.arg, scope)
        base = base.node
    if not isinstance(base, nodes.Name):
        yield from _uses(base, scope, optional=optional)


def _loop(node: nodes.For, scope: Scope) -> Iterator[Use]:
    yield from _uses(node.iter, scope)
    path = path_of(node.iter, scope)
    inner: Scope = {**scope, "loop": None}
    bind(node.target, (*path, ANY) if path else None, inner)
    if path:
        yield Use(path=(*path, ANY), line=node.lineno or 1)
    yield from _body([node.test] if node.test else [], inner)
    yield from _body(node.body, inner)
    yield from _body(node.else_, dict(scope))


def bind(target: nodes.Node, path: Path | None, scope: Scope) -> None:
    """Note what the names of a `for` or `set` stand for."""
    names: Mapping[str, Path | None] = (
        {target.name: path} if isinstance(target, nodes.Name) else {n.name: None for n in target.find_all(nodes.Name)}
    )
    scope.update(names)


def path_of(node: nodes.Node, scope: Scope) -> Path | None:
    """The path that a chain of fields and positions reads, None if it does not start with a free name."""
    steps: list[str | int] = []
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        steps.append(node.attr if isinstance(node, nodes.Getattr) else _step(node.arg))
        node = node.node
    if not isinstance(node, nodes.Name):
        return None
    base = scope.get(node.name, (node.name,))
    return None if base is None else (*base, *reversed(steps))


def _step(argument: nodes.Expr) -> str | int:
    if isinstance(argument, nodes.Const) and isinstance(argument.value, (str, int)):
        return argument.value
    return ANY
