"""The `xtyl` command: runs the demo, starts and stops the back end, controls runs, without a notebook. The commands that show are
in `look`, those of operators in `maintenance`, `backups` and `serve`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from xtyl_engine.errors import WorkflowException
from xtyl_nb.cli.backups import BACKUPS
from xtyl_nb.cli.help import ENDING, Help
from xtyl_nb.cli.look import LOOKS, named, print_figures
from xtyl_nb.cli.maintenance import COMMANDS, report, settings_of_home
from xtyl_nb.cli.screen import say
from xtyl_nb.cli.serve import DOORS


class Commands(Help):
    """The commands, which print this project's errors without a traceback, and end with 130 at Ctrl-C."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except WorkflowException as error:
            say(f"{error.code}: {error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            say("Interrupted.", err=True)
            sys.exit(130)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog=ENDING,
)
@click.version_option(package_name="xtyl-nb")
@click.pass_context
def main(context: click.Context) -> None:
    """Creative workflows: build a graph, see it run, lose nothing."""
    if context.invoked_subcommand is None:
        say(context.get_help())


@main.command()
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default="xtyl-demo", show_default=True)
@click.option("--rows", type=click.IntRange(1, 24), default=None, help="The number of briefs; all 24 by default.")
def demo(folder: Path, rows: int | None) -> None:
    """Run a whole workflow over the shipped briefs. Its images are written to a folder."""
    from xtyl_nb.cli.demo import run_demo

    sys.exit(0 if run_demo(folder, rows) else 1)


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default="xtyl-notebooks", show_default=True)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[JUPYTER_OPTIONS]...")
def lab(folder: Path, options: tuple[str, ...]) -> None:
    """Open the notebooks in JupyterLab, until Ctrl-C. They are copied to a folder of yours.

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
    from xtyl_nb.cli.status import look

    settings = settings_of_home()
    ensure(settings)
    print_figures(look(settings).figures)


@main.command()
def down() -> None:
    """Stop the embedded back end. Runs are kept and go on at the next start."""
    from xtyl_engine.embedded.client import down as end

    say("The back end has ended." if end(settings_of_home()) else "No back end was running.")


@main.command()
def doctor() -> None:
    """Check everything that a run needs. Each fault comes with its cure."""
    import os

    from xtyl_engine.embedded.doctor import doctor as examine
    from xtyl_engine.providers.readiness import examine_providers
    from xtyl_engine.settings import load_settings

    if url := os.environ.get("XTYL_URL", "").strip():
        from xtyl_nb.backends.remote.doctor import examine as examine_remote

        report(examine_remote(url))
    settings = load_settings()
    models = {"XTYL_TEXT_MODEL": settings.text_model, "XTYL_IMAGE_MODEL": settings.image_model}
    report([*examine(settings), *examine_providers(settings.provider, models)])


@main.command()
@click.option("--slots", type=click.IntRange(1, 1000), default=None, help="Jobs at a time; XTYL_SLOTS by default.")
@click.option("--pool", type=click.Choice(["threads", "prefork"]), default=None, help="XTYL_POOL by default.")
@click.option("--check", is_flag=True, help="Report whether a worker of this host is alive and can work, then exit.")
def worker(slots: int | None, pool: str | None, check: bool) -> None:
    """Run a worker, until it is stopped. It works for the back end that the XTYL_ variables name."""
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
    """Create or upgrade the tables of the database. The XTYL_ variables name it; --to downgrades it for an older release."""
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


def _control(action: str, words: str) -> click.Command:
    @click.argument("run")
    def control(run: str) -> None:
        found = named(run)
        getattr(found, action)()
        say(f"{found.id} is {found.state}.")

    return main.command(name=action, help=f"{words}\n\nRUN is an id, the beginning of one, or `latest`.")(control)


for _action, _words in (
    ("pause", "Start nothing new in a run; what runs finishes."),
    ("resume", "Let a paused, stopped or failed run go on."),
    ("stop", "End a run; completed jobs are kept."),
    ("retry", "Try a run's failed jobs again."),
):
    _control(_action, _words)


for _command in (*LOOKS, *COMMANDS, *BACKUPS, *DOORS):
    main.add_command(_command)
