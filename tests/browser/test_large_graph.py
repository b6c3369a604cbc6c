"""A large graph in a real JupyterLab: folded, opened, dragged, zoomed."""

from __future__ import annotations

from typing import Any

import pytest

from page import shot, start

pytestmark = pytest.mark.browser

LARGE = """
from scripted_run import *
from xtyl_nb.widget.widget import show
nodes, edges = {"start": ("call", {}), "end": ("attach", {})}, []
for place in range(100):
    copy, image, pick = (f"{name}_{place}" for name in ("copy", "image", "pick"))
    nodes |= {copy: ("generate_copy", {}), image: ("generate_image", {}), pick: ("review", {"of": image})}
    edges += [("start", copy, None), (copy, image, None), (image, pick, None), (pick, "end", None)]
plan = plan_of(nodes, edges)
seen = {f"copy_{place}": node_overview(completed=2, text=f"Text {place}") for place in range(100)}
seen |= {f"image_{place}": node_overview(completed=1, running=1) for place in range(40)}
seen |= {"start": node_overview(completed=1), "copy_7": node_overview(completed=1, failed=1, error="row 0: refused")}
show(ScriptedRun(plan, overview_of(plan, nodes=seen)))
"""
POSITION = "box => [box.scrollLeft, box.scrollTop]"


@pytest.fixture
def large(lab: Any, page: Any, request: pytest.FixtureRequest) -> Any:
    """A run of 302 nodes."""
    start(page, lab.write(f"{request.node.name}.ipynb", LARGE))
    page.wait_for_selector(".xtyl .card.stack")
    return page


def drag(page: Any, selector: str, x: float, y: float) -> None:
    box = page.locator(selector).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 24)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - x, box["y"] + box["height"] - 24 - y, steps=5)
    page.mouse.up()


def test_a_large_graph_is_folded_and_opened_by_a_click(large: Any) -> None:
    """A hundred branches are five cards; a clicked one shows its nodes, and failures are named before."""
    page = large
    assert page.locator(".xtyl .card").count() == 5
    folded = page.locator('.xtyl .card[data-node="copy_0"]')
    assert "copy_0…99" in folded.inner_text()
    assert "copy_7: row 0: refused" in folded.inner_text()
    shot(page, "graph-folded")
    folded.click()
    page.wait_for_selector('.xtyl .card[data-node="copy_99"]')
    assert page.locator(".xtyl .card").count() == 104
    assert page.evaluate("document.activeElement.dataset.node") == "copy_0"
    shot(page, "graph-opened")
    page.get_by_role("button", name="Fold", exact=True).click()
    page.wait_for_selector('.xtyl .card[data-node="copy_99"]', state="detached")
    assert page.locator(".xtyl .card.stack").count() == 3


def test_buttons_lead_to_what_failed_and_what_runs(large: Any) -> None:
    """In a graph larger than its view, they bring card after card into the middle, readable and with the focus."""
    page = large
    for stack in ("copy_0", "image_0"):
        page.locator(f'.xtyl .card[data-node="{stack}"]').click()
        page.wait_for_selector(f'.xtyl .card[data-node="{stack.replace("_0", "_99")}"]')
    page.get_by_role("button", name="Whole graph").click()
    shot(page, "graph-jumps")
    failed = page.get_by_role("button", name="1 card failed")
    failed.click()
    assert is_seen(page) == ["copy_7", True]
    running = page.get_by_role("button", name="40 cards running")
    for node in ("image_0", "image_1", "image_2"):
        running.click()
        assert is_seen(page) == [node, True]
    shot(page, "graph-jumped")
    # The buttons stand below the graph, not on it.
    stage, tools = (page.locator(part).bounding_box() for part in (".xtyl .stage", ".xtyl .tools"))
    assert tools["y"] >= stage["y"] + stage["height"]
    assert page.get_by_role("button", name="waiting").count() == 0


def is_seen(page: Any) -> list[Any]:
    """The card with the focus, and whether it is within the stage and readable."""
    found: list[Any] = page.evaluate(
        """() => {
            const card = document.activeElement;
            const [a, b] = [card, card.closest(".stage")].map((box) => box.getBoundingClientRect());
            const inside = a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
            return [card.dataset.node, inside && a.width > 150];
        }"""
    )
    return found


def test_a_graph_is_dragged_and_zoomed(large: Any) -> None:
    """The background, the cards, the wheel and keys move it; a drag does not count as a click."""
    page = large
    page.locator('.xtyl .card[data-node="image_0"]').press("Enter")
    page.wait_for_selector('.xtyl .card[data-node="image_99"]')
    stage = page.locator(".xtyl .stage")
    stage.evaluate("box => box.scrollTo(0, 0)")
    drag(page, ".xtyl .stage", 0, 150)
    left, top = stage.evaluate(POSITION)
    assert (left, top) == (0, 150)
    assert page.locator(".xtyl .card.on").count() == 0
    wide = page.locator('.xtyl .card[data-node="start"]').bounding_box()["width"]
    stage.hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function(
        "wide => document.querySelector('.xtyl .card').getBoundingClientRect().width > wide * 1.2", arg=wide
    )
    page.locator('.xtyl .card[data-node="image_0"]').press("0")
    assert page.locator('.xtyl .card[data-node="start"]').bounding_box()["width"] == pytest.approx(wide)
    page.get_by_role("button", name="Whole graph").click()
    assert page.locator('.xtyl .card[data-node="end"]').is_visible()
    shot(page, "graph-whole")


CHAIN = """
from scripted_run import *
from xtyl_nb.widget.widget import show
ids = ["brief", "headline", "poster", "pick", "kit"]
plan = plan_of({id: ("generate_copy", {}) for id in ids}, [(a, b, None) for a, b in zip(ids, ids[1:])])
show(ScriptedRun(plan, overview_of(plan)))
"""


def test_five_columns_are_shown_whole(lab: Any, page: Any) -> None:
    """In a window of 1,300 pixels no card is cut, and no button covers one."""
    start(page, lab.write("chain.ipynb", CHAIN))
    stage = page.locator(".xtyl .stage")
    stage.wait_for()
    shot(page, "graph-five")
    page.wait_for_function(
        "() => document.querySelector('.xtyl .stage').scrollWidth <= document.querySelector('.xtyl .stage').clientWidth"
    )
    assert page.locator(".xtyl .tools").is_hidden()


LONG = """
from scripted_run import *
from xtyl_nb.widget.widget import show
ids = [f"step_{place}" for place in range(COUNT)]
plan = plan_of({id: ("generate_copy", {}) for id in ids}, [(a, b, None) for a, b in zip(ids, ids[1:])])
show(ScriptedRun(plan, overview_of(plan, nodes={ids[COUNT // 2]: node_overview(completed=28, failed=2, error="refused")})))
"""
# The cards of which a part is outside the stage, across alone or also up and down.
OUTSIDE = """(way) => {
    const stage = document.querySelector(".xtyl .stage").getBoundingClientRect();
    return [...document.querySelectorAll(".xtyl .card")].filter((card) => {
        const box = card.getBoundingClientRect();
        const across = box.left < stage.left || box.right > stage.right + 1;
        return across || (way === "both" && (box.top < stage.top || box.bottom > stage.bottom + 1));
    }).map((card) => card.dataset.node);
}"""


@pytest.mark.parametrize(("count", "width"), [(11, 720), (11, 1120), (60, 1120), (60, 1600)])
def test_no_card_is_outside_the_width(lab: Any, page: Any, count: int, width: int) -> None:
    """Long workflows go on in a row below; a graph of sixty steps opens at the one that failed, and shows all by name."""
    start(page, lab.write(f"long-{count}-{width}.ipynb", LONG.replace("COUNT", str(count))))
    card = page.locator(f'.xtyl .card[data-node="step_{count // 2}"]')
    card.wait_for()
    page.set_viewport_size({"width": width, "height": 1000})
    page.wait_for_function(f"() => !({OUTSIDE})('across').length")
    assert f"step_{count // 2}" not in page.evaluate(OUTSIDE, "both")
    assert "28 of 30" in card.inner_text()
    assert "2 failed" in card.inner_text()
    shot(page, f"graph-long-{count}-{width}")
    if count == 60:
        page.get_by_role("button", name="Whole graph").click()
        assert page.evaluate(OUTSIDE, "both") == []
        last = page.locator('.xtyl .card[data-node="step_59"] h4 > span')
        assert last.is_visible()
        assert last.bounding_box()["height"] >= 10
        shot(page, f"graph-long-whole-{width}")


def test_a_step_is_found_by_its_name(lab: Any, page: Any) -> None:
    """`/` goes from the graph to the field; the found card is marked and in view, Enter leads on and Escape to the card."""
    start(page, lab.write("find.ipynb", LONG.replace("COUNT", "60")))
    page.locator('.xtyl .card[data-node="step_0"]').focus()
    page.keyboard.press("/")
    page.keyboard.type("STEP_5")
    found = page.locator(".xtyl .card.found")
    assert found.get_attribute("data-node") == "step_5"
    page.keyboard.press("Enter")
    assert found.get_attribute("data-node") == "step_50"
    assert "step_50" not in page.evaluate(OUTSIDE, "both")
    shot(page, "graph-found")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.node") == "step_50"
    field = page.get_by_label("Find a step")
    field.fill("nowhere")
    assert field.get_attribute("aria-invalid") == "true"
    assert found.count() == 0
