"""The back end in use: the one that `connect` or the environment names, or else the embedded one. It does not talk to any of
them itself.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from xtyl_engine.errors import BackendError

if TYPE_CHECKING:
    from xtyl_nb.backends.protocol import Backend

EXAMPLES = 'xt.connect("https://…", token="…"), or xt.connect(database="postgresql://…", redis="redis://…")'

_backend: Backend | None = None
_lock = threading.Lock()


def backend(*, to_run: bool = False) -> Backend:
    """The back end in use: the one given to `connect`, the one at XTYL_URL, or else the embedded one. It is started by what gives
    it work, or now with `to_run`, for a process that is about to."""
    global _backend
    with _lock:
        if _backend is None:
            url = os.environ.get("XTYL_URL", "").strip()
            _backend = _remote(url, None, None) if url else _direct(None, at_once=to_run)
        return _backend


def connect(
    url: str | None = None,
    *,
    token: str | None = None,
    project: str | None = None,
    database: str | None = None,
    redis: str | None = None,
) -> None:
    """Use another back end than the embedded one; without arguments, use the embedded one again.

    Args:
        url: The address of a back end's API, such as "https://xtyl.example.org".
        token: The token that `xtyl token create` printed; default: the variable XTYL_TOKEN.
        project: The project whose runs are shown, with a token for all projects; default:
            XTYL_PROJECT, or else "default".
        database: Without an API, the SQLAlchemy URL of the database, together with `redis`.
        redis: The URL of the broker, together with `database`: the workers must use both.

    Raises:
        BackendError: The back end cannot be reached; the current one stays in use.
        SettingsError: A URL is not valid; the current back end stays in use.

    Example:
        >>> try:
        ...     xt.connect("http://127.0.0.1:9", token="xtyl_secret")
        ... except xt.BackendError as error:
        ...     print(error.code)
        backend/unreachable
        >>> xt.connect()
    """
    global _backend
    if url is not None and (database is not None or redis is not None):
        raise BackendError("`url` stands for the whole back end", hint=f"Give only one of the two: {EXAMPLES}.")
    if url is None and (token is not None or project is not None):
        raise BackendError(
            "`token` and `project` go with a URL", hint=f"Name the URL too: {EXAMPLES.partition(', or')[0]}."
        )
    if (database is None) != (redis is None):
        missing = "redis" if redis is None else "database"
        raise BackendError(f"`{missing}` is missing", hint=f"Name both: {EXAMPLES.partition(', or ')[2]}.")
    with _lock:
        made: Backend | None = None
        if url is not None:
            made = _remote(url, token, project)
        elif database is not None and redis is not None:
            made = _direct({"XTYL_DATABASE_URL": database, "XTYL_REDIS_URL": redis})
        if _backend is not None:
            _backend.close()
        _backend = made


def only_look() -> None:
    """Let nothing that this process reads start an embedded back end: call it before the first use of one."""
    global _backend
    with _lock:
        if _backend is None and not os.environ.get("XTYL_URL", "").strip():
            _backend = _direct(None, starts=False)


def _direct(named: dict[str, str] | None, *, starts: bool = True, at_once: bool = False) -> Backend:
    from xtyl_engine.broker.redis_client import check_broker
    from xtyl_engine.settings import load_settings
    from xtyl_nb.backends.direct import DirectBackend

    settings = load_settings({**os.environ, **(named or {})})
    if named:
        check_broker(settings.event_url)
    return DirectBackend(settings, starts=starts, at_once=at_once)


def _remote(url: str, token: str | None, project: str | None) -> Backend:
    from xtyl_nb.backends.remote.backend import RemoteBackend

    token = token or os.environ.get("XTYL_TOKEN", "").strip()
    return RemoteBackend(url, token, project or os.environ.get("XTYL_PROJECT", "").strip() or None)


def _unlock() -> None:
    """Make a new lock in a forked child: the thread that held the old one is not there."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_unlock)
