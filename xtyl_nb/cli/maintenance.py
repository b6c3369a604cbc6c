"""A command for the operator of a back end, which removes old runs, and what such commands share. `main` adds it to the `xtyl`
command.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NoReturn

import click

from xtyl_nb.cli.screen import progress, say

if TYPE_CHECKING:
    from xtyl_engine.checks import Check
    from xtyl_engine.database.connection import Database
    from xtyl_engine.settings import Settings

UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def age(text: str) -> float:
    """Turn a length of time such as 30d into seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is not an age: write 30d, 12h, 45m or 4w")
    return float(found[1]) * UNITS[found[2]]


def settings_of_home() -> Settings:
    """The settings for a command that works on this machine's home. It warns if XTYL_URL is set: other commands use that."""
    from xtyl_engine.settings import load_settings

    settings = load_settings()
    if os.environ.get("XTYL_URL", "").strip():
        say(f"XTYL_URL is set; this command works on the home {settings.home}, not on that address.", err=True)
    return settings


@click.command()
@click.option(
    "--older-than", type=age, help="Time since the run ended, as 30d, 12h or 4w; XTYL_RETENTION_DAYS by default."
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
@click.option("--keep-failed", is_flag=True, help="Keep failed runs of any age.")
def prune(older_than: float | None, dry_run: bool, keep_failed: bool) -> None:
    """Remove old runs that have ended. The files that are no longer referred to go too."""
    from xtyl_engine.broker.live_events import forget_streams
    from xtyl_engine.database.retention.executions import Retention
    from xtyl_engine.database.retention.keeper import DAY_SECONDS, foresee, tidy

    settings = settings_of_home()
    if older_than is None and settings.retention_days is None:
        raise click.UsageError("There is no age: write --older-than 30d, or set XTYL_RETENTION_DAYS.")
    seconds = older_than if older_than is not None else (settings.retention_days or 0) * DAY_SECONDS
    retention = Retention(seconds=seconds, keep_failed=keep_failed)
    broker = _broker(settings)
    with _open(settings) as database:
        if dry_run:
            say(f"Would remove {foresee(database, settings.artifacts_folder, retention)}.")
            return
        tally = None
        try:
            forget = (lambda ids: forget_streams(broker, ids)) if broker else (lambda ids: None)
            for tally in tidy(database, settings.artifacts_folder, retention, forget):
                progress(f"{tally}")
        except KeyboardInterrupt:
            progress("")
            say(f"Interrupted. Removed {tally or 'nothing'}; all else is whole, and the next prune continues.")
            sys.exit(130)
    progress("")
    say(f"Removed {tally}.")
    if tally and tally.jobs:
        say("Their cached results are gone too. The same prompts will run, and be billed, again.")


def report(checks: Iterable[Check]) -> NoReturn:
    """Print checks and end: with 0 if all is well, else with 1."""
    checks = list(checks)
    for check in checks:
        say(f"{'ok ' if check.ok else 'BAD'}  {check.name}: {check.detail}")
        if not check.ok and check.hint:
            say(f"     {check.hint}")
    sys.exit(0 if all(check.ok for check in checks) else 1)


@contextmanager
def _open(settings: Settings) -> Iterator[Database]:
    from xtyl_engine.database.connection import Database
    from xtyl_engine.database.schema import ensure_schema
    from xtyl_engine.settings import prepare_home

    prepare_home(settings)
    with closing(Database(settings.database_url, pool_size=2)) as database:
        ensure_schema(database)
        yield database


def _broker(settings: Settings) -> str | None:
    """The broker's URL; None while the embedded one does not run, because its streams ended with it."""
    from xtyl_engine.embedded.status import status

    if settings.redis_url is not None:
        return settings.event_url
    socket = status(settings).socket
    return f"unix://{socket}" if socket is not None else None


COMMANDS = (prune,)
