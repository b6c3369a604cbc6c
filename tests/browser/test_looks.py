"""Every state of a run, in light and dark, in a real JupyterLab: shown in words, readable, and kept as a picture."""

from __future__ import annotations

from typing import Any

import pytest

from notebook_scripts import START
from page import shot, start

pytestmark = pytest.mark.browser

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
STATES = {
    "running": 'overview_of(plan, nodes=half | {"pick": node_overview(blocked=24)})',
    "waiting": 'overview_of(plan, nodes=half, reviews=reviews, waiting_for="a person")',
    "paused": 'overview_of(plan, "paused", nodes=half, reviews=reviews)',
    "failed": 'overview_of(plan, "failed", nodes=over | {"score": score}, error="1 of 104 jobs failed")',
    "completed": 'overview_of(plan, "completed", nodes=over)',
    "stopped": 'overview_of(plan, "stopped", nodes=over | {"kit": node_overview(stopped=24)})',
}
SCENE = (
    START.replace("show(run)", "")[: START.index("run = ScriptedRun")]
    + """
import scripted_run, time
scripted_run.STARTED = STARTED = time.time() - 41
times = {"started": STARTED, "finished": STARTED + 9}
texts = "Light that leaves the lamp behind. Aurora, for rooms that dream."
score = node_overview(completed=8, failed=1, error="Tidal mug: TimeoutError after 30 s", **times)
half = {
    "headline": node_overview(completed=24, text=texts, **times),
    "poster": node_overview(completed=51, running=7, blocked=12, failed=2, images=tuple(images), started=STARTED + 4,
                     error="Moss chair: refused"),
    "premium": node_overview(completed=24, branches={"then": 9, "otherwise": 15}, **times),
    "score": node_overview(running=2, completed=6, skipped=15, started=STARTED + 9),
    "pick": node_overview(waiting=2, completed=20, blocked=2, images=tuple(images[:2]), started=STARTED + 12),
    "kit": node_overview(blocked=24),
}
over = {
    "headline": half["headline"], "premium": half["premium"],
    "poster": node_overview(completed=72, images=tuple(images), **times),
    "pick": node_overview(completed=24, images=tuple(images), **times),
    "score": node_overview(completed=9, skipped=15, text="0.93", **times),
    "kit": node_overview(completed=24, images=tuple(images[:1]), **times),
}
reviews = (review_of(images, edit=True), review_of(images, item="1", label="Tidal mug"))
run = ScriptedRun(plan, STATE)
show(run)
"""
)
# The contrast of every text with its background, by the formula of WCAG 2; the least, and its text.
CONTRAST = """
() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const painted = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const part = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  let least = [99, ""];
  const root = document.querySelector(".xtyl");
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !node.checkVisibility() || node.closest("style, :disabled, textarea")) continue;
    const behind = [];
    for (let each = node; each; each = each.parentElement) behind.unshift(getComputedStyle(each).backgroundColor);
    const back = painted(["white", ...behind]);
    const front = painted(["white", ...behind, getComputedStyle(node).color]);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least[0]) least = [ratio, walk.currentNode.textContent.slice(0, 40)];
  }
  return least;
}
"""


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_readable_in_light_and_dark(lab: Any, page: Any, state: str) -> None:
    """The state is shown in words, and no text has less contrast than 4.5 : 1 in either theme."""
    start(page, lab.write(f"state-{state}.ipynb", SCENE.replace("STATE", STATES[state])))
    page.wait_for_selector(f".xtyl .pill.{state}")
    for theme, name in THEMES.items():
        page.evaluate(f"jupyterapp.commands.execute('apputils:change-theme', {{ theme: {name!r} }})")
        page.wait_for_selector(f'body[data-jp-theme-light="{str(theme == "light").lower()}"]', state="attached")
        page.wait_for_selector("#jupyterlab-splash", state="detached")
        shot(page, f"state-{state}-{theme}")
        ratio, text = page.evaluate(CONTRAST)
        assert ratio >= 4.5, text
