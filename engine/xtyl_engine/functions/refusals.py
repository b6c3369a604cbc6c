"""The words for a function that cannot be packed: which variable is in the way, whose it is, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import _lru_cache_wrapper, partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

from xtyl_engine.errors import FunctionRejected, with_article
from xtyl_engine.functions import uses
from xtyl_engine.functions.packed_function import Function, function_name
from xtyl_engine.functions.references import reference

Fault = Callable[[Any], str | None]
_MAX_REASON = 200


def unpackable(function: Function, fault: Fault, error: Exception) -> FunctionRejected:
    """The error for a function that cannot be packed. `fault` says why a value cannot, or None."""
    name = function_name(function)
    for owner, variable, value in _captured(function, set()):
        if (reason := fault(value)) is not None:
            what = (
                f"`{variable}`, {with_article(type(value).__name__)} that {owner} captured, cannot be packed: {reason}"
            )
            if owner.endswith("()"):
                hint = f"Create {variable} inside {owner}, or pass plain values as arguments."
            else:
                hint = f"Put {owner} into a module beside the notebook: it is imported where the function runs."
            return FunctionRejected(f"{name}() cannot be sent to a worker: {what[:_MAX_REASON]}", hint=hint)
    return FunctionRejected(
        f"{name}() cannot be sent to a worker: {type(error).__name__}: {str(error)[:_MAX_REASON]}",
        hint="Write it as a plain function that creates what it needs.",
    )


def edited(function: Function, module: ModuleType, fault: Fault) -> FunctionRejected:
    """The error for a module that must be imported where the function runs, and is not what its file says."""
    name, reason = module.__name__, "it is imported by one that cannot be packed"
    for variable, value in vars(module).items():
        if not variable.startswith("__") and not isinstance(value, ModuleType) and fault(value) is not None:
            reason = f"`{variable}`, {with_article(type(value).__name__)}, cannot be packed"
            break
    return FunctionRejected(
        f"{function_name(function)}() cannot be sent to a worker: the module {name} has to be imported from its file there, "
        f"as {reason}, and here it is not what the file says",
        hint=f"Run importlib.reload({name}), or restart the kernel.",
    )


def _captured(value: Any, seen: set[int], owner: str = "") -> Iterator[tuple[str, str, Any]]:
    """The variables that a function captures, each with its owner; first those of what it uses."""
    if id(value) in seen or reference(value) is not None:
        return
    seen.add(id(value))
    owner, held = _held(value)
    for variable, each in held.items():
        yield from _captured(each, seen)
        yield owner, variable, each


def _held(value: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(value, _lru_cache_wrapper):
        value = value.__wrapped__
    if isinstance(value, MethodType):
        return f"{value.__func__.__qualname__}()", {"self": value.__self__, value.__func__.__name__: value.__func__}
    if isinstance(value, FunctionType):
        return f"{value.__name__}()", uses.variables(value) | uses.defaults(value)
    if isinstance(value, partial):
        given = {f"argument {place}": each for place, each in enumerate(value.args, 1)} | value.keywords
        return f"the partial of {function_name(value.func)}()", {function_name(value.func): value.func, **given}
    if isinstance(value, type):
        return value.__name__, {name: getattr(each, "__func__", each) for name, each in vars(value).items()}
    if isinstance(value, ModuleType):
        return f"the module {value.__name__}", {}
    is_own = getattr(type(value), "__module__", None) == "__main__"
    return f"an object of {type(value).__name__}", dict(vars(value)) if is_own and hasattr(value, "__dict__") else {}
