"""The time in which a browser shows a large graph, and the smoothness of its updates: `python benchmarks/paint.py` gives
the widget's own module a graph in headless Chromium, times it from the call to the painted frame, and patches it ten times
a second.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from statistics import median
from typing import Any

from graphs import layered
from playwright.sync_api import sync_playwright

from xtyl_engine.queries.views import NodeOverview, Overview
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_engine.workflow.validate import validate
from xtyl_nb.drawing.folding import Fold, fold
from xtyl_nb.widget.state import describe, draw_graph
from xtyl_nb.widget.widget import RunWidget

LAUNCH = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
PATCH_SECONDS = 10
RUNS = 5
PAINT = """
async ([graph, state, source]) => {
  const { default: widget } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const values = { graph, state: { ...state, number: 0 } }, heard = {};
  const model = {
    get: (name) => values[name],
    set: (name, value) => { values[name] = value; (heard[`change:${name}`] ?? []).forEach((call) => call()); },
    on: (name, call) => (heard[name] ??= []).push(call),
    off: (name, call) => { heard[name] = (heard[name] ?? []).filter((other) => other !== call); },
    send: () => {},
  };
  window.model = model;
  window.patch = (message) => (heard["msg:custom"] ?? []).forEach((call) => call(message));
  const el = document.body.appendChild(document.createElement("div"));
  const begun = performance.now();
  widget.initialize({ model });
  widget.render({ model, el });
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - begun;
}
"""
FOLLOW = """
async ([nodes, seconds]) => {
  const long = [], late = [];
  const note = (list) => list.getEntries().forEach((entry) => long.push(entry.duration));
  new PerformanceObserver(note).observe({ type: "longtask" });
  const ids = Object.keys(nodes);
  for (let number = 1; number <= seconds * 10; number += 1) {
    const some = Object.fromEntries(ids.filter((_, place) => place % 10 === number % 10).map((id) => [id,
      { ...nodes[id], state: number % 20 < 10 ? "running" : "completed", text: `text ${number}` }]));
    const begun = performance.now();
    window.patch({ kind: "patch", number, patch: { nodes: some, done: number, elapsed: number } });
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    late.push(performance.now() - begun);
    await new Promise((done) => setTimeout(done, Math.max(0, 100 - late.at(-1))));
  }
  return [long, late];
}
"""


def main() -> None:
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, headless Chromium\n")
    print(
        "| graph | cards | ms to the first picture, median of 5 (most) | ms to a patched picture, p50 / p99 | tasks over 50 ms |"
    )
    print("|---|---|---|---|---|")
    plan = plan_of_layers(20, 50)
    apart = Fold({id: (id,) for id in plan.nodes})
    for name, folded in (("1,000 nodes, each with its card", apart), ("1,000 nodes, folded where alike", fold(plan))):
        print(f"| {name} | {len(folded.stacks):,} | {measured(plan, folded)} |", flush=True)


def plan_of_layers(layers: int, width: int) -> Any:
    graph = layered(layers, width)
    nodes = tuple(Node(id=id, type="call", config={"function": "builtins:dict", "arguments": {}}) for id in graph)
    edges = tuple(Edge(source=parent, target=id) for id, parents in graph.items() for parent in parents)
    return validate(Document(name="layers", nodes=nodes, edges=edges), columns=())


def measured(plan: Any, folded: Fold) -> str:
    graph = draw_graph(plan, "key", folded) | {"opened": 0}
    state = describe(folded.overview(overview_of(plan)))
    source = str(RunWidget._esm)
    firsts = []
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch_persistent_context(
            folder, executable_path=shutil.which("chromium"), headless=True, args=list(LAUNCH)
        )
        for _ in range(RUNS):
            page = browser.new_page()
            page.add_style_tag(content=str(RunWidget._css))
            firsts.append(page.evaluate(PAINT, [graph, state, source]))
            if len(firsts) < RUNS:
                page.close()
        long, late = page.evaluate(FOLLOW, [state["nodes"], PATCH_SECONDS])
        browser.close()
    late.sort()
    first = f"{median(firsts):.0f} ({max(firsts):.0f})"
    return f"{first} | {late[len(late) // 2]:.0f} / {late[int(len(late) * 0.99)]:.0f} | {len(long)}"


def overview_of(plan: Any) -> Overview:
    node = NodeOverview(counts={JobState.COMPLETED: 1, JobState.BLOCKED: 1}, started=1.0, finished=2.0, text="a text")
    count = len(plan.nodes)
    return Overview(
        id="run-1",
        name=plan.name,
        state=ExecutionState.RUNNING,
        sequence=1,
        total=2 * count,
        done=count,
        failed=0,
        rows=2,
        started=1.0,
        finished=None,
        nodes=dict.fromkeys(plan.nodes, node),
    )


if __name__ == "__main__":
    main()
