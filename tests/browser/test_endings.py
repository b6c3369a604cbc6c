"""The ends of things in the page, in a real JupyterLab: a quick run, a busy kernel, a saved text, a row that waits again."""

from __future__ import annotations

import os
from typing import Any

import pytest

from notebook_scripts import REVIEWED, START
from page import run_from_page, shot, start

pytestmark = pytest.mark.browser

# Each request of the page advances the run: its event comes right behind the answer, and no other after it.
QUICK = """
from scripted_run import *
from xtyl_nb.widget.widget import show
plan = summer_plan()
ends = {id: node_overview(completed=2, started=STARTED + place, finished=STARTED + place + 1) for place, id in enumerate(SUMMER)}
class Quick(ScriptedRun):
    def timeline(self):
        bars = [bar for bar in super().timeline().bars for _ in range(2 if self.overview().state == "completed" else 1)]
        self.step()
        return Timeline(bars, list(SUMMER))
    def _recent_events(self):
        events = super()._recent_events()[: 2 if self.overview().state == "completed" else 1]
        self.step()
        return events
begun = overview_of(plan, nodes={"headline": node_overview(running=2, started=STARTED)})
run = Quick(plan, begun, overview_of(plan, "completed", nodes=ends))
"""
BUSY = START.replace(
    "show(run)",
    """
from servers import wait_until
class Slow(ScriptedRun):
    def pause(self):
        wait_until(lambda: (folder / "moved").exists())
        self.step()
        wait_until(lambda: (folder / "answered").exists())
begun = waiting | {"kit": node_overview(completed=1, blocked=1)}
run = Slow(plan, overview_of(plan, nodes=waiting), overview_of(plan, nodes=begun))
show(run)
""",
)
AGAIN = (
    REVIEWED
    + """
def offers(*texts):
    options = tuple(Option(index=place, text=text) for place, text in enumerate(texts))
    row = review_of([], item="0", label="Lamp 0", edit=True, options=options)
    return overview_of(summer_plan(), nodes={"pick": node_overview(waiting=1)}, reviews=(row,))
run = ScriptedRun(summer_plan(), offers("Dawn", "Dusk"), offers("Dawn", "Dusk", "Noon"), offers("Dawn", "Night"))
RunWidget(run).display()
"""
)
# Runs code in the kernel without moving the page's focus.
KERNEL = "jupyterapp.shell.currentWidget.sessionContext.session.kernel"
LONG = (
    REVIEWED
    + """
more = "It falls where you read and leaves the rest of the room to the evening. " * 9
texts = [f"{word} light. {more}" for word in ("Warm", "Cold", "No")]
options = tuple(Option(index=place, text=text) for place, text in enumerate(texts))
row = review_of([], item="0", label="Lamp 0", edit=True, options=options)
run = ScriptedRun(summer_plan(), overview_of(summer_plan(), nodes={"pick": node_overview(waiting=1)}, reviews=(row,)))
RunWidget(run).display()
"""
)
UNMADE = (
    REVIEWED
    + """
from xtyl_engine.states import JobState
class Failing(ScriptedRun):
    def inspect(self, node, *, item):
        return replace(super().inspect(node, item="0"), state=JobState.SKIPPED)
after = {"poster": node_overview(completed=2, failed=1), "pick": node_overview(waiting=1, skipped=1)}
second = review_of(images, item="1", label="Lamp 1")
run = Failing(summer_plan(), stands(0, 1), overview_of(summer_plan(), nodes=after, reviews=(second,)))
RunWidget(run).display()
"""
)
MADE = (
    REVIEWED
    + """
def waits(**options):
    rows = tuple(review_of(images[:count], item=row[1:], label=f"Lamp {row[1:]}") for row, count in options.items())
    return overview_of(summer_plan(), nodes={"pick": node_overview(waiting=len(rows))}, reviews=rows)
run = ScriptedRun(summer_plan(), waits(_0=2, _1=2), waits(_1=2), waits(_0=3, _1=2))
RunWidget(run).display()
"""
)


def test_the_end_of_a_quick_run_is_on_the_timeline(lab: Any, page: Any) -> None:
    """The last jobs are there too, although they end within a second of the first read."""
    start(page, lab.write("quick.ipynb", QUICK + "show(run)"))
    page.wait_for_selector(".xtyl .pill.completed")
    page.get_by_role("tab", name="Timeline", exact=True).click()
    page.wait_for_function("() => document.querySelectorAll('.xtyl .lane .rail i').length === 12")
    shot(page, "timeline-quick")


def test_the_end_of_a_quick_run_is_in_the_events(lab: Any, page: Any) -> None:
    """The events are read again, although the last one comes within a second of the first read."""
    start(page, lab.write("log.ipynb", QUICK + "Quick.timeline = lambda self: Timeline([], list(SUMMER))\nshow(run)"))
    page.get_by_role("tab", name="Events", exact=True).click()
    page.locator(".xtyl .event").nth(1).wait_for()
    page.wait_for_selector(".xtyl .pill.completed")


def test_that_the_kernel_is_busy_stays_until_it_has_answered(lab: Any, page: Any) -> None:
    """Events of the run that arrive meanwhile do not remove the note."""
    start(page, lab.write("busy.ipynb", BUSY))
    page.get_by_role("button", name="Pause", exact=True).click()
    said = page.get_by_text("xtyl pause run-1", exact=False)
    said.wait_for()
    (lab.folder.parent / "moved").touch()
    page.wait_for_selector('.xtyl .card[data-node="kit"].open')
    assert said.is_visible()
    (lab.folder.parent / "answered").touch()
    said.wait_for(state="hidden")


def test_control_and_s_saves_from_a_field_of_the_widget(lab: Any, page: Any) -> None:
    """The typed text stays, and a single letter is typed."""
    start(page, lab.write("saved.ipynb", START))
    comment = page.get_by_placeholder("Comment (optional)")
    comment.press_sequentially("bold")
    page.wait_for_selector(".jp-mod-dirty")
    comment.press("Control+s")
    page.wait_for_selector(".jp-mod-dirty", state="detached")
    assert comment.input_value() == "bold"
    assert page.locator(".jp-CodeCell").count() == 1


def test_a_row_that_waits_again_keeps_what_still_holds(lab: Any, page: Any) -> None:
    """One more option removes nothing; if an option differs, choice and text go, and the comment stays."""
    start(page, lab.write("again.ipynb", AGAIN, "run.step()", "run.step()"))
    picks = page.locator(".xtyl .pick")
    picks.nth(1).locator("input").check()
    page.locator(".xtyl .review textarea:visible").fill("Dusk, softly")
    page.get_by_placeholder("Comment (optional)").fill("warm")
    run_from_page(page, 1)
    picks.nth(2).wait_for()
    assert picks.nth(1).locator("input").is_checked()
    assert page.locator(".xtyl .review textarea:visible").input_value() == "Dusk, softly"
    run_from_page(page, 2)
    picks.nth(2).wait_for(state="detached")
    assert not picks.nth(1).locator("input").is_checked()
    assert page.get_by_role("button", name="Approve", exact=True).is_disabled()
    picks.nth(1).locator("input").check()
    assert page.locator(".xtyl .review textarea:visible").input_value() == "Night"
    assert page.get_by_placeholder("Comment (optional)").input_value() == "warm"


def test_a_row_that_asks_for_another_option_stays_until_it_is_there(lab: Any, page: Any) -> None:
    """The row cannot be decided meanwhile; then the new option has the keyboard."""
    start(page, lab.write("made.ipynb", MADE, "run.step()"))
    page.get_by_role("button", name="Ask for another").click()
    note = page.locator(".xtyl .review .note")
    note.get_by_text("pick · Lamp 0: one more option is being made").wait_for()
    run_from_page(page, 1)
    page.locator(".xtyl .review .turner", has_text="1 more").wait_for()
    assert "Lamp 0" in page.locator(".xtyl .review h5").inner_text()
    assert page.locator(".xtyl .pick input").first.is_disabled()
    assert page.get_by_role("button", name="Ask for another").is_disabled()
    shot(page, "review-another")
    page.evaluate("() => document.querySelector('.xtyl').focus()")
    page.evaluate(f"() => void {KERNEL}.requestExecute({{ code: 'run.step()' }})")
    page.locator(".xtyl .pick").nth(2).wait_for()
    note.wait_for(state="hidden")
    page.wait_for_function("() => document.activeElement.dataset.at === 'option 2'")
    assert "Lamp 0" in page.locator(".xtyl .review h5").inner_text()


def test_a_person_need_not_wait_for_another_option(lab: Any, page: Any) -> None:
    """The next row takes the place of the one that is away, which comes back in its own place."""
    start(page, lab.write("on.ipynb", MADE, "run.step()", "run.step()"))
    page.get_by_role("button", name="Ask for another").click()
    run_from_page(page, 1)
    page.locator(".xtyl .review .turner", has_text="1 more").wait_for()
    page.get_by_role("button", name="next review").click()
    page.locator(".xtyl .review h5", has_text="Lamp 1").wait_for()
    assert page.locator(".xtyl .review .note").is_hidden()
    assert page.locator(".xtyl .pick input").first.is_enabled()
    run_from_page(page, 2)
    page.locator(".xtyl .review .turner", has_text="2 of 2").wait_for()
    page.get_by_role("button", name="previous review").click()
    page.locator(".xtyl .pick").nth(2).wait_for()


def test_that_another_option_could_not_be_made_is_said(lab: Any, page: Any) -> None:
    """Its row waits no longer, the next one takes its place, and the note names the remedy."""
    start(page, lab.write("unmade.ipynb", UNMADE, "run.step()"))
    page.get_by_role("button", name="Ask for another").click()
    page.get_by_text("one more option is being made").wait_for()
    run_from_page(page, 1)
    note = page.locator(".xtyl .review .note", has_text="pick · Lamp 0: the other option could not be made")
    note.wait_for()
    assert "Retry failed" in note.inner_text()
    page.locator(".xtyl .review h5", has_text="Lamp 1").wait_for()
    assert page.locator(".xtyl .pick input").first.is_enabled()
    shot(page, "review-unmade")


def test_long_texts_are_read_and_edited_at_full_width(lab: Any, page: Any) -> None:
    """They stand below each other in a list that scrolls; the chosen text is edited in a field that holds all of it."""
    start(page, lab.write("long.ipynb", LONG))
    picks = page.locator(".xtyl .pick")
    picks.nth(0).locator("input").check()
    field = page.locator(".xtyl .review textarea:visible")
    shot(page, "review-long-texts")
    sheet = page.locator(".xtyl .sheet").bounding_box()
    boxes = [pick.bounding_box() for pick in picks.all()]
    assert all(box["width"] > 0.9 * sheet["width"] for box in boxes)
    assert boxes[1]["y"] > boxes[0]["y"] + boxes[0]["height"]
    assert field.evaluate("field => field.scrollHeight <= field.clientHeight + 2")


def test_an_image_is_looked_at_as_large_as_it_is(lab: Any, page: Any) -> None:
    """Its button and a key enlarge it, an arrow shows the next; Escape returns to the option, and nothing is chosen."""
    large = REVIEWED + (
        'images = [draw_image(folder / f"large-{c}.png", top=c, bottom="navy", size=1200) for c in ("orange", "teal")]\n'
        "run = ScriptedRun(summer_plan(), stands(0))\nRunWidget(run).display()"
    )
    start(page, lab.write("large.ipynb", large))
    width = "() => document.querySelector('.xtyl dialog[open] img')?.naturalWidth"
    page.locator(".xtyl .pick").first.hover()
    page.get_by_role("button", name="Enlarge option 1").click()
    page.wait_for_function(f"() => ({width})() === 1200")
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/review-large.png")
    page.keyboard.press("ArrowRight")
    page.get_by_text("2 of 2 · ← →").wait_for()
    page.keyboard.press("Escape")
    page.locator(".xtyl dialog").wait_for(state="hidden")
    page.locator(".xtyl .pick input").nth(1).focus()
    page.keyboard.press("z")
    page.get_by_text("2 of 2 · ← →").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.activeElement.dataset.at === 'option 1'")
    assert not page.locator(".xtyl .pick input:checked").count()
