"""A run outlives its kernel, in a real JupyterLab with a real back end: a kernel that attaches again sees all of it."""

from __future__ import annotations

from typing import Any

import pytest

from page import run_cell, save, shot, start

pytestmark = pytest.mark.browser

JOBS = 60
RUN = f"""
import os, signal, time
os.environ["XTYL_MAX_PARALLEL"] = "2"
import xtyl_nb as xt

def slowly(n):
    time.sleep(0.1)
    return n

run = xt.Workflow("survivor").call("work", slowly, n="{{{{ n }}}}").run([{{"n": n}} for n in range({JOBS})])
ended = 0
for event in run.watch():
    ended += event.kind == "job_completed"
    if ended == {JOBS} * 3 // 10:
        os.kill(os.getpid(), signal.SIGKILL)
"""
AGAIN = "import xtyl_nb as xt\nrun = xt.attach(xt.runs().index[0])\nrun"
TOLD = f"""
events = run.wait(60).events()
whole = list(events["sequence"]) == list(range(1, len(events) + 1))
jobs = run.jobs()
print("all", whole, (jobs["status"] == "completed").sum() == {JOBS}, jobs["attempts"].max())
"""
DOWN = "from xtyl_engine.embedded.client import down\nfrom xtyl_engine.settings import load_settings\ndown(load_settings())"


def test_a_run_whose_kernel_was_killed_is_seen_whole_by_the_next(lab: Any, page: Any) -> None:
    """The kernel is killed at 30 %: a new one attaches, the cards move on to the end, and the events are numbered
    without a gap."""
    start(page, lab.write("survivor.ipynb", RUN, AGAIN, TOLD, DOWN))
    page.locator(".jp-Dialog", has_text="restart").locator("button").last.click()
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    run_cell(page, 1)
    again = page.locator(".jp-CodeCell").nth(1)
    again.locator('.xtyl .card[data-node="work"].completed').wait_for()
    again.get_by_text(f"{JOBS} / {JOBS}").first.wait_for()
    shot(page, "attached")
    run_cell(page, 2)
    page.get_by_text("all True True 1").wait_for()
    save(page)
    run_cell(page, 3)
    page.locator(".jp-InputPrompt").get_by_text("[4]:").or_(
        page.locator(".jp-InputPrompt").get_by_text("[3]:")
    ).wait_for()
