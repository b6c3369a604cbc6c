"""`xtyl demo`: runs the launch workflow over the shipped briefs from beginning to end, and prints its results."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from xtyl_engine.errors import WorkflowException
from xtyl_nb.cli.progress import watch
from xtyl_nb.cli.screen import screen
from xtyl_nb.data.briefs import load_briefs
from xtyl_nb.workflow.builder import Workflow

if TYPE_CHECKING:
    import pandas as pd

ROWS_PRINTED = 8


def launch_workflow() -> Workflow:
    """The launch workflow; for each row of briefs: three headlines, a poster for each, the first picked, one kit."""
    return (
        Workflow("summer-launch")
        .generate_copy("headline", prompt="A {{ tone }} headline for {{ product }}", n=3)
        .generate_image(
            "poster", prompt="Poster for {{ product }}: {{ headline.text }}", size="512x512", over="headline"
        )
        .review("pick", of="poster", choose=1, auto="first")
        .attach("kit", title="{{ pick.headline.text }}", image="{{ pick.poster.image }}")
    )


def run_demo(folder: Path, rows: int | None = None) -> bool:
    """Run the launch workflow, show it, print the results and write the images; whether every row completed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkflowException(
            f"the folder {folder} cannot be made: {error.strerror}", hint="Name another folder with --folder."
        ) from error
    console = screen()
    briefs = load_briefs(rows)
    console.print(
        f"[bold]summer-launch[/bold] over {len(briefs)} briefs: 3 headlines, 3 posters, a pick and a kit for each."
    )
    console.print("The offline provider writes and draws: deterministic, no key, no cost.\n", style="dim")
    began = time.monotonic()
    run = launch_workflow().run(briefs)
    if not watch(run, console=console).state.is_terminal:
        console.print(f"To see it again: xtyl show {run.id}", soft_wrap=True)
        return False
    seconds = time.monotonic() - began
    frame = run.frame()
    console.print(_table(frame))
    files = run.save(folder)
    jobs = run.jobs()
    cached = int(jobs["cached"].sum())
    console.print(f"{len(jobs)} jobs, {cached} of them cached, in {seconds:.1f} s; run [bold]{run.id}[/bold]")
    console.print(f"{len(files)} files in {folder.resolve()}", soft_wrap=True)
    console.print("Next: the same in a notebook, xtyl lab.", style="dim")
    return bool((frame["status"] == "completed").all())


def _table(frame: pd.DataFrame) -> Table:
    table = Table(title="run.frame()", title_justify="left", show_lines=False)
    for name in ("product", "tone", "kit", "poster", "status"):
        table.add_column(name)
    for record in frame.head(ROWS_PRINTED).to_dict("records"):
        table.add_row(
            record["product"],
            record["tone"],
            str(record["kit"]),
            f"{len(record['poster'])} images",
            str(record["status"]),
        )
    if len(frame) > ROWS_PRINTED:
        table.caption = f"and {len(frame) - ROWS_PRINTED} more rows"
    return table
