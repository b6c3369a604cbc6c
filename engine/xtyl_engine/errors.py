"""Every error a user can meet, in one tree. Each carries a code, data, and a message in one order: what, where, why, what
to do now. A node's errors also say whether a retry makes sense; when to retry is decided elsewhere. Here too is what any text
from outside becomes before it is printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from linecache import getlines
from traceback import walk_tb
from typing import Any

MAX_RETRY_AFTER = 3600.0
# What acts on a terminal: controls but tab and newline, the second set of them (C1), marks that reorder what stands around them,
# other ends of lines; and halves of characters, which no output can encode.
_ACTING = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff\ufff9-\ufffb\U000e0001]"
)


class ErrorClass(StrEnum):
    """What a failed attempt means for its job."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    PARTIAL = "partial"


class WorkflowException(Exception):
    """Something went wrong in a workflow. `usage` is what the request that failed had used, a provider's `Usage`."""

    code = "xtyl/error"
    error_class = ErrorClass.PERMANENT

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        node: str | None = None,
        usage: Any = None,
        **data: Any,
    ):
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.hint = hint
        self.node = node
        self.usage = usage
        self.data = data
        super().__init__(self.message)

    def __str__(self) -> str:
        where = f"[{self.node}] " if self.node else ""
        advice = f"\n  {self.hint}" if self.hint else ""
        # The text is stored and printed anywhere, and a user's own words in it may hold any character.
        return visible(f"{where}{self.message}{advice}")

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: the message, and the line of the user's code that led here."""
        line = _line_outside(self)
        return [*([line] if line else []), f"{type(self).__name__}: {self}"]


def _line_outside(error: BaseException) -> str | None:
    """The last line of a traceback that is neither ours nor IPython's."""
    found = None
    for frame, number in walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] not in ("xtyl_engine", "xtyl_nb", "IPython", "contextlib"):
            lines = getlines(frame.f_code.co_filename)
            place = "" if module == "__main__" else f"{frame.f_code.co_filename}, "
            source = lines[number - 1].strip() if number <= len(lines) else ""
            # In a cell of one line, the line needs no number.
            found = f"{place}line {number}: {source}" if place or len(lines) > 1 else None
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a workflow, and what to do about it."""

    code: str
    node: str | None
    message: str
    hint: str


class WorkflowError(WorkflowException, ValueError):
    """The workflow cannot run as it is written."""

    code = "workflow/invalid"

    def __init__(self, problems: Sequence[Problem], *, workflow: str = "", document: Any = None):
        self.problems = tuple(problems)
        self.workflow = workflow
        self.document = document
        count = len(self.problems)
        head = f"{workflow or 'workflow'}: {count} problem{'s' if count != 1 else ''}"
        lines = [
            f"  {number}. {problem.code} at {problem.node or 'the workflow'}: {_indented(problem.message)}\n     {problem.hint}"
            for number, problem in enumerate(self.problems, 1)
        ]
        super().__init__("\n".join([head, *lines]))


def _indented(text: str) -> str:
    return text.replace("\n", "\n     ")


class FrameError(WorkflowException, ValueError):
    """The table of inputs cannot be used."""

    code = "frame/invalid"


class ControlRefused(WorkflowException, RuntimeError):
    """The run is not in a state that allows this."""

    code = "run/refused"


class DecisionRefused(WorkflowException, ValueError):
    """The review cannot take this decision."""

    code = "review/refused"


class RunNotFound(WorkflowException, LookupError):
    """No run has this id."""

    code = "run/not-found"

    @classmethod
    def of(cls, execution_id: str) -> RunNotFound:
        """One message for a run that does not exist and for a run of another project, so that neither is revealed."""
        return cls(f"no run has the id {execution_id!r}", hint="`xt.runs()` lists the runs of this back end.")


class RunAmbiguous(WorkflowException, LookupError):
    """The beginning of an id is that of several runs."""

    code = "run/ambiguous"

    @classmethod
    def of(cls, text: str, ids: Sequence[str], *, is_all: bool) -> RunAmbiguous:
        """Several runs, of which some ids, or all, are named."""
        names = "\n".join(f"  {id}" for id in (*ids, *(() if is_all else ("…",))))
        return cls(f"more than one run begins with {text!r}:\n{names}", hint="Write more of the id.")


class TemplateNotFound(WorkflowException, LookupError):
    """No template has this id or name."""

    code = "template/not-found"


class KeyReused(WorkflowException, ValueError):
    """The submission's key was used for another one."""

    code = "run/key-reused"


class StreamTooSlow(WorkflowException, TimeoutError):
    """A listener took its events too slowly, and was cut off."""

    code = "stream/too-slow"


class TooManyStreams(WorkflowException, RuntimeError):
    """As many event streams are open as this server allows."""

    code = "stream/too-many"


class WaitTimeout(WorkflowException, TimeoutError):
    """The run did not finish in the time given."""

    code = "run/timeout"


class BackendError(WorkflowException, ConnectionError):
    """The back end cannot be reached."""

    code = "backend/unreachable"


class BackendStartError(BackendError):
    """The embedded back end did not start."""

    code = "backend/start"


def visible(text: object) -> str:
    """The text of a value, safe for a terminal: a character that would move the cursor, colour, hide or reorder other text is
    shown as Python writes it, `\\x1b`. Lines and tabs stay."""
    return _ACTING.sub(_written, str(text).replace("\r\n", "\n"))


def visible_line(text: object) -> str:
    """The same on one line, for a cell of a table: no text can begin a line of its own."""
    return " ".join(visible(text).split())


def _written(found: re.Match[str]) -> str:
    is_no_text = found[0] == "\0" or "\ud800" <= found[0] <= "\udfff"
    return "\ufffd" if is_no_text else found[0].encode("unicode_escape").decode()


def sane_seconds(seconds: object) -> float | None:
    """Seconds from 0 to an hour; None for a value that is no time. The value comes from servers, through users' code."""
    try:
        value = float(seconds)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(value, 0.0), MAX_RETRY_AFTER) if value == value else None


class TransientError(WorkflowException):
    """A failure that a retry may cure: network, timeout, rate limit. With `is_refused` the server was not reached, or said no:
    nothing was billed."""

    code = "node/transient"
    error_class = ErrorClass.TRANSIENT

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        is_refused: bool = False,
        **data: Any,
    ):
        super().__init__(message, **data)
        self.retry_after = sane_seconds(retry_after)
        self.is_refused = is_refused or self.retry_after is not None


class NodeTimeout(TransientError, TimeoutError):
    """The node did not finish in the time it was given."""

    code = "node/timeout"


class AnswerLost(TransientError):
    """The request was sent, and no whole answer came back: whether it was billed is not known."""

    code = "node/answer-lost"


class PermanentError(WorkflowException):
    """A failure that a retry would only repeat: bad input, bad key, refused content."""

    code = "node/permanent"


class AnswerMisfit(PermanentError):
    """An answer does not fit what its step returns."""

    code = "node/misfit"

    def __init__(self, message: str | None = None, *, answer: str = "", asks_again: bool = False, **data: Any):
        super().__init__(message, answer=answer, asks_again=asks_again, **data)
        self.answer = answer
        self.asks_again = asks_again


class PartialFailureError(WorkflowException):
    """A failure that a person should look at: the run pauses until it is resumed."""

    code = "node/partial"
    error_class = ErrorClass.PARTIAL


class RenderError(PermanentError, ValueError):
    """Jinja text could not be rendered."""

    code = "template/error"


# Packages were written with this name.
TemplateError = RenderError


class ValueNotPlain(PermanentError, TypeError):
    """A value cannot be stored: it is not text, a number, a list, a table, an image or a file."""

    code = "value/not-plain"


class LimitExceeded(PermanentError, ValueError):
    """Something is larger than the engine allows."""

    code = "limit/exceeded"


class FunctionRejected(PermanentError):
    """A function from a notebook may not run here."""

    code = "function/rejected"


def with_article(noun: str) -> str:
    """A noun with its indefinite article: `an int`, `a str`."""
    return f"{'an' if noun.lower().startswith(('a', 'e', 'i', 'o', 'ndarray')) else 'a'} {noun}"


def closest_name(name: str, known: Iterable[str]) -> str:
    """The hint for a name that is not known: the one closest to it, or else all there are."""
    from difflib import get_close_matches

    names = list(known)
    close = get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Use one of {', '.join(names)}."
