"""The page below the graph, over a real back end in a real JupyterLab: what waits, what came out, what failed, a click away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from page import run_cell, shot, start

pytestmark = pytest.mark.browser

RUN = """
import pandas as pd
import xtyl_nb as xt

def claims(item):
    if item == "Trail shoe":
        raise ValueError("no claim for " + item)
    return len(item)

frame = pd.DataFrame({"item": ["Wool scarf", "Trail shoe", "Brew kit", "Desk"], "market": ["DE", "FR", "UK", "DE"]})
flow = (
    xt.Workflow("autumn")
    .call("claims", claims, item="{{ item }}")
    .generate_copy("slogan", prompt="A slogan for {{ item }} {{ claims }}", n=3)
    .generate_image("visual", prompt="{{ slogan.text }}", size="256x256", over="slogan")
    .review("pick", of="visual", show=["market"])
    .attach("kit", title="{{ pick.slogan.text }}", image="{{ pick.visual.image }}")
)
run = flow.run(frame)
"""
DECIDE = """
for row in (0, 2, 3):
    run.approve("pick", row=row, choose=[0])
run.wait(60)
print("over")
"""
DOWN = "from xtyl_engine.embedded.client import down; from xtyl_engine.settings import load_settings; down(load_settings())"


@pytest.fixture
def waiting(lab: Any, page: Any) -> Iterator[Any]:
    """Three rows that wait for a person, and one that failed."""
    start(page, lab.write("page.ipynb", RUN, DECIDE, DOWN))
    page.get_by_text("waiting for you · 3").wait_for()
    yield page
    run_cell(page, 2)
    page.locator(".jp-OutputArea-output", has_text="True").wait_for()


def test_what_waits_is_seen_whole_and_its_option_is_chosen_large(waiting: Any) -> None:
    """The review has the page's width and the columns it asks for; one click shows an option's prompt; two options stand side by
    side, and the large view chooses."""
    page = waiting
    review = page.locator(".xtyl .review")
    review.locator(".strip", has_text="market").wait_for()
    assert "item" not in review.locator(".strip").inner_text()
    widths = [box.bounding_box()["width"] for box in review.locator(".pick img").all()]
    assert len(widths) == 3
    assert min(widths) >= 200
    assert review.bounding_box()["width"] > 0.95 * page.locator(".xtyl").bounding_box()["width"]
    review.get_by_role("button", name="Prompt of option 2").click()
    review.locator(".asked p", has_text="Wool").wait_for()
    shot(page, "page-review")
    review.locator(".pick").nth(1).hover()
    review.locator(".glass").nth(1).click()
    large = page.locator(".xtyl .enlarged")
    large.get_by_role("button", name="Side by side").click()
    assert large.locator("img").count() == 2
    large.get_by_role("button", name="Choose this").nth(1).click()
    assert large.is_hidden()
    assert [pick.is_checked() for pick in review.locator(".pick input").all()] == [False, False, True]
    review.get_by_role("button", name="Approve").click()
    page.get_by_text("waiting for you · 2").wait_for()


def test_tabs_rows_and_results_lead_to_what_there_is(waiting: Any) -> None:
    """Tabs are one stop for the keyboard, and closing a card's tab goes back. A cell that failed leads to its traceback, one that
    waits to its review; rows are found by state and by words. Once the run is over results come first: originals are saved, a
    failure leads to its traceback."""
    page = waiting
    page.get_by_role("tab", name="Review").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.locator(".xtyl .lane").first.wait_for()
    assert page.evaluate("() => document.activeElement.innerText").startswith("Timeline")
    page.locator('.xtyl .card[data-node="slogan"]').click()
    page.get_by_role("tab", name="slogan").wait_for()
    page.get_by_role("button", name="Close", exact=True).click()
    page.locator(".xtyl .lane").first.wait_for()
    assert page.get_by_role("tab", name="slogan").count() == 0
    page.get_by_role("tab", name="Rows", exact=True).click()
    lines = page.locator(".xtyl .matrix .rows .line")
    lines.nth(3).wait_for()
    shot(page, "page-rows")
    page.get_by_role("button", name="Failed 1").click()
    page.locator(".xtyl .matrix .end", has_text="1 of 4 rows").wait_for()
    lines.get_by_role("button", name="Trail shoe, claims: failed").click()
    panel = page.locator(".xtyl .panel")
    panel.get_by_text("traceback", exact=True).click()
    panel.locator("pre", has_text="no claim for Trail shoe").wait_for()
    page.get_by_role("tab", name="Rows", exact=True).click()
    page.get_by_role("button", name="All 4").click()
    page.get_by_label("Search rows and texts").fill("desk")
    lines.get_by_role("button", name="Desk, pick: waits for you").click()
    page.locator(".xtyl .review h5", has_text="Desk").wait_for()
    page.get_by_role("tab", name="Timeline", exact=True).click()
    page.locator(".xtyl .lane").first.wait_for()
    page.get_by_role("button", name="waiting for you").click()
    assert page.locator(".xtyl .review").is_visible()
    run_cell(page, 1)
    page.get_by_text("over", exact=True).wait_for()
    page.locator(".xtyl .pill", has_text="3 of 4 rows ready").wait_for()
    cards = page.locator(".xtyl .result")
    cards.nth(3).wait_for()
    shot(page, "page-results")
    assert page.get_by_role("tab", name="Results").get_attribute("aria-selected") == "true"
    with page.expect_download() as saved:
        cards.first.get_by_role("button", name="Download").click()
    assert saved.value.suggested_filename.endswith(".png")
    cards.nth(1).get_by_role("button", name="Traceback").click()
    page.locator(".xtyl .panel dd.bad", has_text="no claim for Trail shoe").last.wait_for()
