"""What processes say of their work: a JSON object a line for machines, or text for people, with the job at hand bound to each
line and secrets taken out. The files that embedded processes write to are in `logs`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xtyl_engine.outcomes import Claim

if TYPE_CHECKING:
    from xtyl_engine.settings import Settings

HIDDEN = "[hidden]"
_SECRETS = re.compile(
    r"""(?P<before>://[^/\s:@'"]*:)[^@/\s'"]+(?=@)"""
    r"""|(?P<name>(?:password|passwd|secret|token|api[_-]?key|authorization)["']?\s*[=:]\s*["']?)(?:Bearer\s+)?[^\s"',;&]+"""
    r"""|(?P<bearer>Bearer\s+)[\w.~+/=-]+"""
    r"""|\b(?:sk|pk|xtyl)[-_][\w-]{8,}""",
    re.IGNORECASE,
)


def hide(text: str) -> str:
    """A text without the passwords, keys and tokens that can be known by their form."""
    return _SECRETS.sub(lambda found: (found["before"] or found["name"] or found["bearer"] or "") + HIDDEN, text)


@contextmanager
def about(claim: Claim) -> Iterator[None]:
    """Each line that is written inside, also by a user's function, says which job it is about."""
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(execution=claim.execution_id, node=claim.node, item=claim.item, attempt=claim.number):
        yield


def keep_journal(settings: Settings) -> None:
    """Write this process's log to its standard error, as the settings say, and whatever any library logs with it."""
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
    return {name: hide(value) if isinstance(value, str) else value for name, value in line.items()}


def _as_text(logger: Any, method: str, line: MutableMapping[str, Any]) -> str:
    said, level, time = line.pop("event"), line.pop("level"), line.pop("timestamp")
    trace, name = line.pop("exception", None), line.pop("logger")
    bound = "".join(f" {key}={value}" for key, value in line.items())
    return f"[{time} {level.upper()} {name}] {said}{bound}" + (f"\n{trace}" if trace else "")
