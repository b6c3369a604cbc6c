"""Whether a module that the kernel has imported is still what its file says: one that cannot be packed is imported again where
the function runs, and must be the same there.
"""

from __future__ import annotations

import ast
import dis
import inspect
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from xtyl_engine.functions.code_digest import same_code
from xtyl_engine.functions.local_modules import source


def is_fresh(module: ModuleType) -> bool:
    """Whether its functions and constants are those of its file. What its functions set at its level is their own affair."""
    text = source(module.__name__)
    if text is None:
        return True
    try:
        whole = compile(text, module.__file__ or "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    written = defaultdict(list)
    for code in _codes(whole):
        written[code.co_qualname].append(code)
    held = vars(module)
    return all(
        any(same_code(code, each) for each in written[code.co_qualname]) for code in _functions(module, module)
    ) and all(type(held.get(name)) is not type(value) or held[name] == value for name, value in _constants(text, whole))


def _functions(module: ModuleType, holder: Any) -> Iterator[CodeType]:
    for value in vars(holder).values():
        value = inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)))
        if isinstance(value, FunctionType) and value.__code__.co_filename == module.__file__:
            yield value.__code__
        elif isinstance(value, type) and value.__module__ == module.__name__ and value is not holder:
            yield from _functions(module, value)


def _constants(text: str, whole: CodeType) -> Iterator[tuple[str, Any]]:
    """The names that are given a literal once, and that no function sets."""
    given: dict[str, Any] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            try:
                given[name] = dis if name in given else ast.literal_eval(node.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                given[name] = dis
    free = {
        each.argval for code in _codes(whole) for each in dis.get_instructions(code) if each.opname == "STORE_GLOBAL"
    }
    return ((name, value) for name, value in given.items() if value is not dis and name not in free)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)
