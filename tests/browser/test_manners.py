"""The widget beside people at work, in a real JupyterLab: it takes nothing away from them and hides nothing."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from notebook_scripts import START
from page import run_cell, run_from_page, shot, start

pytestmark = pytest.mark.browser

# Rows that wait: 0 and 1 at first, then 2 as well, then 0 is decided elsewhere.
ROWS = (
    START.replace("show(run)", "").replace("reviews=(review_of(images, edit=True),)", "reviews=rows(0, 1)")
    + """
from dataclasses import replace
def rows(*places):
    return tuple(review_of(images, edit=True, item=str(row), label=f"Lamp {row}") for row in places)
def stands(*places):
    nodes = waiting | {"pick": node_overview(waiting=len(places))}
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
MANY_JOBS = ROWS.replace(
    "show(run)",
    """
from xtyl_engine.queries.views import JobPage
class Many(ScriptedRun):
    def _job_page(self, node, start=0):
        places = range(start, min(start + 50, 120))
        jobs = [replace(self.inspect(node, item="0"), item=str(n), label=f"row {n}") for n in places]
        return JobPage(total=120, start=start, jobs=tuple(jobs))
run = Many(plan, stands(0, 1), stands(0, 1, 2), stands(1, 2))
show(run)
""",
)
ONCE = START.replace(
    "show(run)",
    """
times = [(0, 9), (1, 20), (2, 12), (3, 8), (9, 31), (13, 41)]
bars = [Bar(node="poster", item=str(n), state="completed", start=a, end=b) for n, (a, b) in enumerate(times)]
bars += [Bar(node="headline", item=str(n), state="completed", start=n, end=n + 9) for n in range(12)]
run = ScriptedRun(plan, overview_of(plan, "completed", nodes={
    id: node_overview(completed=12, started=STARTED, finished=STARTED + 41) for id in ("headline", "poster", "kit")}))
run.timeline = lambda: Timeline(bars, list(SUMMER))
show(run)
""",
)


def test_what_is_typed_and_chosen_stays_when_another_row_arrives(lab: Any, page: Any) -> None:
    """Only the count changes; text, choice, focus and row stay, even when a row before is decided elsewhere."""
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
    """The run moves, and the panel's text stays the same node of the page."""
    start(page, lab.write("panel.ipynb", ROWS, "run.step()"))
    page.locator('.xtyl .card[data-node="poster"]').click()
    shown = page.locator(".xtyl .panel dd", has_text="Poster for").first
    shown.wait_for()
    shown.evaluate("(node) => { window.held = node; getSelection().selectAllChildren(node); }")
    run_from_page(page, 1)
    page.get_by_role("tab", name="Review 3").wait_for()
    assert page.evaluate("() => window.held.isConnected")


def test_more_jobs_stay_when_something_happens(lab: Any, page: Any) -> None:
    """After fifty more were requested, the next patch does not close them or move the text in view."""
    start(page, lab.write("more.ipynb", MANY_JOBS, "run.step()"))
    page.locator('.xtyl .card[data-node="pick"]').click()
    page.get_by_role("button", name="50 more of 70").click()
    page.locator(".xtyl .job").nth(99).wait_for()
    page.locator(".xtyl .panel .scroll").evaluate("box => box.scrollTo(0, 900)")
    run_from_page(page, 1)
    page.get_by_role("tab", name="Review 3").wait_for()
    page.locator(".xtyl .panel dd", has_text="3 waiting").wait_for()
    page.locator(".xtyl .job", has_text="row 99").wait_for()
    page.get_by_role("button", name="20 more of 20").wait_for()
    assert page.locator(".xtyl .job").count() == 100
    assert page.locator(".xtyl .panel .scroll").evaluate("box => box.scrollTop") == 900


def test_what_worked_at_once_is_drawn_in_lanes(lab: Any, page: Any) -> None:
    """No bar lies on another; each bar and the scale above say from when to when."""
    start(page, lab.write("lanes.ipynb", ONCE))
    page.get_by_role("tab", name="Timeline", exact=True).click()
    page.locator(".xtyl .lane .rail i").nth(5).wait_for()
    shot(page, "timeline-lanes")
    assert page.locator(".xtyl .ticks span").all_inner_texts() == ["0 s", "10 s", "20 s", "30 s"]
    last = page.locator(".xtyl .lane", has_text="poster").locator("i").last
    last.hover()
    assert last.get_attribute("title") == "completed from +0:13 to +0:41"
    for rail in page.locator(".xtyl .lane .rail").all():
        boxes = [bar.bounding_box() for bar in rail.locator("i").all()]
        for one, other in combinations(boxes, 2):
            apart = [
                one[at] + one[size] <= other[at] + 0.5 or other[at] + other[size] <= one[at] + 0.5
                for at, size in (("x", "width"), ("y", "height"))
            ]
            assert any(apart)


def test_a_kernel_that_is_gone_is_named_with_the_way_back(lab: Any, page: Any) -> None:
    """Without a click, a note names the kernel's state and the calls that show and stop the run; the clock stops and
    says since when."""
    start(page, lab.write("gone.ipynb", START))
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    lab.stop_kernels()
    said = page.locator(".xtyl .notice", has_text='xt.attach("run-1")')
    said.wait_for()
    page.locator(".xtyl.stale .numbers", has_text=" · as of ").wait_for()
    shot(page, "kernel-gone")
    assert "xtyl stop run-1" in said.inner_text()


def test_a_run_that_is_over_needs_no_kernel_to_be_read(lab: Any, page: Any) -> None:
    """Only a request for more than is on the page is told that the kernel is gone, and never that the run goes on."""
    start(page, lab.write("over.ipynb", START, "run.step()"))
    run_from_page(page, 1)
    page.wait_for_selector(".xtyl .pill.completed")
    lab.stop_kernels()
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator:not([data-status="idle"])')
    said = page.locator(".xtyl .notice", has_text="xt.attach")
    assert said.count() == 0
    page.locator('.xtyl .card[data-node="headline"]').click()
    said.wait_for()
    assert "goes on" not in said.inner_text()
    assert page.locator(".xtyl.stale").count() == 0


def test_a_kernel_that_was_restarted_is_named_and_the_cell_shows_the_run_again(lab: Any, page: Any) -> None:
    """The old picture says that no kernel feeds it; the same cell, run again, makes one that is fed."""
    start(page, lab.write("restarted.ipynb", START))
    page.wait_for_selector(".xtyl .pill:is(.running, .waiting)")
    page.evaluate("() => { jupyterapp.commands.execute('kernelmenu:restart'); }")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.locator(".jp-Dialog").wait_for(state="detached")
    page.locator(".xtyl .notice", has_text="The kernel is being restarted").wait_for()
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    page.get_by_role("button", name="Pause", exact=True).click()
    said = page.locator(".xtyl .notice", has_text="The kernel was restarted")
    said.wait_for()
    shot(page, "kernel-restarted")
    assert "xtyl stop run-1" in said.inner_text()
    run_cell(page, 0)
    said.wait_for(state="detached")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_selector(".xtyl .pill.paused")


def test_a_page_that_is_looked_at_again_is_brought_up_to_date(lab: Any, page: Any) -> None:
    """After the kernel stopped following the run, the page reports itself and gets the present state."""
    script = ROWS.replace(
        "show(run)", "from xtyl_nb.widget.widget import RunWidget\nwidget = RunWidget(run)\nwidget.display()"
    )
    start(
        page,
        lab.write(
            "back.ipynb", script, "widget._follower.stop(); widget.join(); run.step(); run.step(); print('un', 'seen')"
        ),
    )
    page.locator(".xtyl .review").get_by_text("1 of 2").wait_for()
    run_from_page(page, 1)
    page.get_by_text("un seen", exact=True).wait_for()
    assert "Lamp 0" in page.locator(".xtyl .review h5").inner_text()
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    page.locator(".xtyl .review h5", has_text="Lamp 1").wait_for()


def test_a_kernel_that_is_busy_is_named_with_what_works(lab: Any, page: Any) -> None:
    """While clicks wait for the cell, the page shows the command for a terminal."""
    blocked = START.replace("show(run)", "import time; run.pause = lambda: time.sleep(4)\nshow(run)")
    start(page, lab.write("late.ipynb", blocked))
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_text("xtyl pause run-1", exact=False).wait_for()


def test_prices_are_no_formulas(lab: Any, page: Any) -> None:
    """Dollar signs in a frame stay dollar signs."""
    imported = "import pandas as pd\nfrom xtyl_nb.frames.result_frame import ResultFrame"
    frame = imported + '\nResultFrame({"a": ["costs $5 and $10", "2"]})'
    start(page, lab.write("prices.ipynb", frame))
    page.get_by_text("costs $5 and $10").last.wait_for()
    assert page.locator("mjx-container").count() == 0
