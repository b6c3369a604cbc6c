"""One call of a user's function: its arguments with their files opened, its result as plain JSON, its error in the user's own
words and frames, without the engine's. Packing functions is for `functions.packed_function`.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from xtyl_engine.errors import PermanentError, TransientError, WorkflowException
from xtyl_engine.functions.packed_function import function_name
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.error_text import describe_error, trace_text
from xtyl_engine.values.plain import is_frame, plain, plain_records

Function = Callable[..., Any]


def call(
    function: Function,
    arguments: Mapping[str, Any],
    store: ArtifactStore,
    hide: Callable[[str], str] = str,
    *,
    is_named: bool = False,
) -> tuple[dict[str, Any], int | None]:
    """Call the function; its output, and how many items it has. A list or a table becomes items, anything else the one `value`.
    `hide` takes secrets out of the text of an error. A function that a plan names by its import path is the operator's, who may
    have opened `json:loads`: a reference that it returns is to a file that its arguments hold.

    References to stored files arrive as Artifact: `.path`, `.open()`, `.read()`.
    """
    result = _called(function, {name: opened(value, store) for name, value in arguments.items()}, hide)
    where = f"the result of {function_name(function)}()"
    files = frozenset(store.digests(dict(arguments))) if is_named else None
    if is_frame(result):
        items = plain_records(result, store, where=where, mends=True, files=files)
    else:
        value = plain(result, store, where=where, mends=True, files=files)
        if not isinstance(value, list):
            return {"value": value}, None
        items = value
    return {"items": items}, len(items)


def opened(value: Any, store: ArtifactStore) -> Any:
    """An argument with each reference to a stored file replaced by its Artifact."""
    if isinstance(value, dict):
        if store.knows(value):
            return store.artifact(value)
        return {name: opened(part, store) for name, part in value.items()}
    return [opened(part, store) for part in value] if isinstance(value, list) else value


def _called(function: Function, arguments: dict[str, Any], hide: Callable[[str], str]) -> Any:
    try:
        result = function(**arguments)
        return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result
    except WorkflowException:
        raise
    except BaseException as error:
        # SystemExit and KeyboardInterrupt in a function end the job, not the process.
        _raise_for(function, error, hide)


async def _awaited(result: Any) -> Any:
    return await result


def _raise_for(function: Function, error: BaseException, hide: Callable[[str], str]) -> NoReturn:
    name, text, trace = function_name(function), describe_error(error, hide), trace_text(error, hide)
    if isinstance(error, TypeError) and error.__traceback__ is not None and error.__traceback__.tb_next is None:
        hint = f"Pass what it takes: {name}{_signature(function)}."
        raise PermanentError(f"{name}() does not take what it was given: {text.message}", hint=hint) from error
    message = f"{name}() raised {text.type}" + (f": {text.message}" if text.message != text.type else "")
    message += _line(function, error)
    if isinstance(error, (ConnectionError, TimeoutError)):
        raise TransientError(message, traceback=trace, raised=text.type) from error
    raise PermanentError(message, traceback=trace, raised=text.type) from error


def _line(function: Function, error: BaseException) -> str:
    """The last line of the user's own file or cell that the error passed through."""
    file = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", None)
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f" (line {lines[-1]})" if lines else ""


def _signature(function: Function) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"
