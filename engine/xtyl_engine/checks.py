"""The result of checking one thing that a run or a worker needs. `xtyl doctor`, a worker's health check and the check of
a remote API all report in this form. The checks themselves are in the rooms that own their subjects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from xtyl_engine.errors import WorkflowException

IN_PASSWORDS = "in a password write @ : / # ? as %40 %3A %2F %23 %3F"
_SOCKETS = ("unix", "redis+socket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked. `hint` says what to do; a check that is `ok` may have one too."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def examined(name: str, look: Callable[[], Check]) -> Check:
    """The result of a check. An error that it raises becomes a failed Check; nothing is raised."""
    try:
        return look()
    except WorkflowException as error:
        return Check(name=name, ok=False, detail=error.message, hint=error.hint or "")
    except Exception as error:
        return Check(name=name, ok=False, detail=f"{type(error).__name__}: {error}")


def place(url: str) -> str:
    """Where a database or a broker is, without its password."""
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return parts.path.removeprefix("/")
    if parts.scheme.startswith(("unix", "redis+socket")):
        return parts.path
    host = parts.hostname or parse_qs(parts.query).get("host", ["its socket"])[0]
    port = f":{parts.port}" if parts.port else ""
    return f"{host}{port}{parts.path}"


def is_readable(url: str) -> bool:
    """Whether every library reads the same address in a URL. One that cannot read it, or that takes the end of a password for a
    host, a port or a database, would quote it in its errors."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if not parts.netloc and parts.scheme.startswith(_SOCKETS):
        return True
    begin, _, _ = parts.netloc.rpartition("@")
    return "@" not in begin + parts.path + parts.query + parts.fragment
