"""Sentry: what an operator must know goes there, jobs that failed for good and what the engine itself could not do. An event is
put together here from names and places alone; no prompt, value, variable or message of a user's exception is in it to be filtered
out.
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
from xtyl_engine.telemetry.log_lines import bound, hide
from xtyl_engine.values.error_text import type_name

if TYPE_CHECKING:
    from xtyl_engine.settings import Settings

log = logging.getLogger("xtyl")
EVERY_SECONDS = 60.0
MOST_KINDS = 1_000
MOST_FRAMES = 50
MOST_CAUSES = 5
ENGINE = str(PurePath(__file__).parent.parent)
LIBRARIES = ("celery", "kombu", "uvicorn")
# Their words are the engine's own, or a server's about itself.
TOLD = (BackendError, SettingsError)


def watch_errors(settings: Settings) -> Errors | None:
    """Send this process's errors to XTYL_SENTRY_DSN, if it is set. Raises SettingsError."""
    return Errors(settings.sentry_dsn) if settings.sentry_dsn else None


class Errors(logging.Handler):
    """What goes to Sentry from one process. The same failure is sent once a minute, with how often it was seen (`times`)."""

    def __init__(self, dsn: str):
        super().__init__(logging.ERROR)
        try:
            from sentry_sdk import Client
        except ImportError:
            raise SettingsError(
                "XTYL_SENTRY_DSN is set, and sentry-sdk is not installed here",
                hint="Install it with `pip install 'xtyl-nb[observe]'`, or leave XTYL_SENTRY_DSN out.",
            ) from None
        # Not the process's own client: that one is for whoever watches the functions that run here.
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
        # A pool's child has its parent's.
        root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, Errors)] + [self]

    def failed(self, claim: Claim, type: str, error: BaseException, failure: Failure) -> None:
        """A job failed for good, or paused its run. Never raises, whatever the exception is."""
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
        """The engine, or what it runs in, logged an error. What users' code logs is not for here, whatever logger it takes."""
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
        """Send what is left, for two seconds at most."""
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
        log.warning("not told to Sentry: %s", type_name(broken))


def _exceptions(error: BaseException | None, told: Callable[[BaseException], str]) -> list[dict[str, Any]]:
    """The exception and what caused it, the first cause first: types and places."""
    found: list[dict[str, Any]] = []
    while error is not None and len(found) < MOST_CAUSES:
        frames = [_frame(frame, line) for frame, line in walk_tb(error.__traceback__)][-MOST_FRAMES:]
        found.append({"type": type_name(error)[:200], "value": told(error), "stacktrace": {"frames": frames}})
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found[::-1]


def _frame(frame: Any, line: int) -> dict[str, Any]:
    """Where a line stands. Of its path the name alone: the rest says whose machine it is."""
    code, module = frame.f_code, str(frame.f_globals.get("__name__"))
    is_theirs = not module.startswith("xtyl_engine.")
    return {
        "module": module,
        "filename": PurePath(code.co_filename).name,
        "function": code.co_name,
        "lineno": line,
        "in_app": is_theirs,
    }


def _code(error: BaseException) -> str:
    """What is said of a job's exception: of one of our classes its code, for its words may quote a prompt."""
    return str(type(error).code) if isinstance(error, WorkflowException) else ""


def _value(error: BaseException) -> str:
    """What is said of the engine's own."""
    return hide(error.message)[:300] if isinstance(error, TOLD) else _code(error)


def _words(record: logging.LogRecord) -> str:
    """A log line with numbers and what servers said of themselves filled in, and nothing else."""
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
