"""A notebook that has only an address and a token of its back end, in a real JupyterLab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import fleet
from page import run_cell, shot
from served import Served, serve
from servers import valkey_server
from xtyl_engine.settings import load_settings, prepare_home

pytestmark = pytest.mark.browser

CONNECT = """
import os
os.environ["XTYL_HOME"] = {home!r}
import pandas as pd
import xtyl_nb as xt
xt.connect({url!r}, token={token!r})
briefs = pd.DataFrame({{"product": ["Aurora lamp", "Tidal mug"], "tone": ["playful", "calm"]}})
flow = (
    xt.Workflow("summer-launch")
    .generate_copy("headline", prompt="A {{{{ tone }}}} headline for {{{{ product }}}}", n=3)
    .generate_image("poster", prompt="{{{{ product }}}}: {{{{ headline.text }}}}", size="256x256", over="headline")
    .review("pick", of="poster", choose=1)
    .attach("kit", title="{{{{ pick.headline.text }}}}", image="{{{{ pick.poster.image }}}}")
)
run = flow.run(briefs)
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A back end of one worker and an API."""
    with valkey_server() as broker:
        settings = load_settings({"XTYL_HOME": str(tmp_path / "home"), "XTYL_REDIS_URL": broker, "XTYL_SLOTS": "4"})
        prepare_home(settings)
        with serve(settings) as made, fleet(settings):
            yield made


def test_a_run_is_seen_and_decided_over_http(lab: Any, page: Any, served: Served, tmp_path: Path) -> None:
    """Cards with pictures, decisions made in the page, details, and a frame with thumbnails, through the API alone."""
    cell = CONNECT.format(home=str(tmp_path / "notebook"), url=served.url, token=served.token)
    page.goto(lab.write("http.ipynb", cell, "run.frame()"))
    run_cell(page, 0)
    review = page.locator(".xtyl .review")
    for product in ("Aurora lamp", "Tidal mug"):
        review.get_by_text(product).first.wait_for()
        assert review.locator(".pick img").count() == 3
        shot(page, f"http-review-{product.split()[0]}")
        review.locator(".pick input").first.check()
        review.get_by_role("button", name="Approve").click()
    page.wait_for_selector(".xtyl .pill.completed")
    assert page.locator(".xtyl .card img").count() > 0
    shot(page, "http-completed")
    run_cell(page, 1)
    page.wait_for_selector(".jp-OutputArea table img")
    assert all(served.token not in words for words in page.locator(".jp-OutputArea").all_inner_texts())
