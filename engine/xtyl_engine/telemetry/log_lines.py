"""Formats log lines: one JSON object a line, or text, with the names of the current job bound to each line and secrets removed.
Lines go to standard error; the files of embedded processes are in `embedded.log_files`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, ContextDecorator, contextmanager
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import visible
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.values.masking import HIDDEN, hide, names_secret

if TYPE_CHECKING:
    from xtyl_engine.settings import Settings


@contextmanager
def about(claim: Claim) -> Iterator[None]:
    """Bind a job's names to each line logged inside, also by a user's function."""
    from structlog.contextvars import bind_contextvars, reset_contextvars

    # `bound_contextvars` reads every variable first, and takes three times as long.
    bound = bind_contextvars(execution=claim.execution_id, node=claim.node, item=claim.item, attempt=claim.number)
    try:
        yield
    finally:
        reset_contextvars(**bound)


def about_execution(execution_id: str, **names: str | int) -> AbstractContextManager[None]:
    """Bind an execution's id, and other names, to each line logged inside; a request uses it, for example."""
    from structlog.contextvars import bound_contextvars

    return bound_contextvars(execution=execution_id, **names)


class harmless(ContextDecorator):
    """Log an error of what only watches a job: it must not cost the job its result. A class, for each job passes several, and a
    generator takes four times as long."""

    def __init__(self, what: str):
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        logging.getLogger("xtyl").error("%s failed; the job goes on", self._what, exc_info=error)
        return True


def bound() -> dict[str, Any]:
    """The names bound to a line logged here."""
    from structlog.contextvars import get_contextvars

    return get_contextvars()


def keep_journal(settings: Settings) -> None:
    """Write this process's log, libraries included, to its standard error, at the level and in the format of the settings."""
    import structlog

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _without_secrets,
                structlog.processors.JSONRenderer(ensure_ascii=False) if settings.writes_json else _as_text,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)


def _without_secrets(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {visible(name): _hidden(value) for name, value in line.items()}


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return visible(hide(value))
    if isinstance(value, Mapping):
        return {visible(name): HIDDEN if names_secret(name) else _hidden(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden(part) for part in value]
    return value if value is None or isinstance(value, int | float) else visible(hide(repr(value)))


def _as_text(logger: Any, method: str, line: MutableMapping[str, Any]) -> str:
    said, level, time = line.pop("event"), line.pop("level"), line.pop("timestamp")
    trace, name = line.pop("exception", None), line.pop("logger")
    bound = "".join(f" {key}={value}" for key, value in line.items())
    return f"[{time} {level.upper()} {name}] {said}{bound}" + (f"\n{trace}" if trace else "")
