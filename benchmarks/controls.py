"""The time from a click in the widget to its event in the engine, in a real JupyterLab: `python benchmarks/controls.py`
clicks Pause and Resume while the kernel is idle and while a cell blocks it, for each given ipykernel, and prints medians in
seconds.

`--kernel 6.31.0=/folder` names a folder with that ipykernel (`pip install --no-deps --target /folder ipykernel==6.31.0`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from playwright.sync_api import sync_playwright

from lab import LAUNCH, laboratory
from page import run_cell
from xtyl_engine.embedded.client import down
from xtyl_engine.settings import load_settings

SETUP = """
import time
import xtyl_nb as xt

def slowly(n):
    time.sleep(0.3)
    return n

run = xt.Workflow("clicks").call("work", slowly, n="{{ n }}").run([{"n": n} for n in range(4000)])
"""
BLOCKING = {
    "idle": "",
    "`time.sleep(20)`": "time.sleep(20)",
    "`run.wait()`": "run.wait()",
    "`await run`": "await run",
}
CLICKS = ("Pause", "Resume", "Pause", "Resume", "Pause")
GIVE_UP_SECONDS = 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", action="append", default=[], help="version=folder; may be given several times")
    options = parser.parse_args()
    kernels = dict(each.split("=", 1) for each in options.kernel) or {"installed": ""}
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {len(CLICKS)} clicks each\n"
    )
    print(f"| ipykernel | {' | '.join(BLOCKING)} |\n|---|{'---|' * len(BLOCKING)}")
    with tempfile.TemporaryDirectory(prefix="xc") as folder:
        os.environ["XTYL_HOME"] = str(Path(folder) / "home")
        for name, path in kernels.items():
            cells = [
                measured(Path(folder), f"{name}-{place}", path, code) for place, code in enumerate(BLOCKING.values())
            ]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        down(load_settings())


def measured(folder: Path, name: str, path: str, code: str) -> str:
    """The median over the clicks, or a note that they are served only after the end of the cell."""
    root = folder / name
    root.mkdir()
    with laboratory(root) as lab, page_of(folder / f"{name}-profile") as page:
        write_kernel(root, path)
        page.goto(lab.write("clicks.ipynb", SETUP, code or "1"))
        notebook = lab.folder / "clicks.ipynb"
        notebook.write_text(notebook.read_text().replace('"python3"', '"measured"'))
        page.reload()
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        run_cell(page, 0)
        page.wait_for_selector(".xtyl .card.running")
        if code:
            run_cell(page, 1)
            page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="busy"]')
        seconds = [clicked(page, button) for button in CLICKS]
        end_run()
    found = [each for each in seconds if each is not None]
    return f"{statistics.median(found):.2f}" if len(found) == len(seconds) else "when the cell has ended"


def clicked(page: Any, button: str) -> float | None:
    """Seconds from the click to the event in SQL; None if there was none in time."""
    kind = {"Pause": "paused", "Resume": "resumed"}[button]
    before = events(kind)
    at = page.get_by_role("button", name=button, exact=True)
    with contextlib.suppress(Exception):
        at.wait_for(timeout=GIVE_UP_SECONDS * 1000)
        began = time.time()
        at.click(timeout=1000)
        while time.time() - began < GIVE_UP_SECONDS:
            if len(found := events(kind)) > len(before):
                return found[-1] - began
            time.sleep(0.01)
    return None


def events(kind: str) -> list[float]:
    database = sqlite3.connect(f"file:{os.environ['XTYL_HOME']}/xtyl.db?mode=ro", uri=True)
    found = database.execute("SELECT time FROM execution_events WHERE kind = ? ORDER BY time", (kind,)).fetchall()
    database.close()
    return [row[0] for row in found]


def end_run() -> None:
    import xtyl_nb as xt

    for id in xt.runs().query("state in ('running', 'paused')").index:
        xt.attach(id).stop()


def write_kernel(root: Path, path: str) -> None:
    """A kernel like the installed one, with another ipykernel first on its path."""
    folder = root / "jupyter_data_dir" / "kernels" / "measured"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "measured", "language": "python", "env": {"PYTHONPATH": path}}
    (folder / "kernel.json").write_text(json.dumps(spec))


@contextlib.contextmanager
def page_of(profile: Path) -> Iterator[Any]:
    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(profile),
            executable_path="/usr/bin/chromium",
            args=list(LAUNCH),
            viewport={"width": 1300, "height": 1000},
        )
        yield context.new_page()
        context.close()


if __name__ == "__main__":
    main()
