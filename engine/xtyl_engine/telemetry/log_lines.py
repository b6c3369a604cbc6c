"""Formats log lines: one JSON object a line, or text, with the names of the current job bound to each line and secrets removed.
Lines go to standard error; the files of embedded processes are in `embedded.log_files`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import ContextDecorator
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import visible
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.values.masking import HIDDEN, hide, names_secret

if TYPE_CHECKING:
    from xtyl_engine.settings import Settings

_names: ContextVar[Mapping[str, str | int]] = ContextVar("names", default=MappingProxyType({}))


class named:
    """Bind names to each line logged inside, beside those bound around it. A class with one variable, for each job passes it: the
    context of structlog takes one variable a name, and ten times as long."""

    def __init__(self, **names: str | int):
        self._bound = names

    def __enter__(self) -> None:
        self._before = _names.set({**_names.get(), **self._bound})

    def __exit__(self, *raised: object) -> None:
        _names.reset(self._before)


def about(claim: Claim) -> named:
    """Bind a job's names to each line logged inside, also by a user's function."""
    return named(execution=claim.execution_id, node=claim.node, item=claim.item, attempt=claim.number)


def about_execution(execution_id: str, **names: str | int) -> named:
    """Bind an execution's id, and other names, to each line logged inside; a request uses it, for example."""
    return named(execution=execution_id, **names)


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
    return dict(_names.get())


def keep_journal(settings: Settings) -> None:
    """Write this process's log, libraries included, to its standard error, at the level and in the format of the settings."""
    import structlog

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _with_names,
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


def _with_names(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in _names.get().items():
        line.setdefault(name, value)
    return line


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
