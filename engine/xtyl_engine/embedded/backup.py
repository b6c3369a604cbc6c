"""Copies a SQLite back end while it runs, and restores it: the database, the files it refers to, and the key that signs
functions. It does not copy PostgreSQL, which has tools of its own: see docs/operations.md.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from xtyl_engine.database.connection import Database
from xtyl_engine.database.retention.files import digest_of, files_in, mentioned, missing
from xtyl_engine.errors import BackendError
from xtyl_engine.settings import Settings, prepare_home
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.locks import holder, supervisor_lock

DATABASE = "xtyl.db"
ARTIFACTS = "artifacts"
KEY = "key"


class BackupError(BackendError):
    """A back end cannot be copied or restored as asked."""

    code = "backend/backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """The amount copied; `missing` names the files that the database refers to and that were not found."""

    files: int
    bytes: int
    missing: tuple[str, ...]


def back_up(settings: Settings, target: Path) -> Copied:
    """Copy a back end, which may be running, into a new or empty folder. Raises BackupError."""
    source = _database_file(settings)
    if not source.is_file():
        raise BackupError(f"there is no database {source}", hint="Set XTYL_HOME to the back end that you mean.")
    if target.exists() and any(target.iterdir()):
        raise BackupError(
            f"the folder {target} is not empty", hint="Name a new folder: each backup needs one of its own."
        )
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    _copy_database(source, target / DATABASE)
    copied = _copy_files(target / DATABASE, settings.artifacts_folder, target / ARTIFACTS)
    # Last, so that a backup with a key is complete.
    if settings.key_file.exists():
        _copy_private(settings.key_file, target / KEY)
    return copied


def restore(settings: Settings, source: Path) -> Copied:
    """Restore a backup to where these settings keep their back end; there must be none yet. Raises BackupError."""
    target = _database_file(settings)
    if not (source / DATABASE).is_file():
        raise BackupError(f"the folder {source} holds no backup", hint="Name the folder that `xtyl backup` wrote.")
    if holder(supervisor_lock(settings.home)) is not None or (target.exists() and target.stat().st_size):
        raise BackupError(
            f"there is a back end in {settings.home} already",
            hint="End it with `xtyl down` and move its folder away, or set XTYL_HOME to a new one.",
        )
    prepare_home(settings)
    copied = _copy_files(source / DATABASE, source / ARTIFACTS, settings.artifacts_folder)
    if (source / KEY).exists():
        _copy_private(source / KEY, settings.key_file)
    _copy_database(source / DATABASE, target)
    return copied


def _database_file(settings: Settings) -> Path:
    if not settings.database_url.startswith("sqlite"):
        raise BackupError(
            "the database is PostgreSQL, which is copied by its own tools",
            hint="Run `pg_dump --format=custom --file=xtyl.dump`, then copy the folder `artifacts`: see docs/operations.md.",
        )
    return Path(settings.database_url.removeprefix("sqlite:///").partition("?")[0])


def _copy_database(source: Path, target: Path) -> None:
    """Copy the database as it stands at one moment, even while others write, and check the copy."""
    target.touch(mode=0o600)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        (found,) = new.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise BackupError(f"the database {source} is damaged: {found}", hint="Keep it, and restore an earlier backup.")


def _copy_files(database_file: Path, source: Path, target: Path) -> Copied:
    """Copy the files that the database refers to. A stored file never changes, so on the same disk a hard link is enough."""
    with closing(Database(f"sqlite:///{database_file}", pool_size=1)) as database:
        kept = mentioned(database, source)
        found = [path for path in files_in(source) if digest_of(path) in kept]
        for path in found:
            _link(path, target / path.relative_to(source))
        lost = missing(database, ArtifactStore(target))
    return Copied(files=len(found), bytes=sum(path.stat().st_size for path in found), missing=tuple(lost))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _copy_private(source: Path, target: Path) -> None:
    target.touch(mode=0o600)
    target.write_bytes(source.read_bytes())
