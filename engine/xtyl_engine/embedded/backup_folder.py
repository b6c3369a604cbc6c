"""A folder of backups, each whole, the oldest removed as new ones are made. Their order is a number in their names. A clock says
only whether the next is due, and one that is wrong makes a backup more or later, never none. The copying is in `backup`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from xtyl_engine.checks import Check
from xtyl_engine.embedded.backup import BackupError, Copied
from xtyl_engine.errors import WorkflowException
from xtyl_engine.settings import make_folder
from xtyl_engine.values.atomic_write import write_atomically
from xtyl_engine.values.locks import acquire, holder

log = logging.getLogger("xtyl")
ABOUT = "backup.json"
LOCK = ".lock"
PARTIAL, GOING = ".partial", ".going"
SHOWN = 5
# Seconds between two looks at the clock: one that is set, or was asleep, is noticed.
LOOK_SECONDS = 5.0
AGAIN_SECONDS = 900.0
LATE = 1 / 12
_NAME = re.compile(r"xtyl-(\d{6,9})-\d{8}T\d{6}Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A whole backup: its folder, its place in the order, when it was begun by the clock of then, the size of what is in it."""

    path: Path
    number: int
    made: float
    bytes: int


def backups(folder: Path) -> list[Backup]:
    """The whole backups of a folder, in the order in which they were made. Other files and folders are no backups."""
    found = []
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            if (name := _NAME.fullmatch(path.name)) is not None:
                with suppress(OSError, ValueError, KeyError, TypeError):
                    about = json.loads((path / ABOUT).read_bytes())
                    made, size = float(about["made"]), int(about["bytes"])
                    found.append(Backup(path=path, number=int(name[1]), made=made, bytes=size))
    return sorted(found, key=lambda each: each.number)


def latest(found: Sequence[Backup], now: float) -> Backup | None:
    """The newest backup by the clock. One of the future does not count: the clock was wrong, and may stay behind it for years."""
    return max((each for each in found if each.made <= now), key=lambda each: each.made, default=None)


def seconds_until_due(found: Sequence[Backup], every: float, now: float) -> float:
    """How long until the next backup is to be made."""
    last = latest(found, now)
    return max(0.0, last.made + every - now) if last is not None else 0.0


def add(folder: Path, copy: Callable[[Path, Path | None], Copied], keep: int) -> Backup:
    """Make a backup under its name once it is whole and on the disk, then remove the oldest until `keep` are left."""
    found, now = backups(folder), time.time()
    # A damaged backup keeps its number.
    number = 1 + max((int(name[1]) for name in map(_NAME.fullmatch, os.listdir(folder)) if name), default=0)
    name = f"xtyl-{number:06}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    partial = folder / PARTIAL
    _clear(folder)
    try:
        copied = copy(partial, found[-1].path if found else None)
        if copied.missing:
            log.warning("%d files were missing already: %s", len(copied.missing), ", ".join(copied.missing[:SHOWN]))
        about = {"made": now, "bytes": copied.bytes, "files": copied.files, "missing": len(copied.missing)}
        write_atomically(partial / ABOUT, json.dumps(about).encode(), durable=True)
        partial.rename(folder / name)
        os.sync()
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in found[: max(0, len(found) + 1 - keep)]:
        try:
            # Half a backup must not keep the name of a whole one.
            old.path.rename(folder / GOING)
            shutil.rmtree(folder / GOING)
        except OSError as error:
            log.error("an old backup was not removed: %s", error)
            break
    return Backup(path=folder / name, number=number, made=now, bytes=copied.bytes)


def keep_backups(
    folder: Path,
    copy: Callable[[Path, Path | None], Copied],
    *,
    every: float,
    keep: int,
    failed: Callable[[], None],
) -> NoReturn:
    """Make a backup whenever one is due, until the process ends. One that fails is told and tried again within a quarter of an
    hour. Raises BackupError if the folder cannot be used, or another process does this in it."""
    _take_charge(folder)
    while True:
        wait = seconds_until_due(backups(folder), every, time.time())
        if wait > 0:
            time.sleep(min(wait, LOOK_SECONDS))
            continue
        begun = time.monotonic()
        try:
            made = add(folder, copy, keep)
        except Exception as error:
            # Whatever it was, it may be over next time; without a next time there would be no backup at all.
            log.error("no backup was made: %s", error, exc_info=not isinstance(error, WorkflowException))
            failed()
            time.sleep(min(AGAIN_SECONDS, every))
        else:
            size, seconds = made.bytes / 1e6, time.monotonic() - begun
            log.info("backup made in %.1f s: %s (%.1f MB)", seconds, made.path, size)


def examine_backups(folder: Path, every: float) -> tuple[Check, ...]:
    """The checks of a folder that a process of this machine keeps: the process, and the age of the newest backup."""
    is_kept = holder(folder / LOCK) is not None
    process = Check(
        name="process",
        ok=is_kept,
        detail=f"{folder} is kept" if is_kept else f"no process makes backups in {folder}",
        hint="" if is_kept else "Start `xtyl backup` with --every.",
    )
    now = time.time()
    last = latest(backups(folder), now)
    if last is None:
        return process, Check(name="backup", ok=False, detail="none was made yet", hint="Read its log for the reason.")
    words = f"{last.path.name}, {(now - last.made) / 3600:.1f} h old, {last.bytes / 1e6:,.1f} MB"
    is_new = now - last.made <= every * (1 + LATE)
    return process, Check(name="backup", ok=is_new, detail=words, hint="" if is_new else "Read its log for the reason.")


def _take_charge(folder: Path) -> None:
    """Make this process the only one that keeps the folder."""
    try:
        make_folder(folder)
        lock = acquire(folder / LOCK)
    except OSError as error:
        raise BackupError(
            f"the folder {folder} cannot be written: {error.strerror}", hint="Name a folder that is yours to write."
        ) from error
    if lock is None:
        raise BackupError(
            f"another process makes backups in {folder}", hint="End it, or name another folder for this one."
        )


def _clear(folder: Path) -> None:
    """Remove what a process that was killed has left behind."""
    for name in (PARTIAL, GOING):
        shutil.rmtree(folder / name, ignore_errors=True)
