"""What a text tells as it stands: its own words, and the values that go into it unasked. A value that the text asks about first,
with `if`, `or` or `default`, is not among them. All names that a text reads are found in `names`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes

from xtyl_engine.workflow.templating.names import ANY, Path, Scope, bind, path_of

# Filters whose text is that of their value, more or less.
_TELLING = "capitalize center e escape indent lower replace safe string title trim truncate upper wordwrap"
TELLING = frozenset(_TELLING.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbatim:
    """The words of a text, and the paths of the values that go into it."""

    words: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()


def collect_verbatim(tree: nodes.Template) -> Verbatim:
    """What parsed Jinja tells as it stands."""
    asked = {name.name for name in _asked(tree)}
    paths = dict.fromkeys(path for path in _body(tree.body, {}) if path[0] not in asked)
    return Verbatim(words=tuple(each.data for each in tree.find_all(nodes.TemplateData)), paths=tuple(paths))


def _asked(tree: nodes.Template) -> Iterator[nodes.Name]:
    asking: list[Any] = [*tree.find_all(nodes.If), *tree.find_all(nodes.CondExpr), *tree.find_all(nodes.For)]
    for node in asking:
        yield from () if node.test is None else _names(node.test)
    for pair in tree.find_all((nodes.Or, nodes.And)):
        yield from _names(pair.left)
    for each in tree.find_all((nodes.Filter, nodes.Test)):
        if each.name in ("default", "d", "defined", "undefined", "none") and each.node is not None:
            yield from _names(each.node)


def _names(node: nodes.Node) -> Iterator[nodes.Name]:
    if isinstance(node, nodes.Name):
        yield node
    yield from node.find_all(nodes.Name)


def _body(body: list[nodes.Node], scope: Scope) -> Iterator[Path]:
    for node in body:
        if isinstance(node, nodes.Output):
            for part in node.nodes:
                yield from _told(part, scope)
        elif isinstance(node, nodes.Assign):
            bind(node.target, path_of(node.node, scope), scope)
        elif isinstance(node, nodes.For):
            path = path_of(node.iter, scope)
            inner: Scope = {**scope, "loop": None}
            bind(node.target, (*path, ANY) if path else None, inner)
            yield from _body(node.body, inner)
        elif isinstance(node, nodes.If):
            yield from _body([*node.body, *node.elif_, *node.else_], scope)


def _told(node: nodes.Node, scope: Scope) -> Iterator[Path]:
    if isinstance(node, (nodes.Name, nodes.Getattr, nodes.Getitem)):
        if path := path_of(node, scope):
            yield path
    elif isinstance(node, nodes.Filter):
        if node.name in TELLING and node.node is not None:
            yield from _told(node.node, scope)
    elif isinstance(node, nodes.Call):
        if isinstance(node.node, nodes.Getattr):
            yield from _told(node.node.node, scope)
    elif isinstance(node, nodes.Or):
        yield from _told(node.right, scope)
    elif isinstance(node, nodes.CondExpr):
        for branch in (node.expr1, node.expr2):
            yield from () if branch is None else _told(branch, scope)
    elif isinstance(node, (nodes.Concat, nodes.Add)):
        for each in node.iter_child_nodes():
            yield from _told(each, scope)
