"""A run with all there is in it, in a real JupyterLab with a real back end: the pictures of the README are taken here
(`LAB_SCREENSHOTS=docs pytest tests/browser/test_readme.py`).
"""

from __future__ import annotations

from typing import Any

import pytest

from page import run_cell, shot, start

pytestmark = pytest.mark.browser

RUN = """
import time
import xtyl_nb as xt

def stock(product):
    time.sleep(0.9)
    if product == "Ember kettle":
        raise ValueError("sold out")
    return f"{len(product)} left"

flow = (
    xt.Workflow("summer-launch")
    .generate_copy("headline", prompt="A {{ tone }} headline for {{ product }}", n=3)
    .generate_image("poster", prompt="Poster for {{ product }}: {{ headline.text }}", over="headline")
    .conditional(
        "premium",
        when="{{ price > 60 or product == 'Ember kettle' }}",
        then=lambda flow: flow.call("stock", stock, product="{{ product }}"),
        after=["headline"],
    )
    .review("pick", of="poster", edit=True, after=["poster"])
    .attach("kit", title="{{ pick.headline.text }}", image="{{ pick.poster.image }}")
)
run = flow.run(xt.load_briefs(24))
"""
DOWN = "from xtyl_engine.embedded.client import down\nfrom xtyl_engine.settings import load_settings\ndown(load_settings())"
THEME = "jupyterapp.commands.execute('apputils:change-theme', {{ theme: 'JupyterLab {}' }})"


def test_one_glance_says_what_runs_what_came_out_and_what_waits(lab: Any, page: Any) -> None:
    """The page shows counts, images, an error with its row, the branches taken, and a review that is decided right there."""
    page.set_viewport_size({"width": 1560, "height": 1100})
    start(page, lab.write("readme.ipynb", RUN, DOWN))
    page.get_by_text("waiting for you · 24").wait_for()
    for left, option in ((23, 0), (22, 1), (21, 2)):
        page.locator(".xtyl .review .pick input").nth(option).check()
        page.get_by_role("button", name="Approve", exact=True).click()
        page.get_by_text(f"waiting for you · {left}").wait_for()
    page.locator(".xtyl .review .pick input").nth(1).check()
    page.locator('.xtyl .card[data-node="kit"]', has_text="3 of 24").wait_for()
    stock = page.locator('.xtyl .card[data-node="stock"]')
    stock.get_by_text("Ember kettle: stock() raised ValueError: sold out").wait_for()
    assert "then: call" in stock.inner_text()
    assert " then, " in page.locator('.xtyl .card[data-node="premium"]').inner_text()
    page.get_by_role("tab", name="Timeline", exact=True).click()
    # The single jobs, in place of the one bar for all of them.
    page.wait_for_function("() => document.querySelectorAll('.xtyl .lane:last-child .rail i.completed').length === 3")
    page.get_by_role("tab", name="Review").click()
    for theme, is_light, name in (("Light", "true", "widget"), ("Dark", "false", "widget-dark")):
        page.evaluate(THEME.format(theme))
        page.wait_for_selector(f'body[data-jp-theme-light="{is_light}"]', state="attached")
        page.wait_for_selector("#jupyterlab-splash", state="detached")
        shot(page, name)
    run_cell(page, 1)
    page.locator(".jp-InputPrompt").get_by_text("[2]:").wait_for()
