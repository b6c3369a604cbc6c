"""Commands that look: at the runs of a back end, at one run, at the back end itself. None of them changes or starts anything."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from xtyl_nb.cli.maintenance import settings_of_home
from xtyl_nb.cli.screen import say
from xtyl_nb.cli.tables import Column, make_console, print_lines, table, width

if TYPE_CHECKING:
    from rich.text import Text

    from xtyl_engine.queries.views import Overview
    from xtyl_nb.runs.listing import Listed
    from xtyl_nb.runs.run import Run

WAITING = "waiting"
STATES = ("pending", "running", "paused", "completed", "failed", "stopped", WAITING)
COLUMNS = (
    Column(title="run"),
    Column(title="state"),
    Column(title="done", right=True, drops=True),
    Column(title="failed", right=True, drops=True),
    Column(title="created", drops=True),
    Column(title="name", least=8, drops=True),
)
MINUTE, HOUR, DAY = 60, 3600, 86_400
as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON, for programs.")


@click.command()
@click.option("--state", type=click.Choice(STATES), multiple=True, help="Only runs in this state; may be repeated.")
@click.option("--name", default="", help="Only runs whose name has this text in it.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="The most runs.")
@as_json
def runs(state: tuple[str, ...], name: str, limit: int, is_json: bool) -> None:
    """List the latest runs, and which of them wait for you.

    `--state waiting` lists those that wait for a person's decision.
    """
    from xtyl_engine.states import ExecutionState
    from xtyl_nb.backends.connect import backend, only_look
    from xtyl_nb.cli.documents import as_text, runs_document
    from xtyl_nb.runs.listing import listed

    if WAITING in state and len(state) > 1:
        raise click.UsageError("--state waiting stands alone: it lists the runs that wait for a person.")
    only_look()
    waits = WAITING in state
    states = [ExecutionState(each) for each in state if each != WAITING] or [ExecutionState.RUNNING] * waits
    found = list(listed(backend(), limit, states=states, name=name, waits=waits))
    if is_json:
        say(as_text(runs_document(found)))
    elif not found:
        say("No run is like that." if state or name else "No runs yet.")
    else:
        print_lines(table(COLUMNS, map(_row, found), width()))
        for words in dict.fromkeys(each.waiting_for for each in found if _is_left(each)):
            say(f"Waits for {words}.", err=True)


@click.command()
@click.argument("run")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run is over, or until Ctrl-C.")
@as_json
def show(run: str, follow: bool, is_json: bool) -> None:
    """Show a run as it is now. Its steps, its errors and what waits for you are shown.

    RUN is an id, the beginning of one, or `latest`. With --follow the exit code is 0 if the run completes, and 1 if it fails or
    is stopped.
    """
    from xtyl_nb.backends.connect import only_look
    from xtyl_nb.cli.progress import follow as follow_run
    from xtyl_nb.cli.progress import say_it_goes_on

    only_look()
    found, console = named(run), make_console()
    if not follow:
        _show_once(found, is_json)
        return
    try:
        overview = _follow_json(found) if is_json else follow_run(found, console)
    except KeyboardInterrupt:
        if not is_json:
            say_it_goes_on(found.id, console)
        sys.exit(130)
    sys.exit(0 if overview.state == "completed" else 1)


def named(text: str) -> Run:
    """The run that a text names: an id, the beginning of one, or `latest`. Raises RunNotFound and RunAmbiguous."""
    from xtyl_nb.backends.connect import backend
    from xtyl_nb.runs.launch import attach
    from xtyl_nb.runs.listing import find_id

    return attach(find_id(backend(), text))


@click.command()
@as_json
def status(is_json: bool) -> None:
    """Show whether the back end runs, or how full a shared one is."""
    from xtyl_nb.cli.documents import as_text
    from xtyl_nb.cli.status import look

    found = look(settings_of_home())
    if is_json:
        say(as_text(found.document))
    else:
        print_figures(found.figures)


def print_figures(figures: list[tuple[str, str]]) -> None:
    """Print names and words in two columns."""
    for name, words in figures:
        say(f"{name:>16}: {words}")


def _row(each: Listed) -> list[Text | str]:
    from rich.text import Text

    from xtyl_nb.cli.progress import STYLES, state_words

    execution = each.execution
    words, style = state_words(execution.state.value, each.waiting_for, each.decisions)
    return [
        execution.id,
        Text(words, style=STYLES.get(style, "")),
        f"{each.done}/{execution.total}",
        Text(str(execution.failed), style="red") if execution.failed else "",
        ago(time.time() - execution.created),
        execution.name,
    ]


def _is_left(each: Listed) -> bool:
    from xtyl_nb.cli.progress import is_left

    return is_left(each.waiting_for)


def ago(seconds: float) -> str:
    """How long ago something was, in words."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name} ago"
    return "just now"


def _show_once(run: Run, is_json: bool) -> None:
    from xtyl_nb.cli.documents import as_text
    from xtyl_nb.cli.progress import run_lines

    overview = run.overview()
    if is_json:
        say(as_text(_document(run, overview)))
        return
    print_lines([*run_lines(overview, width()), *_advice(run, overview)])


def _advice(run: Run, overview: Overview) -> list[Text]:
    """How to decide the first review that waits, in a notebook."""
    from rich.text import Text

    if overview.state.is_terminal or not overview.reviews:
        return []
    first = overview.reviews[0]
    choose = list(range(first.choose))
    words = f"To decide: xt.attach({run.id!r}).approve({first.node!r}, choose={choose})"
    return [Text(words, style="dim", no_wrap=True)]


def _document(run: Run, overview: Overview) -> dict[str, Any]:
    from xtyl_nb.backends.connect import backend
    from xtyl_nb.cli.documents import run_document

    return run_document(backend().queries.execution(run.id), overview)


def _follow_json(run: Run) -> Overview:
    """Print the run on one line, at first and at each change, until it is over."""
    from xtyl_nb.cli.documents import as_text
    from xtyl_nb.cli.progress import REFRESH_SECONDS

    said = ""
    while True:
        overview = run.overview()
        line = as_text(_document(run, overview), is_one_line=True)
        if line != said:
            said = line
            say(line)
        if overview.state.is_terminal:
            return overview
        run._changed(overview.sequence, REFRESH_SECONDS)


LOOKS = (runs, show, status)
