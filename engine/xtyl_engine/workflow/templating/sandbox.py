"""What Jinja may do, and how much of it: the jinja2 environment of `render`. Values are plain data; only the operations
listed here exist, and an operation that could run long or grow large is counted before it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from xtyl_engine.errors import RenderError, with_article
from xtyl_engine.values.artifacts import KEY
from xtyl_engine.workflow.templating.effort import check_size
from xtyl_engine.workflow.templating.metering import (
    METER,
    call_method,
    metered_filter,
    metered_test,
    operate,
    refuse_missing,
    tame,
)
from xtyl_engine.workflow.templating.skipped import SKIPPED
from xtyl_engine.workflow.templating.texts import Output, text_of

MAX_TOKENS = 20_000
# A step of a loop is so many parts of its parsed body.
PARTS_OF_A_STEP = 4

_FILTERS = """abs batch capitalize center count d date default dictsort e escape filesizeformat first float forceescape format
groupby indent int items join last length list lower map max min number reject rejectattr replace reverse round safe select
selectattr slice sort string striptags sum title tojson trim truncate unique upper urlencode wordcount wordwrap"""
_TESTS = """boolean defined divisibleby eq equalto even false float ge greaterthan gt in integer iterable le lessthan
lower lt mapping ne none number odd sequence string true undefined upper == != > >= < <="""
_TEXT_METHODS = """capitalize count endswith find format isdigit join lower lstrip removeprefix removesuffix replace rstrip
split splitlines startswith strip title upper"""
FILTERS = tuple(_FILTERS.split())
TESTS = tuple(_TESTS.split())
METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(_TEXT_METHODS.split()),
    dict: frozenset({"items", "keys", "values", "get"}),
}

REFERENCE_HINT = "Pass on the file by the name that holds it, such as `{{ photo }}`."


@pass_context
def _looped(context: Context, value: Any, weight: int) -> Any:
    """The value that a `for` of so many parts runs over, counted beforehand, so that nested loops end."""
    if not isinstance(value, (str, list, tuple, dict)):
        return value
    context[METER].spend(1 + weight * len(value))
    for part in value if isinstance(value, list) else ():
        for each in part if isinstance(part, tuple) else (part,):
            refuse_missing(each)
    return value


@pass_context
def _sliced(context: Context, value: Any, *at: Any) -> Any:
    """The part of a text or list between two positions."""
    if not isinstance(value, (str, list, tuple)):
        return SKIPPED if value is SKIPPED else value[slice(*at)]
    return tame(context[METER], value[slice(*at)])


@pass_context
def _compared(context: Context, value: Any) -> Any:
    """The right side of a comparison or an `in`, counted because a loop may repeat it."""
    context[METER].look(value)
    return value


@pass_context
def _built(context: Context, value: Any) -> Any:
    """A list, tuple or dict written in Jinja, counted in full because parts may be shared many times."""
    context[METER].look(value)
    for part in value.values() if isinstance(value, dict) else value:
        refuse_missing(part)
    if isinstance(value, dict):
        if KEY in value:
            # It could be to any project's file: receipts are checked where a submission writes references out, and not later.
            raise RenderError("Jinja makes no reference to a stored file", hint=REFERENCE_HINT)
        return {key: None if part is SKIPPED else part for key, part in value.items()}
    return [None if part is SKIPPED else part for part in value]


@pass_context
def _concatenated(context: Context, parts: list[Any]) -> str:
    texts = [print_value(context, part) for part in parts]
    check_size(sum(map(len, texts)))
    return str(tame(context[METER], "".join(texts)))


@pass_context
def print_value(context: Context, value: Any) -> str:
    """The text of a value in Jinja."""
    if isinstance(value, (dict, list, tuple)):
        check_size(context[METER].look(value))
    return text_of(value)


@pass_context
def _called(context: Context, owner: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """What a method of a text or of a dict gives. No method is ever a value: one that is not called does not exist."""
    refuse_missing(owner)
    if owner is SKIPPED:
        return SKIPPED
    if not any(isinstance(owner, kind) and name in names for kind, names in METHODS.items()):
        refuse_missing(missing(owner, name))
    return call_method(context, getattr(owner, name), args, kwargs)


class CountedLoops(NodeTransformer):
    """Puts the counting filters into parsed Jinja: where it compiles to what no filter, test or method sees."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        inside = (part for each in node.iter_child_nodes(exclude=("iter",)) for part in each.find_all(nodes.Node))
        weight = 1 + sum(1 for _ in inside) // PARTS_OF_A_STEP
        node.iter = _filtered(node.iter, "$looped", nodes.Const(weight, lineno=node.lineno))
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        at = (each or nodes.Const(None, lineno=node.lineno) for each in (node.arg.start, node.arg.stop, node.arg.step))
        return _filtered(node.node, "$sliced", *at)

    def visit_Operand(self, node: nodes.Operand) -> nodes.Operand:
        self.generic_visit(node)
        node.expr = node.expr if isinstance(node.expr, nodes.Const) else _filtered(node.expr, "$compared")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return _filtered(nodes.List(list(node.nodes), lineno=node.lineno), "$concatenated")

    def visit_Mod(self, node: nodes.Mod) -> nodes.Expr:
        self.generic_visit(node)
        if not (isinstance(node.left, nodes.Const) and isinstance(node.left.value, str)):
            return node
        # Its parts are values each; any other value is one.
        right: Any = node.right
        is_tuple = isinstance(right, nodes.Filter) and isinstance(right.node, nodes.Tuple)
        return _filtered(node.left, "format", *(right.node.items if is_tuple else [right]))

    def visit_Call(self, node: nodes.Call) -> nodes.Filter:
        self.generic_visit(node)
        method: Any = node.node
        given = [nodes.Const(method.attr, lineno=node.lineno), *node.args]
        return nodes.Filter(
            method.node, "$called", given, node.kwargs, node.dyn_args, node.dyn_kwargs, lineno=node.lineno
        )

    def visit_List(self, node: nodes.List | nodes.Dict) -> nodes.Filter:
        self.generic_visit(node)
        return _filtered(node, "$built")

    visit_Dict = visit_List

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        self.generic_visit(node)
        return _filtered(node, "$built") if node.ctx == "load" else node


def _filtered(node: nodes.Node, name: str, *args: nodes.Node) -> nodes.Filter:
    # jinja2's node classes take any fields, untyped.
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja over plain values: fields of dicts, items of lists, a few methods of text, and nothing else."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, finalize=print_value, optimized=False, keep_trailing_newline=True)
        self.globals.clear()
        self.filters = {name: metered_filter(name) for name in FILTERS}
        counting: dict[str, Callable[..., Any]] = {"$looped": _looped, "$sliced": _sliced, "$built": _built}
        counting |= {"$called": _called}
        self.filters |= counting | {"$compared": _compared, "$concatenated": _concatenated}
        self.tests = {name: metered_test(name) for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field, else one of the few methods."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if obj is SKIPPED:
            return SKIPPED
        if isinstance(obj, LoopContext) and not attribute.startswith("_") and attribute not in ("cycle", "changed"):
            return getattr(obj, attribute)
        return missing(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item of a list, a part of a text, a field."""
        if obj is SKIPPED:
            return SKIPPED
        if isinstance(obj, (dict, list, tuple, str)):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                return missing(obj, argument)
        return missing(obj, argument)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Refused: methods are called by `$called`, and nothing else can be."""
        raise SecurityError("Jinja may call only methods of text")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do an operation, counted before it is done."""
        operate(context[METER], operator, left, right)
        return super().call_binop(context, operator, left, right)

    def _tokenize(self, source: str, name: str | None, filename: str | None = None, state: str | None = None) -> Any:
        return TokenStream(_counted(super()._tokenize(source, name, filename, state)), name, filename)


def missing(obj: Any, name: Any) -> Undefined:
    """What stands for a field that is not there; it raises when it is used, saying what is."""
    if isinstance(obj, Undefined):
        return obj
    shown, what = _shown(name), "an output" if isinstance(obj, Output) else with_article(type(obj).__name__)
    if any(isinstance(obj, kind) and name in names for kind, names in METHODS.items()):
        what = "text" if isinstance(obj, str) else what
        return StrictUndefined(f"`{shown}` is a method of {what}, and is not called: write `{shown}()`", name=shown)
    fields = ", ".join(map(_shown, islice(obj, 20))) if isinstance(obj, dict) and len(obj) < 50 else ""
    known = f"; it has {fields}"[:300] if fields else ""
    return StrictUndefined(f"there is no {shown!r} in {what}{known}", name=shown)


def _shown(name: Any) -> str:
    """A field or a position, in few letters: a list in its place may be huge."""
    return name[:80] if isinstance(name, str) else str(name) if isinstance(name, (int, float)) else type(name).__name__


class TooManyTokens(TemplateSyntaxError):
    """A text has more words and signs of Jinja than are parsed."""


def _counted(tokens: TokenStream) -> Iterator[Token]:
    """The tokens of a Jinja text. Parsed and compiled, each takes some 3 KB of memory for a while."""
    for count, token in enumerate(tokens):
        if count > MAX_TOKENS:
            raise TooManyTokens(f"it has more than {MAX_TOKENS:,} words and signs of Jinja", token.lineno)
        yield token
