"""The widget in a real Notebook 7: it shows, it obeys, it opens a node's jobs."""

from __future__ import annotations

from typing import Any

import pytest

from notebook_scripts import START
from page import run_cell, save
from servers import wait_until

pytestmark = pytest.mark.browser


def test_the_widget_works_in_notebook_7(lab: Any, page: Any) -> None:
    """The same cards, the same panel, the same decision as in JupyterLab."""
    lab.write("seven.ipynb", START, "print(run.controls)")
    page.goto(f"{lab.address}/notebooks/seven.ipynb?token={lab.token}")
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
    run_cell(page, 0)
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    assert page.locator(".xtyl .card").count() == 6
    page.locator('.xtyl .card[data-node="headline"]').click()
    page.locator(".xtyl .job").nth(1).wait_for()
    page.get_by_role("tab", name="Review").click()
    page.locator(".xtyl .pick input").nth(1).check()
    page.get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_selector(".xtyl .pill.completed")
    run_cell(page, 1)
    page.get_by_text("[('approve', 'pick', '0', [1], None)]").wait_for()


def test_notebook_7_keeps_the_end_of_a_run_and_what_was_begun_over_a_reload(lab: Any, page: Any) -> None:
    """As in JupyterLab, the draft is there again, and the notebook's own picture is the last one."""
    lab.write("kept.ipynb", START, "run.step()")
    page.goto(f"{lab.address}/notebooks/kept.ipynb?token={lab.token}")
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
    run_cell(page, 0)
    page.locator(".xtyl .pick input").nth(1).check()

    def is_saved() -> bool:
        # This page has no mark of what is not saved yet, so the file says it.
        save(page)
        return "vnd.jupyter.widget-view" in (lab.folder / "kept.ipynb").read_text()

    wait_until(is_saved)
    page.reload()
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    assert page.locator(".xtyl .pick input").nth(1).is_checked()
    run_cell(page, 1)
    page.wait_for_selector(".xtyl .pill.completed")
    page.wait_for_selector('[class^="xtyl-still"]:has-text("12 / 12")', state="attached")
    assert page.locator("[class^=xtyl-still]").is_hidden()
