"""The panel of a node and its jobs, in a real JupyterLab with a real back end."""

from __future__ import annotations

from typing import Any

import pytest

from page import run_cell, shot, start

pytestmark = pytest.mark.browser

RUN = """
import pandas as pd
import xtyl_nb as xt

def check(text, product):
    if product == "Tidal mug":
        raise ValueError(f"<b>{product}</b> is too long: {text}")
    return len(text)

briefs = pd.DataFrame({"product": ["Aurora lamp", "Tidal mug", "Moss chair", "Ember kettle"]})
flow = (
    xt.Workflow("launch")
    .generate_copy("headline", prompt="A headline for {{ product }}", n=2)
    .generate_image("poster", prompt="{{ headline.text }}", over="headline")
    .generate_copy("hook", prompt="A hook for {{ product }}", max_tokens=3)
    .call("check", check, text="{{ headline[0].text }}", product="{{ product }}")
)
run = flow.run(briefs).wait(60)
"""


@pytest.fixture
def launched(lab: Any, page: Any, request: pytest.FixtureRequest) -> Any:
    start(
        page,
        lab.write(
            f"{request.node.name}.ipynb",
            RUN,
            "from xtyl_engine.embedded.client import down; from xtyl_engine.settings import load_settings; down(load_settings())",
        ),
    )
    page.wait_for_selector(".xtyl .pill.failed")
    yield page
    run_cell(page, 1)
    page.locator(".jp-InputPrompt").get_by_text("[2]:").wait_for()


def test_a_node_opens_its_jobs_and_a_job_all_there_is(launched: Any) -> None:
    """The way leads from the card to the failed job, its error and its attempts, to another job's prompt and result, and back."""
    page = launched
    shot(page, "panel-run")
    page.locator('.xtyl .card[data-node="check"]').click()
    page.locator(".xtyl .job").nth(3).wait_for()
    shot(page, "panel-jobs")
    first = page.locator(".xtyl .job").first
    assert "Tidal mug" in first.inner_text()
    first.click()
    page.locator(".xtyl .panel summary").click()
    page.get_by_text("Traceback (most recent call last)").wait_for()
    assert "<b>Tidal mug</b> is too long" in page.locator(".xtyl .panel dd.bad:visible").inner_text()
    shot(page, "panel-failed-job")
    page.get_by_role("button", name="‹ All jobs").click()
    page.locator('.xtyl .card[data-node="headline"]').click()
    page.locator(".xtyl .job").nth(7).wait_for()
    page.locator(".xtyl .job").nth(0).click()
    page.locator(".xtyl .panel dd", has_text="A headline for Aurora lamp").wait_for()
    shot(page, "panel-text-job")
    page.locator('.xtyl .card[data-node="poster"]').click()
    page.locator(".xtyl .job img").nth(3).wait_for()
    shot(page, "panel-images")
    page.locator(".xtyl .job").nth(0).click()
    page.locator(".xtyl .panel .large img").first.wait_for()
    shot(page, "panel-image-job")


def test_texts_that_were_cut_are_told(launched: Any) -> None:
    """The card counts them, also for a screen reader, and the panel of each says what to do."""
    page = launched
    card = page.locator('.xtyl .card[data-node="hook"]')
    card.get_by_text("4 cut at max_tokens").wait_for()
    assert "4 cut at max_tokens" in card.get_attribute("aria-label")
    card.click()
    page.locator(".xtyl .job").nth(3).wait_for()
    shot(page, "panel-cut-jobs")
    page.locator(".xtyl .job").nth(0).click()
    page.locator(".xtyl .panel dd.bad", has_text="The text was cut at max_tokens: raise it").wait_for()
    shot(page, "panel-cut-job")


def test_the_events_can_be_read(launched: Any) -> None:
    """The log has a tab of its own, newest first; another tab takes its place."""
    page = launched
    page.get_by_role("tab", name="Events", exact=True).click()
    page.locator(".xtyl .event", has_text="submitted").wait_for()
    assert "failed" in page.locator(".xtyl .event").first.inner_text()
    shot(page, "panel-events")
    page.get_by_role("tab", name="Timeline", exact=True).click()
    page.locator(".xtyl .lane").first.wait_for()
