"""Leaves runs in their middle.

`python tests/support/midway.py`, run by the code of a release, begins them in the home of XTYL_HOME and
kills the back end with SIGKILL while jobs run, reviews are open and a retry waits. It says in `midway.json` how they stood.

It speaks what a notebook of that release may and nothing else of this folder, and names modules as that release does: a
rename in the product is none of its business.
"""

from __future__ import annotations

import json
import linecache
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

import xtyl_nb as xt

BRIEFS = pd.DataFrame({"word": ["lamp", "mug"]}, index=["a", "b"])
HOME = Path(os.environ.get("XTYL_HOME", "."))
FACTS = ["node", "row", "status", "attempts", "started", "finished"]
RETRY = {"attempts": 50, "base_seconds": 5}

# As a cell defines them; `earlier` is a frame and `flow` a workflow of the cells before. The file `open` lets them end.
CELL = """
import os
import time
from pathlib import Path

import xtyl_nb as xt
from xtyl_engine.artifacts import Artifact
from xtyl_nb import TransientError, load_briefs


def is_open():
    return Path(os.environ["XTYL_HOME"], "open").exists()


def held(text):
    while not is_open():
        time.sleep(0.01)
    return text + "!"


def tried(word):
    if not is_open():
        raise TransientError("not yet")
    return f"{word} of {len(load_briefs(2))}"


def recalled(word):
    return str(earlier.loc[earlier["word"] == word, "line"].iloc[0])


def ordered():
    return ", ".join(flow.order())


def sized(image):
    return image.open().width if isinstance(image, Artifact) else None


def mentions(word):
    return xt.Workflow(word).name if word else xt.attach(word).frame()
"""


def functions(**captured: Any) -> dict[str, Any]:
    """The functions that the cell defines, with their source known to linecache only."""
    filename = "/tmp/ipykernel_1/1.py"
    linecache.cache[filename] = (len(CELL), None, CELL.splitlines(True), filename)
    namespace = {"__name__": "__main__", **captured}
    exec(compile(CELL, filename, "exec"), namespace)
    return namespace


def finished_flow() -> xt.Workflow:
    """A flow that is over before the back end is killed, from a document, so that one can find its results again."""
    flow = xt.Workflow("finished").generate_copy("line", prompt="A line for {{ word }}")
    flow = flow.generate_image("art", prompt="{{ line.text }}", size="32x32")
    return xt.Workflow.from_json(flow.call("quoted", json.dumps, obj="{{ line.text }}", cache=True).to_json())


def midway_flow(cell: dict[str, Any]) -> xt.Workflow:
    """Two jobs that end, a review, one that runs, one that is tried again, and the steps after the running one."""
    flow = (
        xt.Workflow("midway")
        .generate_copy("line", prompt="A line about {{ word }}")
        .generate_image("art", prompt="{{ line.text }}", size="32x24")
        .review("pick", of="art", choose=1)
        .attach("kit", title="{{ pick.line.text }}", image="{{ pick.art.image }}")
        .call("held", cell["held"], text="{{ line.text }}")
        .call("tried", cell["tried"], word="{{ word }}", after=["line"], retry=RETRY)
    )
    flow = flow.call("recalled", cell["recalled"], word="{{ word }}", after=["held"])
    flow = flow.call("ordered", cell["ordered"], after=["held"])
    flow = flow.call("sized", cell["sized"], image="{{ art.image }}", after=["held"])
    flow = flow.call("mentions", cell["mentions"], word="{{ word }}", after=["held"])
    flow = flow.call("briefs", xt.load_briefs, rows=1, after=["held"])
    return flow.call("quoted", json.dumps, obj="{{ word }}", after=["held"])


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stands(run: xt.Run) -> dict[str, set[tuple[str, int]]]:
    """For each node, the states of its jobs and the number of their attempts."""
    found: dict[str, set[tuple[str, int]]] = {}
    for _, job in run.jobs().iterrows():
        found.setdefault(job["node"], set()).add((str(job["status"]), int(job["attempts"])))
    return found


def is_in_its_middle(run: xt.Run) -> bool:
    found = stands(run)
    expected = {
        "line": {("completed", 1)},
        "art": {("completed", 1)},
        "pick": {("waiting", 1)},
        "held": {("running", 1)},
        "tried": {("ready", 1)},
    }
    return {node: found[node] for node in expected} == expected


def kill_back_end() -> None:
    """Kill the supervisor first, so that it starts nothing again; then the worker, before it can give a job back."""
    said = json.loads((HOME / "supervisor.json").read_text())
    for name in ("pid", "worker_pid", "server_pid"):
        os.kill(said[name], signal.SIGKILL)


def main() -> None:
    finished = finished_flow().run(BRIEFS).wait(60)
    finished.frame().to_pickle(HOME / "frame.pickle")
    cell = functions(earlier=finished.frame(), flow=finished_flow())
    run = midway_flow(cell).run(BRIEFS)
    wait_until(lambda: is_in_its_middle(run))
    kill_back_end()
    facts = {
        "made_by": [*sys.version_info[:2], int(pd.__version__.split(".")[0])],
        "run": run.id,
        "jobs": json.loads(run.jobs()[FACTS].to_json(orient="records", date_format="iso")),
        "finished": finished.id,
        "finished_flow": finished_flow().to_json(),
    }
    (HOME / "midway.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
