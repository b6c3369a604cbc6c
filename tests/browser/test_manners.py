"""How the widget behaves beside people at work, in a real JupyterLab: it takes nothing from them and leaves nothing unsaid."""

from __future__ import annotations

from typing import Any

import pytest
from test_lab import START, run_cell, start

pytestmark = pytest.mark.browser

# Rows that wait: 0 and 1 at first, then 2 as well, then 0 is decided elsewhere.
ROWS = (
    START.replace("show(run)", "").replace("reviews=(review_of(images, edit=True),)", "reviews=rows(0, 1)")
    + """
from dataclasses import replace
def rows(*places):
    return tuple(review_of(images, edit=True, item=str(row), label=f"Lamp {row}") for row in places)
def stands(*places):
    nodes = waiting | {"pick": glance(waiting=len(places))}
    return overview_of(plan, nodes=nodes, reviews=rows(*places))
run = ScriptedRun(plan, stands(0, 1), stands(0, 1, 2), stands(1, 2))
show(run)
"""
).replace(
    """run = ScriptedRun(
    plan,
    overview_of(plan, nodes=waiting, reviews=rows(0, 1)),
    overview_of(plan, "completed", nodes=done),
)
""",
    "",
)
REFUSING = START.replace(
    "show(run)",
    """
from xtyl_engine.errors import DecisionRefused
def refuse(node, **decision):
    run.step()
    import time; time.sleep(1)
    raise DecisionRefused("pick was already decided: approve by ana, option 2", hint="The first decision stands.")
run.approve = refuse
show(run)
""",
)


def test_what_is_typed_and_chosen_stays_when_another_row_arrives(lab: Any, page: Any) -> None:
    """The count changes; text, choice, focus and row do not, also when a row before it was decided elsewhere."""
    start(page, lab.write("typing.ipynb", ROWS, "run.step()", "run.step()"))
    review = page.locator(".xtyl .review")
    review.get_by_role("button", name="next review").click()
    review.get_by_text("Lamp 1", exact=False).first.wait_for()
    review.locator(".pick input").nth(1).check()
    review.locator("textarea:visible").fill("Half a sentence")
    page.evaluate("() => { window.typed = document.activeElement; }")
    run_from_page(page, 1)
    review.get_by_text("2 of 3").wait_for()
    assert page.evaluate("() => window.typed.isConnected && window.typed.value") == "Half a sentence"
    run_from_page(page, 2)
    review.get_by_text("1 of 2").wait_for()
    assert "Lamp 1" in review.locator("h5").inner_text()
    assert page.evaluate("() => window.typed.isConnected && window.typed.value") == "Half a sentence"


def run_from_page(page: Any, place: int) -> None:
    """Run a cell without a click into it, as a colleague's would."""
    run_cell(page, place)
    page.locator(".jp-CodeCell").nth(place).locator(".jp-InputPrompt").get_by_text("[", exact=False).wait_for()


def test_a_decision_that_came_second_is_told_when_its_row_is_gone(lab: Any, page: Any) -> None:
    """Who was first is said, although the review is no longer there to say it at."""
    start(page, lab.write("second.ipynb", REFUSING))
    page.locator(".xtyl .pick input").first.check()
    page.get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_selector(".xtyl .pill.completed")
    page.get_by_text("already decided: approve by ana, option 2").wait_for()


def test_single_letters_stay_in_the_widget(lab: Any, page: Any) -> None:
    """On a card, b makes no cell and x cuts none; with Control the page still saves."""
    start(page, lab.write("letters.ipynb", START, "1"))
    page.locator('.xtyl .card[data-node="poster"]').focus()
    for key in ("b", "a", "x", "x"):
        page.keyboard.press(key)
    page.keyboard.press("Control+s")
    page.wait_for_selector(".jp-mod-dirty", state="detached")
    assert page.locator(".jp-CodeCell").count() == 2


def test_text_in_the_panel_can_be_selected_while_the_run_goes_on(lab: Any, page: Any) -> None:
    """The run moves, the panel's text stays the same node on the page."""
    start(page, lab.write("panel.ipynb", ROWS, "run.step()"))
    page.locator('.xtyl .card[data-node="poster"]').click()
    shown = page.locator(".xtyl .panel dd", has_text="Poster for").first
    shown.wait_for()
    shown.evaluate("(node) => { window.held = node; getSelection().selectAllChildren(node); }")
    run_from_page(page, 1)
    page.locator(".xtyl .review").get_by_text("1 of 3").wait_for()
    assert page.evaluate("() => window.held.isConnected")


def test_a_kernel_that_is_gone_is_named_with_the_way_back(lab: Any, page: Any) -> None:
    """A click then says how to see the run again."""
    start(page, lab.write("gone.ipynb", START))
    lab.stop_kernels()
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator:not([data-status="idle"])')
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_text('xt.attach("run-1")', exact=False).or_(
        page.get_by_text("xtyl pause run-1", exact=False)
    ).first.wait_for()


def test_a_kernel_that_is_busy_is_named_with_what_works(lab: Any, page: Any) -> None:
    """Where clicks wait for the cell, the command for a terminal stands there."""
    blocked = START.replace("show(run)", "import time; run.pause = lambda: time.sleep(4)\nshow(run)")
    start(page, lab.write("late.ipynb", blocked))
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_text("xtyl pause run-1", exact=False).wait_for()


def test_prices_are_no_formulas(lab: Any, page: Any) -> None:
    """Dollars in a frame stay dollars."""
    frame = 'import pandas as pd\nfrom xtyl_nb.table import ResultFrame\nResultFrame({"a": ["costs $5 and $10", "2"]})'
    start(page, lab.write("prices.ipynb", frame))
    page.get_by_text("costs $5 and $10").last.wait_for()
    assert page.locator("mjx-container").count() == 0
