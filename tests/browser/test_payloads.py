"""Texts that would run code as markup, in every place that shows texts, in a real JupyterLab: they are shown as text,
and nothing runs.
"""

from __future__ import annotations

from typing import Any

import pytest

from page import run_cell, run_from_page, save, start
from payloads import PAYLOADS

pytestmark = pytest.mark.browser

# One row for each of them: in its label, cells, prompts, results, errors, and a person's options.
RUN = """
import pandas as pd
import xtyl_nb as xt
from payloads import PAYLOADS

def say(cell):
    return {"text": cell, cell: cell}

def fail(cell):
    raise ValueError(cell)

frame = pd.DataFrame({"cell": PAYLOADS, PAYLOADS[1]: PAYLOADS}, index=pd.Index(PAYLOADS, name=PAYLOADS[0]))
flow = (
    xt.Workflow(PAYLOADS[1])
    .generate_copy("line", prompt="{{ cell }}", n=2)
    .call("say", say, cell="{{ cell }}")
    .call("bad", fail, cell="{{ cell }}", after=[])
    .review("pick", of="line", edit=True, instructions=" ".join(PAYLOADS[:12]))
    .attach("kit", title="{{ say.text }}", choice="{{ pick.line.text }}")
)
run = flow.run(frame)
"""
DECIDED = """
run.approve("pick", row=frame.index[0], choose=[0], edits={0: " ".join(PAYLOADS)}, comment=PAYLOADS[1], timeout=60)
run.reject("pick", row=frame.index[1], reason=PAYLOADS[1], timeout=60)
"""
SHOWN = """
from IPython.display import HTML, display
from xtyl_nb.drawing.run_picture import run_html

sketches = []
for payload in PAYLOADS:
    sketches.append(xt.Workflow(payload).attach("kit", title=payload)._repr_html_())
    try:
        xt.Workflow(payload).attach(payload, title="{{ nothing }}").call(payload, say, **{"cell": "{{ missing }}"}).run(frame)
    except xt.WorkflowError as error:
        sketches.append(error._repr_html_())
# JupyterLab shows fifty outputs of a cell.
display(HTML("".join(sketches)))
for table in (run.frame(), run.outputs("line"), run.outputs("say"), run.outputs("kit"), run.jobs(), run.events(), run.reviews(),
              xt.runs(), flow.plan(frame), run.gallery(), run.timeline()):
    display(table)
HTML(run_html(run._plan, run.overview()))
"""
DOWN = "from xtyl_engine.embedded.client import down\nfrom xtyl_engine.settings import load_settings\ndown(load_settings())"
WATCH = "window.hits = 0; window.hit = () => { window.hits += 1; };"
MADE = """() => [...document.querySelectorAll('.jp-OutputArea-output *')].filter((node) =>
  node.matches('iframe, object, embed, link, form, video, noscript, details[ontoggle], base, meta')
  || [...node.attributes].some(({ name, value }) => name.startsWith('on') || /^\\\\s*javascript:/i.test(value))).length"""


def test_nothing_that_is_shown_runs(lab: Any, page: Any) -> None:
    """Nothing runs in the live widget with its panel, events and reviews, in frames, sheets, drawings and errors, and
    after a reload."""
    page.add_init_script(WATCH)
    start(page, lab.write("payloads.ipynb", RUN, DECIDED, SHOWN, DOWN))
    page.locator(".xtyl .review .pick").first.wait_for()
    for node in ("line", "say", "bad", "pick"):
        page.locator(f'.xtyl .card[data-node="{node}"]').click()
        page.locator(".xtyl .job").first.click()
        page.locator(".xtyl .panel dt", has_text="attempts").wait_for()
        page.keyboard.press("Escape")
    page.locator(".xtyl .review .pick input").first.check()
    page.get_by_role("tab", name="Events", exact=True).click()
    page.locator(".xtyl .event").first.wait_for()
    assert "onerror=hit()" in page.locator(".xtyl").first.inner_text()
    run_from_page(page, 1)
    run_from_page(page, 2)
    page.locator(".jp-InputPrompt").get_by_text("[3]:").wait_for()
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    shown = page.locator(".jp-CodeCell").nth(2).inner_text()
    assert [payload for payload in PAYLOADS if payload.split()[0][:12] not in shown] == []
    assert page.evaluate("window.hits") == 0
    assert page.evaluate(MADE) == 0
    save(page)
    page.reload()
    page.locator(".xtyl .card").first.wait_for()
    page.locator(".jp-CodeCell").nth(2).locator("table").first.wait_for()
    assert page.evaluate("window.hits") == 0
    assert page.evaluate(MADE) == 0
    run_cell(page, 3)
    page.locator(".jp-InputPrompt").get_by_text("[4]:").wait_for()
