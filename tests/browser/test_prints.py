"""What functions print, live on the card and in a job's details, in a real JupyterLab with a real back end."""

from __future__ import annotations

from typing import Any

import pytest

from page import run_cell, shot, start

pytestmark = pytest.mark.browser

RUN = """
import pathlib
import pandas as pd
import xtyl_nb as xt

gate = pathlib.Path("gate").absolute()

def train(name, gate):
    import logging, pathlib, threading, warnings
    for epoch in range(1, 31):
        print(f"epoch {epoch} of {name}: loss {1 / epoch:.3f}")
    logging.getLogger("train").info("checkpoint of %s kept", name)
    warnings.warn(f"the loss of {name} has not settled")
    xt.progress(30, 60)
    while not pathlib.Path(gate).exists():
        threading.Event().wait(0.05)
    xt.progress(60, 60)
    print(f"<b>{name}</b> is trained")
    return len(name)

frame = pd.DataFrame({"name": ["Aurora lamp", "Tidal mug"]})
flow = xt.Workflow("training").call("train", train, name="{{ name }}", gate=str(gate))
run = flow.run(frame)
"""
DOWN = "from xtyl_engine.embedded.client import down; from xtyl_engine.settings import load_settings; down(load_settings())"


def test_prints_are_seen_live_and_in_the_end(lab: Any, page: Any) -> None:
    """The card has how far the jobs are and the last line; a click on a job shows its text, which grows while it is open; what
    looks like markup is text."""
    start(page, lab.write("prints.ipynb", RUN, "gate.touch(); run.wait(60)", "run.logs()", DOWN))
    card = page.locator('.xtyl .card[data-node="train"]')
    card.locator("p", has_text="60 of 120 · ").wait_for()
    shot(page, "prints-card")
    card.click()
    page.locator(".xtyl .job", has_text="Tidal mug").click()
    prints = page.locator(".xtyl .panel pre.prints")
    prints.filter(has_text="INFO train: checkpoint of Tidal mug kept").wait_for()
    assert "epoch 30 of Tidal mug: loss 0.033" in prints.inner_text()
    assert "UserWarning: the loss of Tidal mug has not settled" in prints.inner_text()
    assert "Aurora" not in prints.inner_text()
    page.locator(".xtyl .panel dd", has_text="30 of 60").wait_for()
    # The end is in view.
    assert prints.evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight") < 4
    assert prints.evaluate("box => box.scrollTop") > 0
    shot(page, "prints-job-live")
    run_cell(page, 1)
    prints.filter(has_text="<b>Tidal mug</b> is trained").wait_for()
    page.locator(".xtyl .panel dd", has_text="60 of 60").wait_for()
    page.locator(".xtyl .pill.completed").wait_for()
    shot(page, "prints-job")
    run_cell(page, 2)
    shown = page.locator(".jp-RenderedHTML pre", has_text="<b>Aurora lamp</b> is trained")
    shown.wait_for()
    run_cell(page, 3)
    page.locator(".jp-InputPrompt").get_by_text("[4]:").wait_for()
