"""Still pictures hold the facts of a run, and nothing that could run."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

from PIL import Image

from scripted_run import draw_image, node_overview, overview_of, plan_of, summer_plan
from xtyl_engine.errors import Problem
from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_nb.drawing.run_picture import Exhibit, clock, lasted, run_html
from xtyl_nb.drawing.workflow_picture import workflow_html
from xtyl_nb.widget.state import describe

HOSTILE = "<script>alert(1)</script>\" onload='x' &amp; \x00\x1b"


class Page(HTMLParser):
    """The tags, attributes and text that a browser makes of it."""

    def __init__(self, source: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


def svg_of(html: str) -> str:
    """The wires, which are an image."""
    return b64decode(html.partition("svg+xml;base64,")[2].partition('"')[0]).decode()


def document(*ids: str, edges: tuple[tuple[str, str], ...] = ()) -> Document:
    return Document(
        name="w",
        nodes=tuple(Node(id=id, type="call") for id in ids),
        edges=tuple(Edge(source=source, target=target) for source, target in edges),
    )


def test_a_workflow_is_drawn_with_names_and_types() -> None:
    """Every node shows its id and its type."""
    texts = Page(workflow_html(summer_plan().document)).text
    assert all(word in texts for word in ("headline", "generate_copy · 3 each", "pick", "review · choose 1", "kit"))


def test_a_wide_workflow_fits_a_page() -> None:
    """Five steps in a row are as wide as their page, down to the narrow one of marimo, wires alike; without styles no wires are
    left, no words run together."""
    ids = [f"step_{place}" for place in range(5)]
    plan = plan_of({id: ("call", {}) for id in ids}, [(a, b, None) for a, b in pairwise(ids)])
    for html in (run_html(plan, overview_of(plan)), workflow_html(plan.document)):
        ((least, most),) = re.findall(r"position:relative;width:100%;min-width:(\d+)px;max-width:(\d+)px", html)
        assert int(least) <= 700 < int(most)
        rights = [float(x) + float(width) for x, width in re.findall(r"left:([\d.]+)%;top:\d+px;width:([\d.]+)%", html)]
        assert len(rights) == 5
        assert max(rights) < 100
        assert re.search(r"max-width:none;width:100%;height:\d+px", html)
        assert 'width="0" height="0" src="data:image/svg' in html
        bare = re.sub("<[^>]*>", "", html)
        assert "call" in bare
    assert "step_0 0 of 2" in " ".join(re.sub("<[^>]*>", "", run_html(plan, overview_of(plan))).split())


def test_culprits_are_marked_with_their_problem() -> None:
    """A node with a problem has a cross and the problem's code, and its words on hover; the others do not."""
    problem = Problem(code="workflow/cycle", node="b", message="b -> b", hint="Remove one.")
    page = Page(workflow_html(document("a", "b", edges=(("a", "b"), ("b", "b"))), problems=[problem]))
    assert page.text.split() == ["a", "call", "✕", "b", "cycle"]
    assert ("title", "b -> b — Remove one.") in page.attributes


def test_broken_workflows_are_still_drawn() -> None:
    """With cycles, unknown ends, doubled and hostile ids, or nothing at all, the page holds only the drawing's own markup."""
    broken = document("a", "b", "a", HOSTILE, "", edges=(("a", "b"), ("b", "a"), ("a", "ghost"), ("a", "a")))
    page = Page(workflow_html(broken))
    assert page.text.splitlines().count("a") == 2
    assert set(page.tags) == {"div", "b", "img"}
    assert "onload" not in {name for name, _ in page.attributes}
    assert Page(workflow_html(document())).tags == ["div", "div", "img"]


def test_edges_made_by_references_can_be_given() -> None:
    """The caller may know edges that the document does not write down."""
    edges = [Edge(source="a", target="b", branch="then")]
    bare, wired = workflow_html(document("a", "b")), workflow_html(document("a", "b"), edges=edges)
    assert [svg_of(html).count("<path") for html in (bare, wired)] == [0, 2]
    assert "then: call" in Page(wired).text


def test_a_run_shows_state_counts_times_and_errors() -> None:
    """The picture shows the state of the run and of each node in words."""
    nodes = {
        "headline": node_overview(completed=6, started=5.0, finished=14.0, text="Hello"),
        "premium": node_overview(completed=24, branches={"then": 9, "otherwise": 15}),
        "score": node_overview(failed=1, completed=1, error="TimeoutError after 30 s"),
    }
    page = Page(run_html(summer_plan(), overview_of(summer_plan(), "failed", nodes=nodes, error="1 job failed")))
    for words in (
        "summer-launch",
        "failed",
        "6 of 6",
        "9.0 s",
        "Hello",
        "TimeoutError after 30 s",
        "not started",
        "9 then, 15 otherwise",
        "then: call",
        "0:41",
    ):
        assert words in page.text


def test_a_card_counts_texts_that_were_cut() -> None:
    """The number stands before the latest text, drawn as a picture and sent to the widget."""
    plan = summer_plan()
    overview = overview_of(plan, nodes={"headline": node_overview(completed=6, text="Light that", cut=3)})
    assert "3 cut at max_tokens · Light that" in Page(run_html(plan, overview)).text
    assert "3 cut at max_tokens · Light that" in str(describe(overview))


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    """With any names and outputs, the picture has no script, no style sheet and no handler."""
    plan = plan_of({HOSTILE: ("call", {"function": HOSTILE})}, [], name=HOSTILE)
    image = draw_image(tmp_path / "poster.png", top="red", bottom="blue")
    nodes = {
        HOSTILE: node_overview(completed=1, text=HOSTILE, error=HOSTILE, images=(image, str(tmp_path / "gone.png")))
    }
    page = Page(run_html(plan, overview_of(plan, "running", nodes=nodes, waiting_for=HOSTILE, error=HOSTILE)))
    assert set(page.tags) <= {"div", "span", "b", "img", "table", "tr", "th", "td"}
    assert {name for name, _ in page.attributes} <= {"style", "title", "alt", "src", "class", "width", "height"}
    assert "<script>alert(1)</script>" in page.text


def test_images_come_along_small(tmp_path: Path) -> None:
    """Images are inside the picture, as data, a few kilobytes each."""
    images = [draw_image(tmp_path / f"{i}.png", top="#fa0", bottom="#048", size=1024) for i in range(4)]
    nodes = {"poster": node_overview(completed=4, images=tuple(images))}
    html = run_html(summer_plan(), overview_of(summer_plan(), "completed", nodes=nodes))
    assert html.count("data:image/jpeg;base64,") == 4
    assert len(html) < 60_000


def test_a_hundred_images_stay_below_a_megabyte(tmp_path: Path) -> None:
    """As many as fit are shown, small, whichever size the files have."""
    noise = [str(tmp_path / f"{place}.png") for place in range(4)]
    for path in noise:
        Image.effect_noise((1024, 1024), 90).convert("RGB").save(path)
    plan = plan_of({f"poster_{place}": ("generate_image", {}) for place in range(25)}, [])
    nodes = {id: node_overview(completed=4, images=tuple(noise)) for id in plan.nodes}
    shown = [
        Exhibit(path=noise[place % 4], node="poster", item=str(place), label=f"Lamp {place}") for place in range(100)
    ]
    html = run_html(plan, overview_of(plan, "completed", nodes=nodes), shown)
    assert html.count("data:image/jpeg;base64,") == 96
    assert "Lamp 47" in html
    assert "Lamp 48" not in html
    assert "run.gallery()" in html
    assert len(html) < 1_000_000


def test_durations_read_as_people_write_them() -> None:
    """Minutes and seconds, and hours when there are any."""
    assert [clock(seconds) for seconds in (-1, 9.9, 61, 3723)] == ["0:00", "0:09", "1:01", "1:02:03"]
    assert [lasted(seconds) for seconds in (-1, 0.44, 10)] == ["0.0 s", "0.4 s", "0:10"]
