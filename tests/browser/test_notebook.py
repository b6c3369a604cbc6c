"""The widget in a real Notebook 7: it shows, it obeys, it opens a node's jobs."""

from __future__ import annotations

from typing import Any

import pytest
from test_lab import START, run_cell

pytestmark = pytest.mark.browser


def test_the_widget_works_in_notebook_7(lab: Any, page: Any) -> None:
    """The same cards, the same panel, the same decision as in JupyterLab."""
    lab.write("seven.ipynb", START, "print(run.controls)")
    page.goto(f"{lab.address}/notebooks/seven.ipynb?token={lab.token}")
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
    run_cell(page, 0)
    page.wait_for_selector(".xtyl .pill.running")
    assert page.locator(".xtyl .card").count() == 6
    page.locator('.xtyl .card[data-node="headline"]').click()
    page.locator(".xtyl .job").nth(1).wait_for()
    page.locator(".xtyl .pick input").nth(1).check()
    page.get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_selector(".xtyl .pill.completed")
    run_cell(page, 1)
    page.get_by_text("[('approve', 'pick', '0', [1], None)]").wait_for()
