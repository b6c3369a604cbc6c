"""Copies a back end while it runs, and restores it: the database, the stored files, and the key that signs functions. SQLite is
copied by SQLite, PostgreSQL by `database.postgres_dump`. A folder of daily backups is kept by `backup_folder`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from xtyl_engine.checks import place
from xtyl_engine.database.connection import Database
from xtyl_engine.database.postgres_dump import database_bytes, dump, load
from xtyl_engine.database.retention.files import digest_of, files_in, missing
from xtyl_engine.database.schema import revision
from xtyl_engine.errors import BackendError
from xtyl_engine.server_hints import SQLITE, remedy
from xtyl_engine.settings import Settings, make_folder, prepare_home
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.atomic_write import write_atomically
from xtyl_engine.values.locks import holder, supervisor_lock

DATABASE = "xtyl.db"
DUMP = "xtyl.dump"
ARTIFACTS = "artifacts"
KEY = "key"
# How much larger than the one before a dump may be.
GROWTH = 1.5


class BackupError(BackendError):
    """A back end cannot be copied or restored as asked."""

    code = "backend/backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """The amount copied, the database included; `missing` names the files that the database refers to and that were not found."""

    files: int
    bytes: int
    missing: tuple[str, ...]


def back_up(settings: Settings, target: Path, earlier: Path | None = None) -> Copied:
    """Copy a back end, which may be running, into a new or empty folder. Files that an earlier backup on the same disk has too
    take no room again. The copy is on the disk when this returns. Raises BackendError."""
    file = _sqlite_file(settings)
    if file is not None and not file.is_file():
        raise BackupError(f"there is no database {file}", hint="Set XTYL_HOME to the back end that you mean.")
    if target.exists() and any(target.iterdir()):
        raise BackupError(
            f"the folder {target} is not empty", hint="Name a new folder: each backup needs one of its own."
        )
    make_folder(target)
    copied = target / _database_name(settings)
    # Files that the database refers to must be there whatever retention removes meanwhile. It removes old ones only, and those
    # are taken before the database is; newer ones after it.
    _copy_files(settings.artifacts_folder, target / ARTIFACTS, earlier, _foreseen_bytes(settings, earlier))
    if file is not None:
        _copy_database(file, copied)
    else:
        copied.touch(mode=0o600)
        dump(settings.database_url, copied)
    _copy_files(settings.artifacts_folder, target / ARTIFACTS, earlier)
    # Last, so that a backup with a key is complete.
    _copy_key(settings.key_file, target / KEY)
    if file is not None:
        lost = _missing(f"sqlite:///{copied}", target / ARTIFACTS)
    else:
        lost = _missing(settings.database_url, settings.artifacts_folder)
    return _counted(target / ARTIFACTS, copied, lost)


def restore(settings: Settings, source: Path) -> Copied:
    """Restore a backup to where these settings keep their back end; there must be none yet. Raises BackendError."""
    saved = source / _database_name(settings)
    if not saved.is_file():
        other = next((name for name in (DATABASE, DUMP) if (source / name).is_file()), None)
        kind = "SQLite" if other == DATABASE else "PostgreSQL"
        raise BackupError(
            f"the folder {source} holds {f'a backup of {kind}' if other else 'no backup'}",
            hint=f"Let XTYL_DATABASE_URL name a {kind} database." if other else "Name one that `xtyl backup` wrote.",
        )
    _check_vacant(settings, source)
    prepare_home(settings)
    _copy_files(source / ARTIFACTS, settings.artifacts_folder)
    _copy_key(source / KEY, settings.key_file)
    file = _sqlite_file(settings)
    _copy_database(saved, file) if file is not None else load(settings.database_url, saved)
    return _counted(source / ARTIFACTS, saved, _missing(settings.database_url, settings.artifacts_folder))


def _check_vacant(settings: Settings, source: Path) -> None:
    """Raise BackupError if a restore would replace a database or a key."""
    file = _sqlite_file(settings)
    if holder(supervisor_lock(settings.home)) is not None or (file and file.exists() and file.stat().st_size):
        raise BackupError(
            f"there is a back end in {settings.home} already",
            hint="End it with `xtyl down` and move its folder away, or set XTYL_HOME to a new one.",
        )
    if file is None:
        with closing(Database(settings.database_url, pool_size=1)) as database:
            if revision(database) is not None:
                raise BackupError(
                    f"there is a back end in the database {place(settings.database_url)} already",
                    hint="Make an empty one with `createdb`, and let XTYL_DATABASE_URL name it.",
                )
    if settings.key_file.exists() and (source / KEY).exists():
        if settings.key_file.read_bytes() == (source / KEY).read_bytes():
            return
        raise BackupError(
            f"{settings.key_file} is another key than the backup's, which signed the functions in it",
            hint="Move it away, or set XTYL_HOME to a new folder.",
        )


def _sqlite_file(settings: Settings) -> Path | None:
    """The database's file; None for PostgreSQL."""
    if not settings.database_url.startswith("sqlite"):
        return None
    return Path(settings.database_url.removeprefix("sqlite:///").partition("?")[0])


def _database_name(settings: Settings) -> str:
    return DUMP if _sqlite_file(settings) is None else DATABASE


def _foreseen_bytes(settings: Settings, earlier: Path | None) -> int:
    """The room that the copy of the database may take."""
    file = _sqlite_file(settings)
    if file is not None:
        return file.stat().st_size
    with suppress(OSError):
        if earlier is not None:
            return int((earlier / DUMP).stat().st_size * GROWTH)
    with closing(Database(settings.database_url, pool_size=1)) as database:
        return database_bytes(database)


def _copy_database(source: Path, target: Path) -> None:
    """Copy the database as it stands at one moment, even while others write, and check the copy."""
    target.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
            (found,) = new.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise BackupError(
            f"the database {source} cannot be copied: {error}", hint=remedy(str(error), SQLITE)
        ) from error
    if found != "ok":
        raise BackupError(f"the database {source} is damaged: {found}", hint="Keep it, and restore an earlier backup.")


def _copy_files(source: Path, target: Path, earlier: Path | None = None, also_bytes: int = 0) -> None:
    """Give the files of a store a name in another one. A stored file never changes, so on the same disk a hard link is enough.
    The others are copied, if they and as many bytes more fit on the disk."""
    make_folder(target)
    stored = [path.relative_to(source) for path in files_in(source) if digest_of(path)]
    left = [name for name in stored if not _is_linked(name, source, target, earlier)]
    needed = also_bytes
    for name in left:
        with suppress(FileNotFoundError):
            needed += (source / name).stat().st_size
    if needed > (free := shutil.disk_usage(target).free):
        raise BackupError(
            f"{target} needs {needed / 1e6:,.1f} MB more, and its disk has {free / 1e6:,.1f} MB free",
            hint="Make room there, or name a folder on another disk.",
        )
    for name in left:
        # Retention may have removed it meanwhile. What the database refers to is then said to be missing.
        with suppress(FileNotFoundError):
            _copy_whole(source / name, target / name)


def _is_linked(name: Path, source: Path, target: Path, earlier: Path | None) -> bool:
    """Whether the target has the file, after an attempt to link it."""
    made = target / name
    if made.exists():
        return True
    make_folder(made.parent)
    for store in (earlier / ARTIFACTS if earlier else None, source):
        with suppress(OSError):
            if store and (store / name).stat().st_size == (source / name).stat().st_size:
                os.link(store / name, made)
                return True
    return False


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a file whole or not at all: half of one would pass for the file ever after."""
    partial = target.with_name(f".{target.name}.partial")
    partial.touch(mode=0o600)
    shutil.copy2(source, partial)
    partial.replace(target)


def _copy_key(source: Path, target: Path) -> None:
    if source.exists() and not target.exists():
        write_atomically(target, source.read_bytes(), durable=True)


def _missing(url: str, store: Path) -> list[str]:
    with closing(Database(url, pool_size=1)) as database:
        # A home that was never used has a database without tables.
        return missing(database, ArtifactStore(store)) if revision(database) is not None else []


def _counted(store: Path, database: Path, lost: list[str]) -> Copied:
    sizes = [path.stat().st_size for path in files_in(store)]
    # Once for all of them: 100,000 files, each with a sync of its own, take minutes.
    os.sync()
    return Copied(files=len(sizes), bytes=sum(sizes) + database.stat().st_size, missing=tuple(lost))
