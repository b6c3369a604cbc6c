"""Copies a PostgreSQL database with the programs that come with it, `pg_dump` and `pg_restore`, of the server's version or newer.
They get the password in their environment: every process of the machine can see a command line.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sqlalchemy import URL, make_url, text

from xtyl_engine.database.connection import PREPARE, SERVER_CONNECTION, Database
from xtyl_engine.errors import BackendError
from xtyl_engine.server_hints import POSTGRESQL, Remedies, remedy

_REMEDIES: Remedies = (
    ("version mismatch", "Install the client programs of the server's version, such as postgresql-client-17."),
    ("No space left", "Make room on its disk, then try again."),
    ("already exists", "Restore into an empty database: `createdb` makes one."),
    *POSTGRESQL,
)


def dump(url: str, file: Path) -> None:
    """Write the database, as it stands at one moment, to a new file, while others write. Raises BackendError."""
    _run(url, "pg_dump", "--format=custom", f"--file={file}")


def load(url: str, file: Path) -> None:
    """Fill an empty database with what `dump` wrote, whole or not at all. Raises BackendError."""
    # Roles are the server's own, and another server has others.
    _run(url, "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(file))


def database_bytes(database: Database) -> int:
    """The size of the database on the server's disk, indexes included. A dump is smaller."""
    with database.read() as transaction:
        (found,) = transaction.row(text("SELECT pg_database_size(current_database())")) or (0,)
    return int(found)


def _run(url: str, program: str, *words: str) -> None:
    place = make_url(url)
    password = place.password or place.query.get("password")
    environ = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    command = [program, "--no-password", f"--dbname={_without_password(place)}", *words]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise BackendError(
            f"{program} is not installed here, and it copies PostgreSQL",
            hint="Install the client programs of the server's version, such as postgresql-client-17.",
        ) from None
    if done.returncode:
        said = "; ".join(line.partition(": ")[2] or line for line in done.stderr.strip().splitlines()[:2])
        raise BackendError(f"{program} ended with {done.returncode}: {said}", hint=remedy(said, _REMEDIES))


def _without_password(place: URL) -> str:
    """The URL as PostgreSQL's own library reads it. A server that vanishes is noticed, as on every other connection."""
    watched = {name: str(value) for name, value in SERVER_CONNECTION.items()}
    kept = {name: value for name, value in place.query.items() if name not in (PREPARE, "password")}
    made = URL.create("postgresql", place.username, None, place.host, place.port, place.database, {**watched, **kept})
    return made.render_as_string(hide_password=False)
