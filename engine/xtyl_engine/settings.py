"""Every setting, each an `XTYL_*` variable: folders, back end, worker, limits. Nothing is read at import; an error names
the variable and what is allowed.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from errno import EACCES
from pathlib import Path
from stat import S_ISVTX
from typing import Any, NoReturn
from urllib.parse import urlsplit

from xtyl_engine.checks import IN_PASSWORDS, is_readable
from xtyl_engine.errors import WorkflowException
from xtyl_engine.limits import LEAST_BUDGET, MAX_BUDGET
from xtyl_engine.machine import processors
from xtyl_engine.rates import UnreadableRate, parse_rates

_making = threading.Lock()
PREFORK = "prefork"
_BEATS = ("lease_seconds", "beat_seconds", "sweep_seconds", "silent_seconds", "slice_seconds")
WORKER_SETTINGS = ("accept_functions", "functions", "slots", *_BEATS, "rates")
BROKER_SCHEMES = ("redis://", "rediss://", "unix://", "redis+socket://")


# A module, or a package with all its modules, and a function's dotted name; `*` stands for all that are public.
_FUNCTIONS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(\.\*:\*|:\*|:[^\W\d]\w*(\.[^\W\d]\w*)*)")


class SettingsError(WorkflowException, ValueError):
    """A setting has a value that cannot be used."""

    code = "settings/invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One field per variable: `lease_seconds` is XTYL_LEASE_SECONDS. Without a `redis_url` the back end is embedded."""

    home: Path
    database_url: str = field(repr=False)
    redis_url: str | None = field(default=None, repr=False)
    provider: str = "offline"
    text_model: str = ""
    image_model: str = ""
    accept_functions: bool = False
    functions: str = ""
    slots: int = 16
    pool: str = "threads"
    heavy: str = ""
    child_megabytes: int | None = None
    max_parallel: int | None = None
    budget: float | None = None
    lease_seconds: float = 10.0
    beat_seconds: float = 3.0
    sweep_seconds: float = 1.0
    silent_seconds: float = 60.0
    slice_seconds: float = 1.0
    idle_seconds: float = 60.0
    start_seconds: float = 15.0
    shutdown_seconds: float = 30.0
    retention_days: int | None = None
    rates: str = ""
    log_format: str = ""
    log_level: str = "INFO"
    metrics: str = ""
    sentry_dsn: str = field(default="", repr=False)
    otlp_endpoint: str = field(default="", repr=False)
    api_hosts: str = ""
    api_origins: str = ""
    api_streams: int = 1000
    crash: str | None = None

    @property
    def writes_json(self) -> bool:
        """Whether log lines are JSON: on a shared back end, unless the setting says otherwise."""
        return self.log_format == "json" or (not self.log_format and self.redis_url is not None)

    @property
    def opened_functions(self) -> str:
        """The functions that a workflow may name by their import path: all, `*`, where it may bring functions of its own."""
        return self.functions or ("*" if self.accept_functions else "")

    @property
    def heavy_types(self) -> frozenset[str]:
        """The node types whose jobs run in processes of their own."""
        return frozenset(self.heavy.split())

    @property
    def artifacts_folder(self) -> Path:
        return self.home / "artifacts"

    @property
    def key_file(self) -> Path:
        return self.home / "key"

    @property
    def tokens_file(self) -> Path:
        return self.home / "tokens"

    @property
    def log_folder(self) -> Path:
        return self.home / "logs"

    @property
    def celery_url(self) -> str | None:
        """The broker's URL for Celery; None while the embedded broker is not known."""
        return self.redis_url and self.redis_url.replace("unix://", "redis+socket://", 1)

    @property
    def event_url(self) -> str:
        """The broker's URL for redis-py. Raises SettingsError while the embedded broker is not known."""
        if self.redis_url is None:
            raise SettingsError(
                "XTYL_REDIS_URL is not set, and a worker needs it",
                hint="Set it to the broker's URL, or let `xtyl up` start the embedded back end with its own worker.",
            )
        return self.redis_url.replace("redis+socket://", "unix://", 1)

    @property
    def database_digest(self) -> str:
        """Tells databases apart without revealing a password."""
        return hashlib.sha256(self.database_url.encode()).hexdigest()[:16]

    def to_environ(self) -> dict[str, str]:
        """The variables from which a child process reads these same settings."""
        values = {variable(each.name): getattr(self, each.name) for each in fields(self)}
        return {name: _written(value) for name, value in values.items() if value is not None}

    def to_worker(self) -> dict[str, str]:
        """The variables that a worker reads once at its start; none holds a secret."""
        return {variable(name): _written(getattr(self, name)) for name in WORKER_SETTINGS}

    def child_environ(
        self, environ: Mapping[str, str] = os.environ, *, without: Collection[str] = ()
    ) -> dict[str, str]:
        """The whole environment of a child process, with these settings and no other `XTYL_*` settings."""
        names = {*without, *(variable(each.name) for each in fields(self))}
        return {name: value for name, value in environ.items() if name not in names} | self.to_environ()


def variable(name: str) -> str:
    """The environment variable of a field."""
    return f"XTYL_{name.upper()}"


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; an empty variable counts as not set. Raises SettingsError."""
    given = {each.name: environ.get(variable(each.name), "").strip() for each in fields(Settings)}
    values: dict[str, Any] = {name: _READERS[name](variable(name), text) for name, text in given.items() if text}
    home = values.setdefault("home", _folder("XTYL_HOME", "~/.xtyl"))
    values.setdefault("database_url", f"sqlite:///{home}/xtyl.db")
    values.setdefault("accept_functions", values.get("redis_url") is None)
    if "redis_url" not in values:
        # The embedded back end has one worker, which runs every job in threads.
        values = {name: value for name, value in values.items() if name not in ("pool", "heavy")}
    values.setdefault("slots", default_slots(values.get("pool", "")))
    settings = Settings(**values)
    if settings.lease_seconds < 2 * settings.beat_seconds:
        _refuse("XTYL_LEASE_SECONDS", str(settings.lease_seconds), "at least twice XTYL_BEAT_SECONDS")
    return settings


def default_slots(pool: str) -> int:
    """Jobs at a time where none are set: with processes, one per processor; with threads, more, because they mostly wait
    and only one of them runs Python at a time."""
    return processors() if pool == PREFORK else min(64, max(16, 4 * processors()))


def prepare_home(settings: Settings) -> None:
    """Make the home folder and SQLite's database file, readable by their owner only. Raises SettingsError."""
    home = settings.home
    try:
        make_folder(home)
        _check_private(home)
        make_folder(settings.log_folder)
        if settings.database_url == f"sqlite:///{home}/xtyl.db":
            _make_private(home / "xtyl.db")
    except OSError as error:
        said = f"the home folder {home} cannot be used: {error.strerror}"
        raise SettingsError(said, hint="Set XTYL_HOME to a folder you can write to.") from error


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lacks above it, for their owner only: `mkdir` leaves the latter to the umask."""
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def _check_private(home: Path) -> None:
    """Refuse a home in which others may write, or which they may exchange for another. A list of rights shows in the group's."""
    found = home.stat()
    writers = "all users" if found.st_mode & 0o002 else "its group"
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise SettingsError(
            f"the home folder {home} belongs to another user or is writable by {writers}",
            hint=f"Make it yours (`chmod 700 {home}`) or set XTYL_HOME to another folder.",
        )
    for folder in home.parents:
        if (mode := folder.stat().st_mode) & 0o002 and not mode & S_ISVTX:
            raise SettingsError(
                f"all users may write in {folder}, and so put another folder in the place of the home folder {home}",
                hint=f"End that (`chmod o-w {folder}`) or set XTYL_HOME to another folder.",
            )


def _make_private(path: Path) -> None:
    """Make a file if there is none. An existing file is never opened: closing any handle on a database drops this process's
    SQLite locks on it, and another process, taking it for gone, then deletes its log with the results in it."""
    with _making, suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(EACCES, os.strerror(EACCES), str(path))


def _written(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _refuse(name: str, text: str, allowed: str) -> NoReturn:
    raise SettingsError(f"{name} is {text[:80]!r}", hint=f"Allowed: {allowed}.", variable=name, value=text)


def _folder(name: str, text: str) -> Path:
    path = os.path.expanduser(text)
    if not os.path.isabs(path) or any(char in path for char in "?\0\n"):
        _refuse(name, text, "an absolute path without `?`, or one that starts with ~")
    return Path(os.path.realpath(path))


def _database(name: str, text: str) -> str:
    if not text.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        _refuse(name, text.partition("://")[0], "sqlite:////absolute/path or postgresql://user@host/database")
    return text if text.startswith("sqlite") else _addressed(name, text)


def _broker(name: str, text: str) -> str:
    if not text.startswith(BROKER_SCHEMES):
        # A URL may hold a password, so the error shows its scheme only.
        _refuse(name, text.partition("://")[0], "a URL that starts with " + ", ".join(BROKER_SCHEMES))
    if "password=" in text.partition("?")[2]:
        # redis-py reads it there and Celery does not.
        _refuse(name, text.partition("://")[0], "a password before the host or path, such as unix://:password@/path")
    return _addressed(name, text)


def _addressed(name: str, text: str) -> str:
    if not is_readable(text):
        _refuse(name, text.partition("://")[0], f"a URL whose port is a number; {IN_PASSWORDS}")
    return text


def _text(name: str, text: str) -> str:
    return text


def _rates(name: str, text: str) -> str:
    try:
        parse_rates(text)
    except UnreadableRate as error:
        allowed = "provider or node type, `=`, a whole number, and /s, /m or /h, each name once: openai=60/m generate_image=2/s"
        _refuse(name, str(error), allowed)
    return text


def _names(name: str, text: str) -> str:
    found = sorted(set(text.replace(",", " ").split()))
    if not all(each.replace("-", "_").isidentifier() for each in found):
        _refuse(name, text, "names of node types with spaces between them: call my_type")
    return " ".join(found)


def _functions(name: str, text: str) -> str:
    found = sorted(set(text.replace(",", " ").split()))
    if found != ["*"] and not all(_FUNCTIONS.fullmatch(each) for each in found):
        allowed = (
            "package.module:function, package.module:* or package.*:*, with commas between them; or * alone, for all"
        )
        _refuse(name, text, allowed)
    return " ".join(found)


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        found = {each.lower(): each for each in allowed}.get(text.lower())
        return found if found is not None else _refuse(name, text, ", ".join(allowed))

    return read


def _address(name: str, text: str) -> str:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65_535):
        _refuse(name, text, "a port such as 9101, or host:port")
    return f"{host or '127.0.0.1'}:{port}"


def _endpoint(name: str, text: str) -> str:
    if not (text.startswith(("http://", "https://")) and urlsplit(_addressed(name, text)).hostname):
        _refuse(name, text.partition("://")[0], "http://host:port or https://host, where OTLP is taken over HTTP")
    return text


def _hosts(name: str, text: str) -> str:
    found = text.replace(",", " ").split()
    if not all(each.replace("-", "").replace(".", "").isalnum() and each.isascii() for each in found):
        _refuse(name, text, "host names without port, with blanks between them: xtyl.example.com")
    return " ".join(found)


def _origins(name: str, text: str) -> str:
    found = text.replace(",", " ").split()
    for each in found:
        parts = urlsplit(_addressed(name, each))
        if parts.scheme not in ("http", "https") or each != f"{parts.scheme}://{parts.netloc}" or "@" in each:
            _refuse(name, text, "origins as a browser sends them, with blanks between them: https://desk.example.com")
    return " ".join(found)


def _dsn(name: str, text: str) -> str:
    parts = urlsplit(_addressed(name, text))
    if parts.scheme not in ("http", "https") or not (parts.username and parts.hostname and parts.path.strip("/")):
        _refuse(name, parts.scheme, "a DSN as Sentry shows it: https://key@host/project")
    return text


def _switch(name: str, text: str) -> bool:
    if text.lower() not in ("0", "1", "false", "true", "no", "yes"):
        _refuse(name, text, "1 or 0")
    return text.lower() in ("1", "true", "yes")


def _whole(highest: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= highest):
            _refuse(name, text, f"a whole number from 1 to {highest:,}")
        return int(text)

    return read


def _seconds(lowest: float, highest: float, unit: str = "seconds") -> Callable[[str, str], float]:
    def read(name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not lowest <= value <= highest:
            _refuse(name, text, f"{unit} from {lowest:g} to {highest:g}")
        return value

    return read


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "home": _folder,
    "database_url": _database,
    "redis_url": _broker,
    "provider": _text,
    "text_model": _text,
    "image_model": _text,
    "accept_functions": _switch,
    "functions": _functions,
    "slots": _whole(1024),
    "pool": _one_of("threads", PREFORK),
    "heavy": _names,
    "child_megabytes": _whole(1_000_000),
    "max_parallel": _whole(100_000),
    "budget": _seconds(LEAST_BUDGET, MAX_BUDGET, "US dollars"),
    "lease_seconds": _seconds(0.1, 3600),
    "beat_seconds": _seconds(0.01, 1200),
    "sweep_seconds": _seconds(0.01, 600),
    "silent_seconds": _seconds(0.1, 86_400),
    "slice_seconds": _seconds(0.01, 600),
    "idle_seconds": _seconds(0, 31_536_000),
    "start_seconds": _seconds(0.1, 600),
    "shutdown_seconds": _seconds(0, 3600),
    "retention_days": _whole(36_500),
    "rates": _rates,
    "log_format": _one_of("text", "json"),
    "log_level": _one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    "metrics": _address,
    "sentry_dsn": _dsn,
    "otlp_endpoint": _endpoint,
    "api_hosts": _hosts,
    "api_origins": _origins,
    "api_streams": _whole(100_000),
    "crash": _text,
}
