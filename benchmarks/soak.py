"""The memory over an hour of updates, made in a row: `python benchmarks/soak.py` patches a page in headless Chromium 36,000
times, as many as an hour has at ten a second, lets the kernel's side compute as many, and prints the memory that both hold.
"""

from __future__ import annotations

import gc
import os
import platform
import shutil
import tempfile
import tracemalloc
from dataclasses import replace
from typing import Any

from paint import LAUNCH, PAINT, overview_of, plan_of_layers
from playwright.sync_api import sync_playwright

from xtyl_nb.drawing.folding import fold
from xtyl_nb.widget.state import describe, difference, draw_graph
from xtyl_nb.widget.widget import RunWidget

STEPS, PATCHES = 6, 6_000
MANY = """
async ([nodes, first, count]) => {
  const ids = Object.keys(nodes);
  for (let number = first; number < first + count; number += 1) {
    const id = ids[number % ids.length];
    const node = { ...nodes[id], state: number % 2 ? "running" : "completed", text: `text ${number}` };
    window.patch({ kind: "patch", number, patch: { nodes: { [id]: node }, done: number, elapsed: number } });
    if (number % 50 === 0) await new Promise((done) => requestAnimationFrame(done));
  }
  return document.querySelector(".xtyl .numbers").textContent;
}
"""


def main() -> None:
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, headless Chromium\n")
    print("| updates | page: MB of objects, elements | kernel: MB |\n|---|---|---|")
    plan = plan_of_layers(6, 10)
    state = describe(overview_of(plan))
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch_persistent_context(
            folder, executable_path=shutil.which("chromium"), headless=True, args=list(LAUNCH)
        )
        page = browser.new_page()
        page.evaluate(PAINT, [draw_graph(plan, "key", fold(plan)) | {"opened": 0}, state, str(RunWidget._esm)])
        console = browser.new_cdp_session(page)
        tracemalloc.start()
        for step in range(STEPS):
            shown = page.evaluate(MANY, [state["nodes"], 1 + step * PATCHES, PATCHES])
            assert shown.startswith(f"{(step + 1) * PATCHES} "), shown
            kernel_side(plan)
            print(f"| {(step + 1) * PATCHES:,} | {held(page, console)} | {kernel_megabytes():.2f} |", flush=True)
        browser.close()


def kernel_side(plan: Any) -> None:
    """As many reads of a run as the page had patches."""
    before = describe(overview_of(plan))
    for number in range(PATCHES):
        now = describe(replace(overview_of(plan), done=number))
        assert number == 0 or difference(before, now)["done"] == number
        before = now


def held(page: Any, console: Any) -> str:
    console.send("HeapProfiler.collectGarbage")
    found = console.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    elements = page.evaluate("document.getElementsByTagName('*').length")
    return f"{found:.2f}, {elements:,}"


def kernel_megabytes() -> float:
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / 1e6


if __name__ == "__main__":
    main()
