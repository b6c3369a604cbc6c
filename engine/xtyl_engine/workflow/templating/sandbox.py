"""What Jinja may do, and how much of it: the jinja2 environment of `render`. Values are plain data; only the operations
listed here exist, and an operation that could run long or grow large is counted before it runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from itertools import islice
from types import MappingProxyType
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS as DEFAULT_FILTERS
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS as DEFAULT_TESTS
from jinja2.visitor import NodeTransformer

from xtyl_engine.errors import LimitExceeded, with_article
from xtyl_engine.limits import MAX_PROMPT_BYTES

MAX_STEPS = 1_000_000
MAX_INTEGER_BITS = 4096
METER = "$meter"

_FILTERS = """abs batch capitalize count d default dictsort first float groupby int items join last length list lower
map max min reject rejectattr replace reverse round select selectattr slice sort string sum title tojson trim truncate
unique upper wordcount"""
_TESTS = """boolean defined divisibleby eq equalto even false float ge greaterthan gt in integer iterable le lessthan
lower lt mapping ne none number odd sequence string true undefined upper == != > >= < <="""
_TEXT_METHODS = """capitalize count endswith find isdigit join lower lstrip removeprefix removesuffix replace rstrip
split splitlines startswith strip title upper"""
FILTERS = tuple(_FILTERS.split())
TESTS = tuple(_TESTS.split())
METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(_TEXT_METHODS.split()),
    dict: frozenset({"items", "keys", "values", "get"}),
}


class Skipped:
    """The output of a node that was skipped in this row: it is false and prints nothing, as does all read from it."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return ""

    def __repr__(self) -> str:
        return "SKIPPED"

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())


SKIPPED = Skipped()


class Output(dict[str, Any]):
    """A node's output as Jinja sees it: its fields, and the name of the field that stands for it in text, `main`."""

    __slots__ = ("main",)

    def __init__(self, fields: Mapping[str, Any] = MappingProxyType({}), *, main: str | None = None):
        super().__init__(fields)
        self.main = main

    @property
    def standing(self) -> Any:
        """The value that stands for the output: the main field, or for a review the chosen option."""
        if self.main is not None and self.main in self:
            return self[self.main]
        chosen = self.get(self.get("of", ""), self)
        if not isinstance(chosen, dict):
            return chosen
        return next((chosen[name] for name in ("text", "value", "items") if name in chosen), dict(chosen))

    def __str__(self) -> str:
        return str(self.standing)


class EffortMeter:
    """Counts the steps of one rendering."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise LimitExceeded(
                f"the Jinja text does more than {MAX_STEPS:,} steps",
                hint="Loop over less, or prepare the value in a call node.",
            )


def check_size(characters: int) -> None:
    """Raise LimitExceeded for a text or list that is longer than a prompt may be."""
    if characters > MAX_PROMPT_BYTES:
        raise LimitExceeded(
            f"the Jinja text makes a value of {characters:,} characters or parts; {MAX_PROMPT_BYTES:,} is the most",
            hint="Shorten it, with a slice such as `text[:1000]` or the filter `truncate`.",
        )


def measured(meter: EffortMeter, value: Any) -> Any:
    """The value itself, after counting all that its text would show. Shared parts count each time."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        meter.spend(1)
        if isinstance(part, str):
            check_size(len(part))
        elif isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, (list, tuple)):
            waiting.extend(part)
    return value


def _tame(meter: EffortMeter, result: Any) -> Any:
    if isinstance(result, (Iterator, ItemsView, KeysView, ValuesView)):
        result = list(islice(result, MAX_STEPS))
    if isinstance(result, list):
        for part in result:
            for each in part if isinstance(part, tuple) else (part,):
                _refuse_missing(each)
    if isinstance(result, (str, list)):
        meter.spend(_effort(result))
        check_size(len(result))
    return result


def _refuse_missing(value: Any) -> None:
    if isinstance(value, Undefined):
        # A strict undefined value raises when it is used, naming what is missing.
        str(value)


def _effort(value: Any) -> int:
    if isinstance(value, str):
        return 1 + len(value) // 64
    return 1 + len(value) if isinstance(value, (list, tuple, dict)) else 1


def _metered(name: str) -> Callable[..., Any]:
    """A filter of jinja2 that counts what it reads and makes, and gives lists in place of generators."""
    filtered: Callable[..., Any] = _to_json if name == "tojson" else DEFAULT_FILTERS[name]
    wanted = getattr(filtered, "jinja_pass_arg", None)

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value is SKIPPED:
            return _filter_skipped(name, args)
        meter = context[METER]
        meter.spend(_effort(value))
        if name in ("join", "replace", "tojson", "string"):
            _check_growth(meter, name, value, args or tuple(kwargs.values()))
        elif name == "sum" and not isinstance(kwargs.get("start", args[1] if len(args) > 1 else 0), (int, float)):
            raise SecurityError("`sum` adds numbers; use `join` for text")
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        passed = (first[wanted.name],) if wanted else ()
        return _tame(meter, filtered(*passed, value, *args, **kwargs))

    return run


def _filter_skipped(name: str, args: tuple[Any, ...]) -> Any:
    if name in ("default", "d"):
        return args[0] if args else ""
    return {"count": 0, "length": 0, "list": []}.get(name, SKIPPED)


def _to_json(value: Any) -> str:
    """JSON text, with its letters unescaped."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _check_growth(meter: EffortMeter, name: str, value: Any, args: tuple[Any, ...]) -> None:
    if name == "replace" and isinstance(value, str) and len(args) > 1:
        check_size(value.count(str(args[0])) * len(str(args[1])))
    elif name == "join" and isinstance(value, (list, tuple, dict)):
        measured(meter, value)
        separator = len(args[0]) if args and isinstance(args[0], str) else 0
        check_size(sum(len(part) if isinstance(part, str) else 1 for part in value) + separator * len(value))
    elif name in ("tojson", "string"):
        measured(meter, value)


@pass_context
def _looped(context: Context, value: Any) -> Any:
    """The value that a `for` runs over, counted beforehand, so that nested loops end."""
    value = _tame(context[METER], value)
    if isinstance(value, (str, dict, tuple)):
        context[METER].spend(len(value))
    return value


@pass_context
def _compared(context: Context, value: Any) -> Any:
    """The right side of a comparison or an `in`, counted because a loop may repeat it."""
    context[METER].spend(_effort(value))
    return value


@pass_context
def _built(context: Context, value: Any) -> Any:
    """A list, tuple or dict written in Jinja, counted in full because parts may be shared many times."""
    measured(context[METER], value)
    for part in value.values() if isinstance(value, dict) else value:
        _refuse_missing(part)
    if isinstance(value, dict):
        return {key: None if part is SKIPPED else part for key, part in value.items()}
    return [None if part is SKIPPED else part for part in value]


@pass_context
def _concatenated(context: Context, parts: list[Any]) -> str:
    texts = [print_value(context, part) for part in parts]
    check_size(sum(map(len, texts)))
    return "".join(texts)


@pass_context
def print_value(context: Context, value: Any) -> str:
    """The text of a value in Jinja: empty for None and for a skipped output, one line each for a list of outputs."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, (dict, list, tuple)):
        measured(context[METER], value)
        if isinstance(value, Output):
            return str(print_value(context, value.standing))
        if isinstance(value, list) and value and all(isinstance(part, (Output, Skipped)) for part in value):
            return "\n".join(print_value(context, part) for part in value if part)
    return str(value)


class CountedLoops(NodeTransformer):
    """Puts the counting filters into parsed Jinja."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "$looped")
        return node

    def visit_Operand(self, node: nodes.Operand) -> nodes.Operand:
        self.generic_visit(node)
        node.expr = node.expr if isinstance(node.expr, nodes.Const) else _filtered(node.expr, "$compared")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return _filtered(nodes.List(list(node.nodes), lineno=node.lineno), "$concatenated")

    def visit_List(self, node: nodes.List | nodes.Dict) -> nodes.Filter:
        self.generic_visit(node)
        return _filtered(node, "$built")

    visit_Dict = visit_List

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        self.generic_visit(node)
        return _filtered(node, "$built") if node.ctx == "load" else node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    # jinja2's node classes take any fields, untyped.
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja over plain values: fields of dicts, items of lists, a few methods of text, and nothing else."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, finalize=print_value, optimized=False, keep_trailing_newline=True)
        self.globals.clear()
        self.filters = {name: _metered(name) for name in FILTERS}
        self.filters |= {"$looped": _looped, "$built": _built, "$compared": _compared, "$concatenated": _concatenated}
        self.tests = {name: DEFAULT_TESTS[name] for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field, else one of the few methods."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if obj is SKIPPED:
            return SKIPPED
        for kind, names in METHODS.items():
            if isinstance(obj, kind) and attribute in names:
                return getattr(obj, attribute)
        if isinstance(obj, LoopContext) and not attribute.startswith("_") and attribute not in ("cycle", "changed"):
            return getattr(obj, attribute)
        return self._missing(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item of a list, a part of a text, a field."""
        if obj is SKIPPED:
            return SKIPPED
        if isinstance(obj, (dict, list, tuple, str)):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                return self._missing(obj, argument)
        return self._missing(obj, argument)

    def is_safe_callable(self, obj: Any) -> bool:
        """Whether it is one of the bound methods that `getattr` returns."""
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        return any(isinstance(owner, kind) and name in names for kind, names in METHODS.items())

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method of text or of a dict."""
        if not self.is_safe_callable(obj):
            if isinstance(obj, Skipped):
                return SKIPPED
            raise SecurityError("Jinja may call only methods of text")
        owner, name = obj.__self__, obj.__name__
        if name in ("replace", "join"):
            value, rest = (args[0], (owner,)) if name == "join" else (owner, args)
            _check_growth(context[METER], name, value, rest)
        context[METER].spend(_effort(owner))
        return _tame(context[METER], obj(*args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do an operation that could make a huge value, after checking the size of its result."""
        if operator == "%" and isinstance(left, str):
            raise SecurityError("`%` does not format text here; write {{ ... }}")
        if operator == "+" and isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
            check_size(len(left) + len(right))
            context[METER].spend(_effort(left) + _effort(right))
        elif operator == "*":
            _check_product(left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() * max(right, 0))
        return super().call_binop(context, operator, left, right)

    def _missing(self, obj: Any, name: Any) -> Undefined:
        if isinstance(obj, Undefined):
            return obj
        known = f"; it has {', '.join(map(str, obj))}"[:300] if isinstance(obj, dict) and 0 < len(obj) < 50 else ""
        what = "an output" if isinstance(obj, Output) else with_article(type(obj).__name__)
        return StrictUndefined(f"there is no {str(name)[:80]!r} in {what}{known}", name=str(name))


def _check_product(left: Any, right: Any) -> None:
    for many, times in ((left, right), (right, left)):
        if isinstance(many, (str, list, tuple)) and isinstance(times, int):
            check_size(len(many) * max(times, 0))
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())


def _check_bits(bits: int) -> None:
    if bits > MAX_INTEGER_BITS:
        raise LimitExceeded("the Jinja text makes a number of more than a thousand digits", hint="Use smaller numbers.")
