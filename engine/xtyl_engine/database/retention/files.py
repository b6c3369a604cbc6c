"""Finds the stored files that rows still refer to, directly or through a stored table or result, and removes the others. A
file is removed only when it is old: storing a result, or taking one from the cache, makes its files new before it is
recorded. Rows are deleted in `executions`, not here.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, and_, func, select, true, tuple_

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Now
from xtyl_engine.database.retention.executions import Retention
from xtyl_engine.database.tables import decisions, executions, functions, jobs, rows, templates
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import FRESH_SECONDS, KEY, ArtifactStore, references

GRACE_SECONDS = 86_400.0
PAGE = 1_000
GOING = ".going"
# At any offset and in any encoding: a file too many may be kept, never one too few.
_DIGEST = re.compile(rb"(?=([0-9a-f]{64}))")
_OLDEST_START = select(Now() - func.min(jobs.c.started)).where(sql.job_in(JobState.RUNNING))


@dataclass(slots=True)
class Freed:
    """What a sweep has removed."""

    files: int = 0
    bytes: int = 0


def mentioned(database: Database, folder: Path, *, gone: Retention | None = None) -> set[bytes]:
    """The digests of all files that rows refer to; executions over by `gone` do not count."""
    found: set[bytes] = set()
    for column in (
        templates.c.plan,
        rows.c["values"],
        functions.c.blob,
        decisions.c.before,
        decisions.c.after,
        jobs.c.output,
    ):
        where = true() if column is not jobs.c.output else jobs.c.output.contains(KEY)
        if gone is not None:
            where = and_(where, _is_left(column.table, gone))
        for data in _values(database, column, where):
            found.update(_digests(data))
    return _with_inner(found, folder)


def sweep(database: Database, folder: Path, kept: set[bytes], *, dry_run: bool = False) -> Iterator[Freed]:
    """Remove the old files that are not kept. Yields the total removed after each; the caller may stop at any time."""
    freed = Freed()
    newest = _now(folder) - _grace_seconds(database) if folder.is_dir() else 0.0
    for path in files_in(folder):
        if digest_of(path) not in kept and (size := _remove(path, newest, dry_run)) is not None:
            freed = Freed(freed.files + 1, freed.bytes + size)
            yield freed


def missing(database: Database, store: ArtifactStore) -> list[str]:
    """The names of missing files that inputs, results and decisions refer to."""
    lost: set[str] = set()
    for column in (rows.c["values"], decisions.c.before, decisions.c.after, jobs.c.output):
        for data in _values(database, column, column.contains(KEY)):
            lost.update(_lost(json.loads(data), store))
    return sorted(lost)


def _lost(value: Any, store: ArtifactStore) -> Iterator[str]:
    for reference in references(value):
        path = store.path(reference)
        if not path.is_file():
            yield path.name
        elif path.suffix == ".json":
            yield from _lost(json.loads(path.read_bytes()), store)


def _is_left(table: FromClause, gone: Retention) -> ColumnElement[bool]:
    over = select(executions.c.id).where(gone.over)
    if "execution_id" in table.c:
        return table.c.execution_id.not_in(over)
    if "job_id" in table.c:
        return table.c.job_id.not_in(select(jobs.c.id).where(jobs.c.execution_id.in_(over)))
    return true()


def _values(database: Database, column: Any, where: ColumnElement[bool]) -> Iterator[bytes]:
    """A column's values, page by page, so that no transaction lasts long."""
    keys = list(column.table.primary_key)
    names = [f"after_{key.name}" for key in keys]
    after = tuple_(*keys) > tuple_(*(sql.B(name, type_=key.type) for name, key in zip(names, keys, strict=True)))
    pages = select(*keys, column).where(where, after).order_by(*keys).limit(PAGE)
    last: list[Any] = [-1 if isinstance(key.type, Integer) else "" for key in keys]
    while True:
        with database.read() as transaction:
            found = transaction.rows(pages, dict(zip(names, last, strict=True)))
        for row in found:
            yield row[-1].encode() if isinstance(row[-1], str) else bytes(row[-1] or b"")
        if len(found) < PAGE:
            return
        last = list(found[-1][:-1])


def _digests(data: bytes) -> Iterator[bytes]:
    return (bytes.fromhex(digest.decode()) for digest in _DIGEST.findall(data))


def _with_inner(found: set[bytes], folder: Path) -> set[bytes]:
    """These digests, and those of the files that tables and large results among them refer to."""
    stored = {digest_of(path): path for path in files_in(folder) if path.suffix == ".json"}
    new = found & stored.keys()
    while new:
        inner: set[bytes] = set()
        for digest in new:
            # A damaged file mentions fewer files than before; removing those does no further harm.
            with suppress(OSError):
                inner.update(_digests(stored[digest].read_bytes()))
        new = (inner - found) & stored.keys()
        found |= inner
    return found


def files_in(folder: Path) -> Iterator[Path]:
    """Every file of a store, including files that are being written."""
    for first in _folders(folder):
        for second in _folders(first):
            with os.scandir(second) as entries:
                yield from [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]


def _folders(folder: Path) -> list[Path]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    return []


def digest_of(path: Path) -> bytes:
    """The digest in a file's name; empty for a file that a crash left behind."""
    with suppress(ValueError):
        return bytes.fromhex(path.name.partition(".")[0])
    return b""


def _remove(path: Path, newest: float, dry_run: bool) -> int | None:
    """Remove a file last made new before `newest`. Return its size, None if it stays. A process that makes it new meanwhile
    finds it, because it is put back, or finds it gone and writes it again."""
    aside, place = path.with_name(f".{path.name}{GOING}"), path
    if path.name.endswith(GOING):
        # A sweep was killed here.
        aside, place = path, path.with_name(path.name[1:].removesuffix(GOING))
    with suppress(FileNotFoundError):
        found = path.stat()
        if dry_run or (found.st_mtime > newest and aside is not path):
            return None if found.st_mtime > newest else found.st_size
        os.rename(path, aside)
        if aside.stat().st_mtime > newest:
            os.rename(aside, place)
            return None
        aside.unlink()
        return found.st_size
    return None


def _now(folder: Path) -> float:
    """The time by the clock that stamps the files; on a network drive it belongs to another machine."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


def _grace_seconds(database: Database) -> float:
    """How old a file must be to be removed: older than any running job, whose files are recorded only when it ends."""
    with database.read() as transaction:
        (oldest,) = transaction.row(_OLDEST_START) or (None,)
    return max(GRACE_SECONDS, (oldest or 0.0) + FRESH_SECONDS)
