"""Sentry: reports jobs that failed for good, and errors of the engine itself. An event is built here from names and places alone:
it never holds a prompt, a value, a variable or the message of a user's exception.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import PurePath
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import BackendError, ErrorClass, WorkflowException
from xtyl_engine.scheduler.outcomes import Claim, Failure
from xtyl_engine.settings import SettingsError
from xtyl_engine.telemetry.log_lines import bound
from xtyl_engine.values.error_text import type_name
from xtyl_engine.values.masking import hide

if TYPE_CHECKING:
    from xtyl_engine.settings import Settings

log = logging.getLogger("xtyl")
EVERY_SECONDS = 60.0
MOST_KINDS = 1_000
MOST_FRAMES = 50
MOST_CAUSES = 5
ENGINE = str(PurePath(__file__).parent.parent)
LIBRARIES = ("celery", "kombu", "uvicorn")
# Their messages are the engine's own, or a server's about itself, so they may be sent.
TOLD = (BackendError, SettingsError)


def watch_errors(settings: Settings) -> Errors | None:
    """Send this process's errors to XTYL_SENTRY_DSN, if it is set. Raises SettingsError where sentry-sdk is missing."""
    return Errors(settings.sentry_dsn) if settings.sentry_dsn else None


class Errors(logging.Handler):
    """Sends the errors of one process to Sentry: the same one once a minute at most, with how often it came in `times`."""

    def __init__(self, dsn: str):
        super().__init__(logging.ERROR)
        try:
            from sentry_sdk import Client
        except ImportError:
            raise SettingsError(
                "XTYL_SENTRY_DSN is set, but sentry-sdk is not installed here",
                hint="Install it with `pip install 'xtyl-nb[observe]'`, or leave XTYL_SENTRY_DSN out.",
            ) from None
        # Not the process-wide client: that one belongs to users' functions, which may report by themselves.
        self._client = Client(
            dsn=dsn,
            release=f"xtyl-nb@{version('xtyl-nb')}",
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            include_source_context=False,
            max_breadcrumbs=0,
        )
        self._sent: dict[Hashable, tuple[float, int]] = {}
        self._counting = threading.Lock()
        root = logging.getLogger()
        # A forked child inherits its parent's handler; this one replaces it.
        root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, Errors)] + [self]

    def failed(self, claim: Claim, type: str, error: BaseException, failure: Failure) -> None:
        """Report a job that failed for good, or paused its run. Never raises, whatever the exception is."""
        tags = {"execution": claim.execution_id, "node": claim.node, "item": claim.item, "attempt": claim.number}
        with _harmless():
            told = _exceptions(error, _code)
            event = {
                "level": "warning" if failure.error_class is ErrorClass.PARTIAL else "error",
                "logger": "xtyl.job",
                "tags": tags | {"type": type, "error_class": str(failure.error_class)},
                "exception": {"values": told},
            }
            self._send((type, repr(told)), event)

    def emit(self, record: logging.LogRecord) -> None:
        """Report an error that the engine or a library it runs in logged; lines from users' code are left out, on any logger."""
        if record.pathname.startswith(ENGINE) or record.name.partition(".")[0] in LIBRARIES:
            with _harmless():
                self._tell(record)

    def _tell(self, record: logging.LogRecord) -> None:
        event = {
            "level": "fatal" if record.levelno >= logging.CRITICAL else "error",
            "logger": record.name,
            "tags": bound(),
            "logentry": {"formatted": _words(record)},
        }
        if record.exc_info and record.exc_info[1]:
            event["exception"] = {"values": _exceptions(record.exc_info[1], _value)}
        self._send((record.pathname, record.lineno), event)

    def close(self) -> None:
        """Send the remaining events, for two seconds at most."""
        logging.getLogger().removeHandler(self)
        self._client.close(timeout=2.0)
        super().close()

    def _send(self, kind: Hashable, event: dict[str, Any]) -> None:
        now = time.monotonic()
        with self._counting:
            at, unsent = self._sent.get(kind, (now - EVERY_SECONDS, 0))
            if now - at < EVERY_SECONDS:
                self._sent[kind] = (at, unsent + 1)
                return
            if len(self._sent) >= MOST_KINDS:
                self._sent.clear()
            self._sent[kind] = (now, 0)
        tags = {name: str(value)[:200] for name, value in event["tags"].items()} | {"times": str(unsent + 1)}
        self._client.capture_event({**event, "tags": tags})  # type: ignore[typeddict-item]


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as broken:
        log.warning("an error could not be reported to Sentry: %s", type_name(broken))


def _exceptions(error: BaseException | None, told: Callable[[BaseException], str]) -> list[dict[str, Any]]:
    """The exception and its causes, the first cause first: types and places."""
    found: list[dict[str, Any]] = []
    elsewhere = error.data.get("causes", ()) if isinstance(error, WorkflowException) else ()
    while error is not None and len(found) < MOST_CAUSES:
        frames = [_frame(*_place(frame), line) for frame, line in walk_tb(error.__traceback__)][-MOST_FRAMES:]
        found.append({"type": type_name(error)[:200], "value": told(error), "stacktrace": {"frames": frames}})
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    # What a function raised in its own process came as names and places.
    found += [
        {
            "type": each["type"][:200],
            "value": "",
            "stacktrace": {"frames": [_frame(*place) for place in each["frames"]]},
        }
        for each in elsewhere
    ]
    return found[::-1]


def _place(frame: Any) -> tuple[str, str, str]:
    return str(frame.f_globals.get("__name__")), frame.f_code.co_filename, frame.f_code.co_name


def _frame(module: str, file: str, function: str, line: int) -> dict[str, Any]:
    """The place of a line. The file's name stands without its folders, which may hold a user's name."""
    is_theirs = not module.startswith("xtyl_engine.")
    return {
        "module": module,
        "filename": PurePath(file).name,
        "function": function,
        "lineno": line,
        "in_app": is_theirs,
    }


def _code(error: BaseException) -> str:
    """What an event holds of a job's exception: the code, if its class is ours. Its message may quote a prompt."""
    return str(type(error).code) if isinstance(error, WorkflowException) else ""


def _value(error: BaseException) -> str:
    """What an event holds of an exception of the engine itself: its message where that is safe, else its code."""
    return hide(error.message)[:300] if isinstance(error, TOLD) else _code(error)


def _words(record: logging.LogRecord) -> str:
    """A log line with only its numbers and safe exceptions filled in."""
    args: Any = record.args
    filled = {k: _word(v) for k, v in args.items()} if isinstance(args, Mapping) else tuple(map(_word, args or ()))
    try:
        return hide(str(record.msg) % filled) if filled else hide(str(record.msg))
    except (TypeError, ValueError):
        return hide(str(record.msg))


def _word(value: object) -> object:
    if isinstance(value, int | float):
        return value
    return _value(value) or type_name(value) if isinstance(value, BaseException) else "…"
