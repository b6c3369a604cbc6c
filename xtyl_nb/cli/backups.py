"""Commands that copy a back end, once or day by day, and restore it. `main` adds them to the `xtyl` command."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from xtyl_nb.cli.maintenance import age, report, settings_of_home
from xtyl_nb.cli.screen import say

if TYPE_CHECKING:
    from xtyl_engine.embedded.backup import Copied
    from xtyl_engine.embedded.backup_folder import Backup
    from xtyl_engine.settings import Settings
    from xtyl_engine.telemetry.prometheus import Rows

SHOWN = 5


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--every", type=age, help="Go on, and make a backup in FOLDER this often, such as 1d or 12h.")
@click.option("--keep", type=click.IntRange(1, 1000), default=7, show_default=True, help="With --every: how many stay.")
@click.option("--check", is_flag=True, help="With --every: report whether backups are made on time, then exit.")
def backup(folder: Path, every: float | None, keep: int, check: bool) -> None:
    """Copy the back end, once or day by day. It may be running; FOLDER is new."""
    folder = folder.absolute()
    if every is not None:
        _keep(folder, every, keep, check)
    if check:
        raise click.UsageError("--check needs --every: how often backups are made.")
    from xtyl_engine.embedded.backup import back_up

    _tell_copied("Copied", back_up(settings_of_home(), folder), folder)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore(folder: Path) -> None:
    """Restore a backup where there is no back end yet. It is the one in FOLDER, or the newest of those in it."""
    from xtyl_engine.embedded.backup import restore as put_back
    from xtyl_engine.embedded.backup_folder import backups

    settings = settings_of_home()
    source = next((each.path for each in reversed(backups(folder.absolute()))), folder.absolute())
    say(f"Restoring {source}")
    _tell_copied("Restored", put_back(settings, source), settings.home)


def _keep(folder: Path, every: float, keep: int, check: bool) -> NoReturn:
    from xtyl_engine.embedded.backup import back_up
    from xtyl_engine.embedded.backup_folder import examine_backups, keep_backups
    from xtyl_engine.telemetry.log_lines import keep_journal

    if every <= 0:
        raise click.BadParameter("backups need a time between them: write 1d or 12h", param_hint="--every")
    if check:
        report(examine_backups(folder, every))
    settings = settings_of_home()
    keep_journal(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)

    failed = _measured(settings, folder)
    keep_backups(folder, lambda *places: back_up(settings, *places), every=every, keep=keep, failed=failed)


def _end(number: int, frame: object) -> NoReturn:
    """End at once: a backup that is being made is removed on the way out."""
    sys.exit(0)


def _measured(settings: Settings, folder: Path) -> Callable[[], None]:
    """Let Prometheus ask about a folder of backups, where the settings say so. The result counts a failure."""
    from xtyl_engine.embedded.backup_folder import backups, latest
    from xtyl_engine.telemetry.prometheus import BACKUP, Figures

    if not settings.metrics:
        return lambda: None
    figures = Figures(BACKUP)

    def newest(of: Callable[[Backup], float]) -> Rows:
        last = latest(backups(folder), time.time())
        return [((), of(last) if last is not None else 0)]

    figures.ask("xtyl_backup_timestamp_seconds", lambda: newest(lambda last: last.made))
    figures.ask("xtyl_backup_bytes", lambda: newest(lambda last: last.bytes))
    figures.serve(settings.metrics)
    return lambda: figures.take([("xtyl_backup_failures", (), 1)])


def _tell_copied(done: str, copied: Copied, where: Path) -> None:
    say(f"{done} the database and {copied.files:,} files ({copied.bytes / 1e6:,.1f} MB): {where}")
    if copied.missing:
        names = ", ".join(copied.missing[:SHOWN]) + (", …" if len(copied.missing) > SHOWN else "")
        say(f"{len(copied.missing):,} files were missing already: {names}", err=True)
        sys.exit(1)


BACKUPS = (backup, restore)
