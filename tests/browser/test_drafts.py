"""Unfinished decisions at a review, in a real JupyterLab: they stay until the review is decided, and the person who
came first is named.
"""

from __future__ import annotations

from typing import Any

import pytest

from notebook_scripts import REVIEWED, START
from page import run_cell, run_from_page, save, shot, start

pytestmark = pytest.mark.browser

STACKED = (
    REVIEWED
    + """
nodes, edges = {"start": ("call", {}), "end": ("attach", {})}, []
for place in range(100):
    copy, pick = f"copy_{place}", f"pick_{place}"
    nodes |= {copy: ("generate_copy", {}), pick: ("review", {"of": copy})}
    edges += [("start", copy, None), (copy, pick, None), (pick, "end", None)]
plan = plan_of(nodes, edges)
widget = RunWidget(ScriptedRun(plan, stands(0, 1, plan=plan, of="pick_0")))
widget.display()
"""
)
FOCUSED = "() => [document.activeElement.dataset.at, document.querySelector('.xtyl .review h5')?.innerText]"


def test_what_is_begun_stays_whatever_is_folded_opened_or_closed(lab: Any, page: Any) -> None:
    """Stacks, panels and the log open and close beside a half-written text; another display of the widget has it too."""
    start(page, lab.write("begun.ipynb", STACKED, "widget.display()"))
    review = page.locator(".xtyl .review").first
    review.locator(".pick input").nth(1).check()
    review.locator("textarea:visible").fill("Half a sentence")
    review.get_by_placeholder("Comment (optional)").fill("warm")
    page.evaluate("() => { window.typed = document.querySelector('.xtyl textarea:not([hidden])'); }")
    stacks = page.locator(".xtyl .card.stack")
    page.locator('.xtyl .card[data-node="copy_0"]').click()
    page.wait_for_selector('.xtyl .card[data-node="copy_99"]')
    page.locator('.xtyl .card[data-node="copy_5"]').click()
    page.locator(".xtyl .job").first.wait_for()
    page.get_by_role("button", name="Fold", exact=True).click()
    page.wait_for_selector('.xtyl .card[data-node="copy_99"]', state="detached")
    assert stacks.count() == 2
    page.get_by_role("tab", name="Events", exact=True).click()
    page.locator('.xtyl .card[data-node="pick_0"]').click()
    page.wait_for_selector('.xtyl .card[data-node="pick_99"]')
    assert page.evaluate("() => window.typed.isConnected && window.typed.value") == "Half a sentence"
    run_cell(page, 1)
    second = page.locator(".xtyl .review").nth(1)
    second.wait_for()
    assert second.locator(".pick input").nth(1).is_checked()
    assert second.locator("textarea:visible").input_value() == "Half a sentence"
    assert second.get_by_placeholder("Comment (optional)").input_value() == "warm"


def test_what_is_begun_outlives_a_reload(lab: Any, page: Any) -> None:
    """Choice, text and comment outlive it, for the row in view and for another; once decided, none of them is kept."""
    start(
        page,
        lab.write(
            "reloaded.ipynb", REVIEWED + "RunWidget(ScriptedRun(summer_plan(), stands(0, 1), stands(1))).display()"
        ),
    )
    picks = page.locator(".xtyl .pick")
    comment = page.get_by_placeholder("Comment (optional)")
    picks.nth(1).locator("input").check()
    page.locator(".xtyl .review textarea:visible").fill("Dusk, softly")
    page.get_by_role("button", name="next review").click()
    page.locator(".xtyl .review h5", has_text="Lamp 1").wait_for()
    comment.fill("not yet")
    save(page)
    page.reload()
    page.locator(".xtyl .review h5", has_text="Lamp 0").wait_for()
    assert picks.nth(1).locator("input").is_checked()
    assert page.locator(".xtyl .review textarea:visible").input_value() == "Dusk, softly"
    page.get_by_role("button", name="next review").click()
    page.locator(".xtyl .review h5", has_text="Lamp 1").wait_for()
    assert comment.input_value() == "not yet"
    page.get_by_role("button", name="previous review").click()
    page.get_by_role("button", name="Approve", exact=True).click()
    page.locator(".xtyl .review h5", has_text="Lamp 1").wait_for()
    comment.fill("")
    page.reload()
    page.locator(".xtyl .review h5", has_text="Lamp 1").wait_for()
    assert page.evaluate("() => Object.keys(sessionStorage).filter((key) => key.startsWith('xtyl-drafts'))") == []


def test_who_was_first_is_said_until_the_reader_goes_on(lab: Any, page: Any) -> None:
    """The note with row, person and option stays through patches, stacks and the end of the run; Dismiss removes it."""
    script = (
        REVIEWED
        + """
done = overview_of(summer_plan(), "completed")
run = Contested(summer_plan(), stands(0, 1), stands(1), replace(stands(1), rows=3), done)
RunWidget(run).display()
"""
    )
    start(page, lab.write("first.ipynb", script, "run.step()", "run.step()"))
    page.locator(".xtyl .pick input").first.check()
    page.get_by_role("button", name="Approve", exact=True).click()
    note = page.locator(".xtyl .review .note")
    note.get_by_text("pick · Lamp 0: already decided: approved, option 2, by ana at +4.0 s").wait_for()
    assert "Lamp 1" in page.locator(".xtyl .review h5").inner_text()
    assert page.evaluate(FOCUSED) == ["option 0", page.locator(".xtyl .review h5").inner_text()]
    shot(page, "review-first")
    run_from_page(page, 1)
    page.locator(".jp-InputPrompt").get_by_text("[2]:").wait_for()
    assert note.is_visible()
    run_from_page(page, 2)
    page.wait_for_selector(".xtyl .pill.completed")
    assert note.is_visible()
    note.get_by_role("button", name="Dismiss").click()
    page.locator(".xtyl .review").wait_for(state="hidden")


def test_a_draft_that_was_leafed_away_from_is_not_lost_in_silence(lab: Any, page: Any) -> None:
    """If another person decides its row meanwhile, a note beside the row in view names the person and the decision."""
    script = REVIEWED + "run = Contested(summer_plan(), stands(0, 1), stands(1))\nRunWidget(run).display()"
    start(page, lab.write("hidden.ipynb", script, "run.step()"))
    page.locator(".xtyl .pick input").first.check()
    page.get_by_role("button", name="next review").click()
    page.locator(".xtyl .review h5").get_by_text("Lamp 1").wait_for()
    run_from_page(page, 1)
    note = page.locator(".xtyl .review .note")
    note.get_by_text("pick · Lamp 0: already decided: approved, option 2, by ana at +4.0 s").wait_for()
    assert "Lamp 1" in page.locator(".xtyl .review h5").inner_text()


def test_a_review_decided_elsewhere_is_let_go_although_no_event_said_so(lab: Any, page: Any) -> None:
    """A click at it makes the widget read again; the next row appears, and moving on removes the note."""
    script = REVIEWED + "run = Unheard(summer_plan(), stands(0, 1, 2), stands(1, 2))\nRunWidget(run).display()"
    start(page, lab.write("ghost.ipynb", script, "run.step_unseen()"))
    page.get_by_text("1 of 3").wait_for()
    run_from_page(page, 1)
    page.locator(".jp-InputPrompt").get_by_text("[2]:").wait_for()
    page.locator(".xtyl .pick input").first.check()
    page.get_by_role("button", name="Approve", exact=True).click()
    page.get_by_text("1 of 2").wait_for()
    page.locator(".xtyl .review .note").get_by_text("by ana").wait_for()
    page.get_by_role("button", name="next review").click()
    page.locator(".xtyl .review .note").wait_for(state="hidden")


def test_a_row_that_goes_while_it_is_written_at_says_why(lab: Any, page: Any) -> None:
    """The next row does not silently replace a row with an unfinished decision."""
    script = REVIEWED + "run = Contested(summer_plan(), stands(0, 1), stands(1))\nRunWidget(run).display()"
    start(page, lab.write("goes.ipynb", script, "run.step()"))
    page.get_by_placeholder("Comment (optional)").fill("too da")
    run_from_page(page, 1)
    page.locator(".xtyl .review .note").get_by_text("Lamp 0: already decided: approved, option 2, by ana").wait_for()
    assert "Lamp 1" in page.locator(".xtyl .review h5").inner_text()


def test_the_keyboard_goes_on_with_the_next_row(lab: Any, page: Any) -> None:
    """After Approve its first option has the focus, even if the list is rebuilt; when no review is open, the widget has it."""
    rows = ", ".join(f"stands({places})" for places in ("0, 1, 2", "1, 2", "2"))
    script = (
        REVIEWED + f"run = ScriptedRun(summer_plan(), {rows}, overview_of(summer_plan()))\nRunWidget(run).display()"
    )
    start(page, lab.write("goeson.ipynb", script))
    page.locator(".xtyl .pick input").first.focus()
    page.keyboard.press("1")
    page.get_by_role("button", name="Approve", exact=True).press("Enter")
    page.locator(".xtyl .review h5", has_text="Lamp 1").wait_for()
    page.wait_for_function("() => document.activeElement.dataset.at === 'option 0'")
    page.keyboard.press("2")
    page.get_by_placeholder("Comment (optional)").fill("fine")
    page.keyboard.press("Enter")
    page.locator(".xtyl .review h5", has_text="Lamp 2").wait_for()
    page.wait_for_function("() => document.activeElement.dataset.at === 'option 0'")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    page.locator(".xtyl .review").wait_for(state="hidden")
    assert page.evaluate("() => document.activeElement.className") == "xtyl"


def test_three_texts_to_edit_stand_side_by_side(lab: Any, page: Any) -> None:
    """They do so in a widget of a thousand pixels, and on a page of a thousand."""
    script = START.replace("review_of(images, edit=True)", "review_of([None] * 3, edit=True, choose=3)")
    start(page, lab.write("side.ipynb", script))
    picks = page.locator(".xtyl .pick")
    for option in range(3):
        picks.nth(option).locator("input").check()
    for width in (1000, 1300):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_function(f"() => Math.abs(innerWidth - {width}) < 2")
        # All measured at one moment: the graph above may still change its size.
        tops = picks.evaluate_all("picks => picks.map(pick => Math.round(pick.getBoundingClientRect().y))")
        assert len(tops) == 3
        assert len(set(tops)) == 1
        shot(page, f"review-texts-{width}")
        assert all(pick.locator("textarea").bounding_box()["width"] > 90 for pick in picks.all())
