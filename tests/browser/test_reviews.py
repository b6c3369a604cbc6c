"""Many open reviews at once, in a real JupyterLab."""

from __future__ import annotations

from typing import Any

import pytest

from notebook_scripts import START
from page import run_cell, run_from_page, shot, start

pytestmark = pytest.mark.browser

ALL = 'tuple(review_of(images, item=str(row), label=f"Lamp {row}") for row in range(15))'
MANY = START.replace(
    "reviews=(review_of(images, edit=True),)",
    f"reviews={ALL}",
).replace("waiting=1, blocked=1", "waiting=15")
# Lamp 13 is decided elsewhere.
FEWER = f"overview_of(plan, nodes=waiting | {{'pick': node_overview(waiting=14)}}, reviews={ALL}[:13] + {ALL}[14:]),"
MANY = MANY.replace('    overview_of(plan, "completed"', f'    {FEWER}\n    overview_of(plan, "completed"')


def test_another_option_is_asked_for(lab: Any, page: Any) -> None:
    """The comment goes along, and the run gets the right row."""
    start(page, lab.write("another.ipynb", START, "print(run.controls)"))
    page.get_by_placeholder("Comment (optional)").fill("brighter")
    page.get_by_role("button", name="Ask for another").click()
    page.get_by_text("one more option is being made").wait_for()
    run_cell(page, 1)
    page.get_by_text("[('another', 'pick', 'brighter', '0')]").wait_for()


def test_every_row_that_waits_can_be_leafed_to(lab: Any, page: Any) -> None:
    """A few are sent at first, the rest on leafing; none is decided on the way, and any may be. One that is decided
    elsewhere disappears, however far away it is."""
    start(page, lab.write("many.ipynb", MANY, "run.step()"))
    review = page.locator(".xtyl .review")
    for place in range(1, 15):
        review.get_by_text(f"{place} of 15").wait_for()
        review.get_by_role("button", name="next review").click()
    review.get_by_text("15 of 15").wait_for()
    review.get_by_text("Lamp 14").wait_for()
    assert review.get_by_role("button", name="next review").is_disabled()
    run_from_page(page, 1)
    review.get_by_text("14 of 14").wait_for()
    shot(page, "review-last")
    review.get_by_role("button", name="previous review").click()
    review.get_by_text("Lamp 12").wait_for()
    review.locator(".pick input").first.check()
    review.get_by_role("button", name="Approve").click()
    page.wait_for_selector(".xtyl .pill.completed")


def test_a_click_on_an_options_picture_chooses_it(lab: Any, page: Any) -> None:
    """A click in the middle of the picture chooses the option and enlarges nothing."""
    start(page, lab.write("picture.ipynb", START))
    picks = page.locator(".xtyl .pick")
    picks.nth(1).locator("img").click()
    assert picks.nth(1).locator("input").is_checked()
    assert page.locator(".xtyl .enlarged").is_hidden()
    picks.nth(2).locator("img").click()
    assert [picks.nth(place).locator("input").is_checked() for place in range(3)] == [False, False, True]


def test_a_click_on_an_options_words_chooses_it(lab: Any, page: Any) -> None:
    """The words beside the button work like the button, and the choice can be approved."""
    start(page, lab.write("words.ipynb", START, "print(run.controls)"))
    picks = page.locator(".xtyl .pick")
    picks.nth(2).locator(".words").click()
    assert picks.nth(2).locator("input").is_checked()
    assert page.locator(".xtyl .enlarged").is_hidden()
    page.get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_selector(".xtyl .pill.completed")
    run_cell(page, 1)
    page.get_by_text("[('approve', 'pick', '0', [2], None)]").wait_for()


FIELDS = START.replace(
    "show(run)",
    """fields = tuple((name, f"{name} of an ad") for name in ("headline", "hook"))
option = Option(index=0, text="x", fields=fields)
asked = overview_of(plan, nodes=waiting, reviews=(review_of(images, edit=True, options=(option,)),))
run = ScriptedRun(plan, asked, overview_of(plan, "completed", nodes=done))
show(run)""",
)


def test_an_answer_is_edited_by_field(lab: Any, page: Any) -> None:
    """Each text of an answer has a field of its own once it is chosen, and what was changed is sent under its name."""
    start(page, lab.write("fields.ipynb", FIELDS, "print(run.controls)"))
    pick = page.locator(".xtyl .pick")
    pick.get_by_text("headline of an ad").wait_for()
    assert pick.locator("textarea:visible").count() == 0
    pick.locator("input").check()
    pick.get_by_label("Edit hook of option 1").fill("A better hook")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_selector(".xtyl .pill.completed")
    run_cell(page, 1)
    page.get_by_text("[('approve', 'pick', '0', [0], {0: {'hook': 'A better hook'}})]").wait_for()
