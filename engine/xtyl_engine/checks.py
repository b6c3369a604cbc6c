"""What a look at something a run needs has found. The doctor, a worker's check of itself and the look at an API far away all
say it in this form; what there is to look at, each room knows of its own things.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from xtyl_engine.errors import WorkflowException


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `hint` says what to do, even about something that may stay as it is."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def examined(name: str, look: Callable[[], Check]) -> Check:
    """What a look found. What goes wrong in it is its finding; nothing is raised."""
    try:
        return look()
    except WorkflowException as error:
        return Check(name=name, ok=False, detail=error.message, hint=error.hint or "")
    except Exception as error:
        return Check(name=name, ok=False, detail=f"{type(error).__name__}: {error}")


def place(url: str) -> str:
    """Where a database or a broker is, in words that give no password away."""
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return parts.path.removeprefix("/")
    if parts.scheme.startswith(("unix", "redis+socket")):
        return parts.path
    host = parts.hostname or parse_qs(parts.query).get("host", ["its socket"])[0]
    port = f":{parts.port}" if parts.port else ""
    return f"{host}{port}{parts.path}"
