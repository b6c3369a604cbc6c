"""An exception as text: its type, message and traceback, never the object. An exception may be the user's code, so an
error raised while it is described is caught. Storing the text is for the caller.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xtyl_engine.errors import WorkflowException
from xtyl_engine.values.plain import mend

MAX_MESSAGE = 2_000
MAX_TRACEBACK = 16_000
_OURS = str(Path(__file__).parent.parent)
_PLUMBING = ("/asyncio/", "<frozen ", "/concurrent/futures/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorText:
    """An exception as text."""

    type: str
    message: str
    traceback: str


def describe_error(error: BaseException, hide: Callable[[str], str] = str) -> ErrorText:
    """An exception as text that can be stored anywhere: capped, valid Unicode, without our own frames, and without what `hide`
    takes out of a text.

    An error that wraps a user's exception holds the traceback of that exception under `data["traceback"]`.
    """
    kept = error.data.get("traceback") if isinstance(error, WorkflowException) else None
    return ErrorText(
        type=type_name(error),
        message=_clean(hide(_message(error)), MAX_MESSAGE),
        traceback=_clean(hide(kept), MAX_TRACEBACK) if isinstance(kept, str) else trace_text(error, hide),
    )


def type_name(error: BaseException) -> str:
    """The name of an exception's type, with its module unless the type is built in or ours."""
    module = type(error).__module__
    bare = module in ("builtins", "__main__") or module.startswith("xtyl_engine.")
    return type(error).__qualname__ if bare else f"{module}.{type(error).__qualname__}"


def trace_text(error: BaseException, hide: Callable[[str], str] = str) -> str:
    """The traceback of an exception and its causes: the user's frames, without ours. What `hide` takes out of a text is taken out
    before it is cut, which might cut a secret."""
    try:
        trace = traceback.TracebackException.from_exception(error, compact=True)
        _trim(trace)
        return _clean(hide("".join(trace.format())), MAX_TRACEBACK)
    except Exception as problem:
        return f"{type_name(error)}: its traceback cannot be shown, {type(problem).__name__} was raised by it\n"


def _message(error: BaseException) -> str:
    try:
        message = str(error)
        return str.__str__(message) if message else type_name(error)
    except BaseException as problem:
        return f"{type_name(error)}, whose own text raised {type(problem).__name__}"


def _trim(trace: traceback.TracebackException | None) -> None:
    while trace is not None:
        theirs = [frame for frame in trace.stack if not _is_plumbing(frame.filename)]
        if theirs:
            trace.stack[:] = theirs
        _trim(trace.__context__ if trace.__cause__ is not None else None)
        trace = trace.__cause__ or trace.__context__


def _is_plumbing(filename: str) -> bool:
    return filename.startswith(_OURS) or any(part in filename for part in _PLUMBING)


def _clean(text: str, limit: int) -> str:
    text = mend(text)
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - limit:,} characters left out ...\n{text[-half:]}"
