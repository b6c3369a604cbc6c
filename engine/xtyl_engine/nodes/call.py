"""The node that runs the user's own Python function. The result must be plain; an error keeps the user's own message and
frames, without the engine's. Packing functions is for `values.packing`.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

from pydantic import BeforeValidator, Field

from xtyl_engine.errors import PermanentError, TransientError, WorkflowException
from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.error_text import describe_error, trace_text
from xtyl_engine.values.functions import function_name
from xtyl_engine.values.plain import is_frame, plain, plain_records


def _check_function(value: Any) -> Any:
    if callable(value) or isinstance(value, dict) or (isinstance(value, str) and ":" in value):
        return value
    raise ValueError("pass a function, or text such as 'package.module:name'")


class Call(NodeConfig):
    """The function and its keyword arguments. In a job the function is a mapping that names the stored one."""

    function: Annotated[Any, BeforeValidator(_check_function)]
    arguments: dict[str, Any] = Field(default_factory=dict)


def run(config: Call, context: Context) -> Done:
    """Call the function. A list or a table becomes items, anything else the one `value`.

    References to stored files arrive as Artifact: `.path`, `.open()`, `.read()`.
    """
    function = context.function(config.function)
    arguments = {name: opened(value, context.artifacts) for name, value in config.arguments.items()}
    result = _called(function, arguments)
    where = f"the result of {function_name(function)}()"
    if is_frame(result):
        items = plain_records(result, context.artifacts, where=where, mends=True)
    else:
        value = plain(result, context.artifacts, where=where, mends=True)
        if not isinstance(value, list):
            return Done(output={"value": value})
        items = value
    return Done(output={"items": items}, items=len(items))


def opened(value: Any, store: ArtifactStore) -> Any:
    """An argument with each reference to a stored file replaced by its Artifact."""
    if isinstance(value, dict):
        if store.knows(value):
            return store.artifact(value)
        return {name: opened(part, store) for name, part in value.items()}
    return [opened(part, store) for part in value] if isinstance(value, list) else value


def _called(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        result = function(**arguments)
        return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result
    except WorkflowException:
        raise
    except BaseException as error:
        # SystemExit and KeyboardInterrupt in a function end the job, not the worker.
        _raise_for(function, error)


async def _awaited(result: Any) -> Any:
    return await result


def _raise_for(function: Callable[..., Any], error: BaseException) -> NoReturn:
    name, text, trace = function_name(function), describe_error(error), trace_text(error)
    if isinstance(error, TypeError) and error.__traceback__ is not None and error.__traceback__.tb_next is None:
        hint = f"Pass what it takes: {name}{_signature(function)}."
        raise PermanentError(f"{name}() does not take what it was given: {text.message}", hint=hint) from error
    message = f"{name}() raised {text.type}" + (f": {text.message}" if text.message != text.type else "")
    message += _line(function, error)
    if isinstance(error, (ConnectionError, TimeoutError)):
        raise TransientError(message, traceback=trace, raised=text.type) from error
    raise PermanentError(message, traceback=trace, raised=text.type) from error


def _line(function: Callable[..., Any], error: BaseException) -> str:
    """The last line of the user's own file or cell that the error passed through."""
    file = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", None)
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f" (line {lines[-1]})" if lines else ""


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"


NODE_TYPE = NodeType(
    name="call",
    config=Call,
    run=run,
    main="value",
    rendered=("arguments",),
    expands=True,
    takes_function=True,
    makes_images=True,
)
