"""A user's notebook as a script in a separate process: it submits the run, or finds it again, and looks at it until its end.
`notebook.py <log> [<run>]` prints the run's id, and logs each event it sees, `null` where it starts to look again.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pandas as pd

import xtyl_nb as xt
from xtyl_nb.runs.run import Run

ROWS = 8
ALL_JOBS = 6 * ROWS
# Enough for what is assumed of lost answers, not for all jobs at once.
BUDGET = 12.00
# More than a row holds, so it goes to an artifact.
PAGES = 300_000


def workflow() -> xt.Workflow:
    """Texts that quote the texts before them."""
    retry = {"attempts": 20, "base_seconds": 0.05, "max_seconds": 0.5}
    asked: dict[str, Any] = {"provider": "openai", "model": "fake", "max_tokens": 100}
    common: dict[str, Any] = {**asked, "retry": retry, "cache": False}
    return (
        xt.Workflow("chaos", budget=BUDGET)
        .generate_copy("idea", prompt="An idea for {{ product }}", n=2, **common)
        .generate_copy("draft", prompt="Write it out: {{ idea.text }}", over="idea", **common)
        .generate_copy("final", prompt="Choose: {% for d in draft %}{{ d.text }} {% endfor %}", **common)
        .call("book", printed, text="{{ final.text }}", pages=PAGES)
    )


def printed(text: str, pages: int) -> str:
    return text + "." * pages


def found(id: str) -> Run:
    """The run; tried again, as a person would, while the database is away."""
    while True:
        try:
            return xt.attach(id)
        except xt.BackendError:
            threading.Event().wait(0.2)


def watch(run: Run, log: Path) -> None:
    """Log the events as they come; after an error of the database, again from the first."""
    with open(log, "a") as file:
        while True:
            write(file, None)
            try:
                for event in run.watch():
                    write(file, [event.sequence, event.kind, event.node, event.item])
                return
            except xt.BackendError:
                threading.Event().wait(0.2)


def write(file: Any, entry: object) -> None:
    file.write(json.dumps(entry) + "\n")
    file.flush()


def main(log: str, id: str | None = None) -> None:
    run = found(id) if id else workflow().run(pd.DataFrame({"product": [f"product {n}" for n in range(ROWS)]}))
    sys.stdout.write(f"{run.id}\n")
    sys.stdout.flush()
    watch(run, Path(log))


if __name__ == "__main__":
    main(*sys.argv[1:])
