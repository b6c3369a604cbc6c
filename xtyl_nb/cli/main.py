"""The `xtyl` command: runs the demo, starts and stops the back end, shows and controls runs, without a notebook. The commands of
operators are in `maintenance`, `backups` and `serve`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from xtyl_engine.errors import WorkflowException
from xtyl_nb.cli.backups import BACKUPS
from xtyl_nb.cli.maintenance import COMMANDS, report, settings_of_home, show_capacity
from xtyl_nb.cli.screen import say
from xtyl_nb.cli.serve import DOORS


class Commands(click.Group):
    """A group of commands that prints this project's errors without a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except WorkflowException as error:
            say(f"{error.code}: {error}", err=True)
            sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="xtyl-nb")
def main() -> None:
    """Creative workflows: build a graph, see it run, lose nothing."""


@main.command()
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default="xtyl-demo", show_default=True)
@click.option("--rows", type=click.IntRange(1, 24), default=None, help="The number of briefs; all 24 by default.")
def demo(folder: Path, rows: int | None) -> None:
    """Run the launch workflow over the shipped briefs and write its images."""
    from xtyl_nb.cli.demo import run_demo

    sys.exit(0 if run_demo(folder, rows) else 1)


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default="xtyl-notebooks", show_default=True)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[JUPYTER_OPTIONS]...")
def lab(folder: Path, options: tuple[str, ...]) -> None:
    """Copy the notebooks to a folder of yours and open the first in JupyterLab, until Ctrl-C.

    A notebook that exists in the folder stays as it is. JUPYTER_OPTIONS go to JupyterLab: --no-browser, --port=9000,
    --allow-root.
    """
    import os

    from xtyl_nb.cli.lab import copy_notebooks, lab_command

    command = lab_command(folder.resolve(), options)
    copy_notebooks(folder)
    say(f"Your notebooks are in {folder.resolve()}.")
    sys.stdout.flush()
    os.execv(command[0], command)


@main.command()
def up() -> None:
    """Start the embedded back end, or find it running."""
    from xtyl_engine.embedded.client import ensure
    from xtyl_engine.embedded.status import status

    settings = settings_of_home()
    ensure(settings)
    _print_status(status(settings))


@main.command()
def down() -> None:
    """Stop the embedded back end; runs are kept and go on at the next start."""
    from xtyl_engine.embedded.client import down as end

    say("The back end has ended." if end(settings_of_home()) else "No back end was running.")


@main.command()
def status() -> None:
    """Show which parts of the embedded back end run, or how full a shared one is."""
    from xtyl_engine.embedded.status import status as look

    settings = settings_of_home()
    if settings.redis_url is not None:
        show_capacity(settings)
    else:
        _print_status(look(settings))


@main.command()
def doctor() -> None:
    """Check everything that a run needs, and say how to mend each fault."""
    import os

    from xtyl_engine.embedded.doctor import doctor as examine
    from xtyl_engine.settings import load_settings

    if url := os.environ.get("XTYL_URL", "").strip():
        from xtyl_nb.backends.remote.doctor import examine as examine_remote

        report(examine_remote(url))
    report(examine(load_settings()))


@main.command()
@click.option("--slots", type=click.IntRange(1, 1000), default=None, help="Jobs at a time; XTYL_SLOTS by default.")
@click.option("--pool", type=click.Choice(["threads", "prefork"]), default=None, help="XTYL_POOL by default.")
@click.option("--check", is_flag=True, help="Report whether a worker of this host is alive and can work, then exit.")
def worker(slots: int | None, pool: str | None, check: bool) -> None:
    """Run a worker for the back end that the XTYL_ variables name, until it is stopped."""
    import os

    from xtyl_engine.settings import load_settings
    from xtyl_engine.worker.command import worker_command
    from xtyl_engine.worker.health import describe, examine

    given = {"XTYL_SLOTS": slots and str(slots), "XTYL_POOL": pool}
    settings = load_settings({**os.environ, **{name: value for name, value in given.items() if value}})
    if check:
        report(examine(settings))
    say(describe(settings))
    sys.stdout.flush()
    command = worker_command(settings, is_watched=True)
    os.execve(command[0], command, {**os.environ, **settings.to_environ()})


@main.command()
@click.option("--to", "target", help="The target schema, such as 0002; the newest by default.")
def migrate(target: str | None) -> None:
    """Create or upgrade the tables of the database that the XTYL_ variables name, or downgrade them for an older release."""
    from contextlib import closing
    from functools import partial

    from xtyl_engine.database.connection import Database
    from xtyl_engine.database.schema import change_schema, ensure_schema, revision
    from xtyl_engine.settings import prepare_home
    from xtyl_engine.worker.owners import lives

    settings = settings_of_home()
    prepare_home(settings)
    with closing(Database(settings.database_url)) as database:
        if target is None:
            ensure_schema(database)
        else:
            change_schema(database, target, partial(lives, settings.home))
        say(f"The database has schema {revision(database)}.")


@main.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
def runs(limit: int) -> None:
    """List the latest runs."""
    from xtyl_nb.backends.connect import only_look
    from xtyl_nb.runs.launch import runs as list_runs

    only_look()
    table = list_runs(limit)
    say(
        "No runs yet."
        if table.empty
        else table[["name", "state", "rows", "done", "jobs", "failed", "created"]].to_string()
    )


@main.command()
@click.argument("run")
def show(run: str) -> None:
    """Watch a run's progress."""
    from xtyl_nb.backends.connect import only_look
    from xtyl_nb.cli.terminal import watch
    from xtyl_nb.runs.launch import attach

    only_look()
    watch(attach(run))


def _control(action: str, words: str) -> click.Command:
    @click.argument("run")
    def control(run: str) -> None:
        from xtyl_nb.runs.launch import attach

        found = attach(run)
        getattr(found, action)()
        say(f"{run} is {found.state}.")

    return main.command(name=action, help=words)(control)


for _action, _words in (
    ("pause", "Start nothing new in a run; what runs finishes."),
    ("resume", "Let a paused, stopped or failed run go on."),
    ("stop", "End a run; completed jobs are kept."),
    ("retry", "Try a run's failed jobs again."),
):
    _control(_action, _words)


for _command in (*COMMANDS, *BACKUPS, *DOORS):
    main.add_command(_command)


def _print_status(found: Any) -> None:
    import dataclasses

    for name, value in dataclasses.asdict(found).items():
        say(f"{name.replace('_', ' '):>16}: {value}")
