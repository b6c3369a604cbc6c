"""The widget in a real JupyterLab: it shows, it obeys, it survives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from notebook_scripts import START
from page import run_cell, save, start

pytestmark = pytest.mark.browser


def test_a_choice_made_in_the_page_reaches_the_run(lab: Any, page: Any) -> None:
    """A choice, an edit and an approval reach the run, and the page shows the end."""
    start(page, lab.write("approve.ipynb", START, "print(run.controls)"))
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    assert page.locator(".xtyl .card").count() == 6
    assert page.locator('.xtyl .card[data-node="headline"] p').inner_text() == "Hello <b>you</b>"
    assert page.get_by_role("button", name="Approve", exact=True).is_disabled()
    page.locator(".xtyl .pick input").nth(1).check()
    page.locator(".xtyl .pick textarea:visible").fill("For rooms that sing")
    page.get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_selector(".xtyl .pill.completed")
    assert page.locator(".xtyl .review").is_hidden()
    run_cell(page, 1)
    page.get_by_text("[('approve', 'pick', '0', [1], {1: 'For rooms that sing'})]").wait_for()


def test_everything_can_be_reached_by_keyboard(lab: Any, page: Any) -> None:
    """Arrows move between cards, Enter opens the details, Space chooses, and Approve is a button."""
    start(page, lab.write("keyboard.ipynb", START))
    page.locator('.xtyl .card[tabindex="0"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    focused = page.locator(".xtyl .card:focus")
    assert focused.get_attribute("data-node") in ("poster", "premium")
    assert page.locator(".xtyl dl").first.inner_text().startswith("state")
    page.get_by_role("tab", name="Review").press("Enter")
    page.locator(".xtyl .pick input").first.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Approve", exact=True).press("Enter")
    page.wait_for_selector(".xtyl .pill.completed")


def test_a_row_is_decided_by_two_keys_and_a_comment(lab: Any, page: Any) -> None:
    """A digit chooses, Enter approves, and the comment goes along."""
    start(page, lab.write("keys.ipynb", START, "print(run.controls)"))
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    page.get_by_placeholder("Comment (optional)").fill("warm, as <b>asked</b>")
    page.locator(".xtyl .pick input").first.focus()
    page.keyboard.press("3")
    assert page.locator(".xtyl .pick input").nth(2).is_checked()
    page.keyboard.press("Enter")
    page.wait_for_selector(".xtyl .pill.completed")
    run_cell(page, 1)
    page.get_by_text("[('approve', 'pick', '0', [2], None, 'warm, as <b>asked</b>')]").wait_for()


def test_a_click_is_served_while_a_cell_runs(lab: Any, page: Any) -> None:
    """A cell that waits for the run does not keep the person from approving."""
    busy = "while run.overview().state != 'completed': run._changed(0, 1)\nprint('went', 'on')"
    start(page, lab.write("busy.ipynb", START, busy))
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    run_cell(page, 1)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="busy"]')
    page.locator(".xtyl .pick input").first.check()
    page.get_by_role("button", name="Approve", exact=True).click()
    page.get_by_text("went on", exact=True).wait_for()
    page.wait_for_selector(".xtyl .pill.completed")


def test_refusals_are_shown_in_place(lab: Any, page: Any) -> None:
    """The refusal of a control that came too late is shown under the bar."""
    start(page, lab.write("refuse.ipynb", START, "run.ended_unseen = True"))
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    run_cell(page, 1)
    page.locator(".jp-InputPrompt").get_by_text("[2]:").wait_for()
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_text("a completed run cannot pause").wait_for()


def test_a_reloaded_page_shows_the_present(lab: Any, page: Any) -> None:
    """After a reload with the kernel alive, the widget shows the changes made meanwhile."""
    start(page, lab.write("reload.ipynb", START, "run.step()"))
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    run_cell(page, 1)
    page.wait_for_selector(".xtyl .pill.completed")
    save(page)
    page.reload()
    page.wait_for_selector(".xtyl .pill.completed")
    assert page.locator("[class^=xtyl-still]").is_hidden()


def test_the_still_picture_is_renewed_after_a_reload(lab: Any, page: Any) -> None:
    """JupyterLab routes no updates to it after a reload: the notebook still gets the end of the run."""
    start(page, lab.write("renewed.ipynb", START, "run.step()"))
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    page.wait_for_selector('[class^="xtyl-still"]:has-text("shows how it goes on")', state="attached")
    save(page)
    page.reload()
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    run_cell(page, 1)
    page.wait_for_selector(".xtyl .pill.completed")
    page.wait_for_selector('[class^="xtyl-still"]:has-text("12 / 12")', state="attached")
    assert page.locator("[class^=xtyl-still]").is_hidden()
    save(page)
    outputs = json.loads((lab.folder / "renewed.ipynb").read_text())["cells"][0]["outputs"]
    pictures = ["".join(each["data"].get("text/html", "")) for each in outputs]
    assert ["12 / 12" in each for each in pictures] == [False, True]
    assert "xt.attach" not in pictures[1]


def test_without_a_kernel_the_last_picture_stays(lab: Any, page: Any) -> None:
    """A saved notebook, opened when its kernel is gone, shows the still picture and no broken widget."""
    start(page, lab.write("still.ipynb", START, "run.step()"))
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    run_cell(page, 1)
    page.wait_for_selector(".xtyl .pill.completed")
    page.wait_for_selector('[class^="xtyl-still"]:has-text("completed")', state="attached")
    save(page)
    lab.stop_kernels()
    page.goto(lab.open("still.ipynb"))
    page.wait_for_selector('[class^="xtyl-still"]:has-text("12 / 12")')
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    page.get_by_text("model not found").wait_for(state="hidden")
    assert page.get_by_text("Loading widget").is_hidden()


def test_an_untrusted_notebook_shows_the_picture_too(lab: Any, page: Any) -> None:
    """The cards of the sanitised picture are still in their places."""
    from scripted_run import overview_of, summer_plan
    from xtyl_nb.drawing.run_picture import run_html

    html = run_html(summer_plan(), overview_of(summer_plan(), "completed"))
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": html}}
    page.goto(lab.write("foreign.ipynb", "run", outputs=(json.loads(json.dumps(output)),)))
    card = page.locator('[title="kit: not started, 0 of 2"]')
    card.wait_for()
    assert card.evaluate("node => getComputedStyle(node).position") == "absolute"
    assert page.locator('.jp-OutputArea img[src^="data:image/svg+xml"]').count() == 1
