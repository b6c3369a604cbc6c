"""The time from an event in the engine to the picture in the browser, in a real JupyterLab: `python benchmarks/live.py` watches a
card's count change, compares each change with the time of its event in SQL, and prints p50 and p99.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from controls import page_of, run_cell
from recovery import spread

from lab import laboratory
from xtyl_engine.embedded.client import down
from xtyl_engine.settings import load_settings

JOBS = 150
SETUP = f"""
import time
import xtyl_nb as xt

def slowly(n):
    time.sleep(0.1)
    return n

flow = xt.Workflow("live").call("work", slowly, n="{{{{ n }}}}")
run = flow.run([{{"n": n}} for n in range({JOBS})])
"""
WATCH = """
() => {
  window.seen = [];
  const watch = () => {
    const count = document.querySelector('.xtyl .card[data-node="work"] h4 em');
    if (!count) return requestAnimationFrame(watch);
    const note = () => window.seen.push([parseInt(count.textContent) || 0, Date.now() / 1000]);
    new MutationObserver(note).observe(count, { childList: true, characterData: true, subtree: true });
  };
  watch();
}
"""


def main() -> None:
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {JOBS} jobs of 0.1 s\n")
    print("| jobs at a time | s from the event to the picture, p50 / p99 |\n|---|---|")
    with tempfile.TemporaryDirectory(prefix="xv") as folder:
        for parallel in (1, 4):
            os.environ |= {"XTYL_HOME": str(Path(folder) / f"home{parallel}"), "XTYL_MAX_PARALLEL": str(parallel)}
            seconds = sorted(measured(Path(folder) / str(parallel)))
            print(f"| {parallel} | {spread(seconds)} |", flush=True)
            down(load_settings())


def measured(folder: Path) -> list[float]:
    """For each ended job, the delay until the card showed its number or a higher one."""
    folder.mkdir()
    with laboratory(folder) as lab, page_of(folder / "profile") as page:
        page.goto(lab.write("live.ipynb", SETUP))
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        page.evaluate(WATCH)
        run_cell(page, 0)
        page.wait_for_selector(".xtyl .pill.completed", timeout=60_000)
        seen: list[Any] = page.evaluate("() => window.seen")
    ends = events()
    late = [min((at for count, at in seen if count >= number), default=None) for number in range(1, len(ends) + 1)]
    # Jobs that ended before the page drew the widget say nothing about its delay.
    first = min(at for _, at in seen)
    return [at - end for at, end in zip(late, ends, strict=True) if at is not None and end > first]


def events() -> list[float]:
    database = sqlite3.connect(f"file:{os.environ['XTYL_HOME']}/xtyl.db?mode=ro", uri=True)
    found = database.execute("SELECT time FROM execution_events WHERE kind = 'job_completed' ORDER BY time").fetchall()
    database.close()
    return [row[0] for row in found]


if __name__ == "__main__":
    main()
