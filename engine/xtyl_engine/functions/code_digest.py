"""The digest of a function's code: equal wherever its cell stands, whatever its comments and docstrings say, in every kernel;
another one when the code, a default or a value changes, of the function or of anything that it uses.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

from xtyl_engine.functions import uses
from xtyl_engine.functions.local_modules import imported_by, is_local, source_digest
from xtyl_engine.functions.packed_function import PYTHON
from xtyl_engine.functions.references import finds, reference

Reduce = Callable[[Any], Any]
_HAS_DOCSTRING = getattr(inspect, "CO_HAS_DOCSTRING", 0)
_EMPTY = {"EXTENDED_ARG", "NOP", "PUSH_NULL"}
_SAME = {"LOAD_METHOD": "LOAD_ATTR"}
# What the body of a class notes of its place and its words.
_NOTES = {"__doc__", "__firstlineno__", "__static_attributes__"}
# What Python and pydantic note of classes and modules: places, words, and what they made of what was written.
_PLACES = {
    *(
        "__abstractmethods__",
        "__annotate__",
        "__annotate_func__",
        "__annotations_cache__",
        "__builtins__",
        "__cached__",
    ),
    *(
        "__dict__",
        "__file__",
        "__loader__",
        "__module__",
        "__name__",
        "__orig_bases__",
        "__package__",
        "__parameters__",
    ),
    *("__path__", "__signature__", "__spec__", "__warningregistry__", "__weakref__", "_abc_impl", *_NOTES),
}
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))


def code_digest(function: Any, *, imported: Mapping[str, str] | None = None) -> str:
    """The digest. `imported` are the local modules that go by their source instead of by what they hold, with its digests.

    Of an importable function the code of its own module counts; what it uses of other installed modules counts by name.
    """
    found = _CodeWalk(imported or {}, _home(function))
    found.feed("python", PYTHON)
    found.visit(function)
    return found.sha.hexdigest()


def same_code(first: CodeType, second: CodeType) -> bool:
    """Whether two codes do the same, comments, docstrings and lines aside."""
    return _code_digest(first) == _code_digest(second)


def _code_digest(code: CodeType) -> str:
    walk = _CodeWalk({}, None)
    walk.visit(code)
    return walk.sha.hexdigest()


class _CodeWalk:
    """One pass over what a function uses. An object met again counts by its number, which ends circles."""

    def __init__(self, imported: Mapping[str, str], home: str | None):
        self.sha = sha256()
        self.imported = imported
        self.home = home
        self.met: dict[int, tuple[int, Any]] = {}

    def feed(self, *words: object) -> None:
        """Take up words, each with its end marked."""
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self.sha.update(b"%d:" % len(data) + data)

    def visit(self, value: Any) -> None:
        kind = type(value)
        if kind in _PLAIN:
            self.feed(kind.__name__, value if kind is bytes else repr(value) if kind is not str else value)
        elif kind is tuple:
            self.every("tuple", value)
        elif kind is set or kind is frozenset:
            self.feed(kind.__name__, *sorted(self.apart(each) for each in value))
        elif kind is CodeType:
            self.code(value)
        elif (known := self.met.get(id(value))) is not None:
            self.feed("met", known[0])
        else:
            # Kept, so that no other object gets its id.
            self.met[id(value)] = (len(self.met), value)
            self.thing(value)

    def apart(self, value: Any) -> str:
        """The digest of an element of a set, which has no order."""
        walk = _CodeWalk(self.imported, self.home)
        walk.visit(value)
        return walk.sha.hexdigest()

    def every(self, what: str, values: Iterable[Any]) -> None:
        values = list(values)
        self.feed(what, len(values))
        for each in values:
            self.visit(each)

    def named(self, what: str, values: Mapping[str, Any]) -> None:
        """Values by name, whose order means nothing."""
        self.feed(what, len(values))
        for name in sorted(values):
            self.feed(name)
            self.visit(values[name])

    def thing(self, value: Any) -> None:
        """Something with an identity: a list, a dict, a function, a class, a module, or an object of any class."""
        kind = type(value)
        if kind is list:
            self.every("list", value)
        elif kind is dict:
            self.every("dict", (part for pair in value.items() for part in pair))
        elif isinstance(value, ModuleType):
            self.module(value.__name__, value)
        elif (home := str(getattr(value, "__module__", None))) in self.imported and finds(home, value):
            self.feed(value.__qualname__)
            self.module(home, None)
        elif (name := reference(value)) is not None and _home(value) != self.home:
            self.feed("name", name)
        elif (parts := _rebuilt(value)) is not None:
            self.every("rebuilt", parts)
        elif kind is FunctionType:
            self.function(value)
        elif isinstance(value, type):
            self.a_class(value)
        elif kind is property:
            self.every("property", (value.fget, value.fset, value.fdel))
        elif kind is classmethod or kind is staticmethod:
            self.every(kind.__name__, (value.__func__,))
        elif kind is MethodType:
            self.every("method", (value.__self__, value.__func__))
        elif kind is partial:
            self.every("partial", (value.func, value.args, value.keywords))
        else:
            self.instance(value)

    def code(self, code: CodeType) -> None:
        self.feed("code", code.co_name, code.co_flags & ~_HAS_DOCSTRING)
        self.feed(code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        self.every("names", (code.co_varnames, code.co_cellvars, code.co_freevars))
        self.every("operations", _operations(code))

    def function(self, function: FunctionType) -> None:
        self.feed("function")
        self.visit(function.__code__)
        self.named("defaults", uses.defaults(function))
        self.named("variables", uses.variables(function))
        self.named("marks", {name: value for name, value in vars(function).items() if name != "__wrapped__"})
        for name in sorted(uses.imports(function)):
            self.module(name, sys.modules.get(name))

    def a_class(self, kind: type) -> None:
        self.feed("class", kind.__name__)
        self.every("bases", (type(kind), *kind.__bases__))
        self.named("body", {name: value for name, value in vars(kind).items() if _is_written(name, value)})

    def module(self, name: str, module: ModuleType | None) -> None:
        """A local module counts by what it holds, or by its source where that is imported; others by name."""
        if name in self.imported or module is None:
            sources = {each: self.imported.get(each) or source_digest(each) for each in imported_by(name)}
            self.named(f"source of {name}", sources)
        elif is_local(module):
            self.named(f"module {name}", {key: value for key, value in vars(module).items() if key not in _PLACES})
        else:
            self.feed("module", name)

    def instance(self, value: Any) -> None:
        """By the way in which it is pickled."""
        try:
            found: Any = _reduced(value)
        except TypeError:
            # A part of Python's own in a class: what was packed beside it can be taken apart.
            found = f"{type(value).__name__} {getattr(value, '__qualname__', '')}"
        if isinstance(found, str):
            self.feed("name", found)
            return
        make, given, state, items, pairs = (*found, None, None, None)[:5]
        self.every("object", (make, given, state, list(items or ()), list(pairs or ())))


def _operations(code: CodeType) -> Iterator[tuple[object, ...]]:
    """What a code does, constants and names in their places: a docstring is a constant that nothing reads.

    Left out is what does not depend on the function alone. A method of a name that the same cell imports is called in another
    way, with other lengths; the body of a class notes its place and its words.
    """
    whole: Any = dis.Bytecode(code)
    kept: list[dis.Instruction] = []
    places: dict[int, int] = {}
    for each in whole:
        places[each.offset] = len(kept)
        if each.opname == "STORE_NAME" and each.argval in _NOTES:
            kept.pop()
        elif each.opname not in _EMPTY:
            kept.append(each)
    for each in kept:
        is_said = each.opcode in dis.hasname or each.opcode in dis.hasconst
        is_jump = each.opcode in dis.hasjrel or each.opcode in dis.hasjabs
        argument = each.argval if is_said else places.get(each.argval) if is_jump else each.arg
        yield _SAME.get(each.opname, each.opname), argument
    for entry in whole.exception_entries:
        start, end, target = (places.get(offset, len(kept)) for offset in (entry.start, entry.end, entry.target))
        yield "CATCH", start, end, target, entry.depth, entry.lasti


def _is_written(name: str, value: Any) -> bool:
    is_made = isinstance(value, (MemberDescriptorType, GetSetDescriptorType)) or name.startswith("__pydantic_")
    return name == "__pydantic_fields__" or not (is_made or name in _PLACES)


def _home(value: Any) -> str | None:
    """The module that holds the code of a function or a class, whatever it says of itself."""
    home = value.__globals__.get("__name__") if isinstance(value, FunctionType) else getattr(value, "__module__", None)
    return home if isinstance(home, str) else None


def _rebuilt(value: Any) -> Any:
    from xtyl_engine.functions.pickler import rebuilt

    return rebuilt(value)


def _reduced(value: Any) -> Any:
    from xtyl_engine.functions.pickler import Pickler

    reduce: Reduce | None = Pickler.dispatch_table.get(type(value))
    return reduce(value) if reduce else value.__reduce_ex__(4)
