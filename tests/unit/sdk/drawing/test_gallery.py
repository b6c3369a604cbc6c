"""The contact sheet and the timeline of a run: their contents, all shown as text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest

import xtyl_nb as xt
from workbench import Workbench, before_reads, workbench
from xtyl_engine.errors import RunNotFound
from xtyl_nb.drawing.timeline import MOST_LANES, Bar, Timeline

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


class Tags(HTMLParser):
    """The tags in a piece of HTML, and all that is text."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str | None] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name == "src"]

    def handle_data(self, data: str) -> None:
        self.text += data


def bar(start: float, end: float, node: str = "draft") -> Bar:
    return Bar(node=node, item="0", state="completed", start=start, end=end)


def test_a_gallery_holds_each_image_once(bench: Workbench) -> None:
    """An image appears where it was made, not again where a package passes it on; if a node is named, only its images appear."""
    flow = (
        xt.Workflow("posters")
        .generate_image("poster", prompt="{{ name }}", n=2)
        .generate_image("icon", prompt="an icon for {{ name }}")
        .attach("kit", title="x", image="{{ poster[0].image }}")
    )
    run = bench.done(flow, [{"name": HOSTILE}, {"name": "b"}])
    gallery = run.gallery()
    assert [each.node for each in gallery.exhibits] == ["poster"] * 4 + ["icon"] * 2
    assert all(Path(path).is_file() for path in gallery.paths)
    assert repr(gallery) == "Gallery(6 images)"
    assert len(run.gallery("icon")) == 2
    with pytest.raises(RunNotFound, match="no node 'unknown'"):
        run.gallery("unknown")


def test_a_gallery_shows_names_as_text_and_images_as_images(bench: Workbench) -> None:
    """It has no script, and no source but an image that was decoded here."""
    run = bench.done(xt.Workflow("posters").generate_image("poster", prompt="{{ name }}"), [{"name": HOSTILE}])
    page = Tags(run.gallery()._repr_html_())
    assert set(page.tags) <= {"div", "span", "img"}
    assert all(str(source).startswith("data:image/") for source in page.sources)
    assert "<script>" in page.text
    assert "no images yet" in xt.Workflow("none").generate_copy("line", prompt="x").run().gallery()._repr_html_()


def test_a_timeline_has_a_bar_for_each_job_that_started(bench: Workbench) -> None:
    """Each bar has its node, its state and its time since the run began."""
    flow = xt.Workflow("two").generate_copy("line", prompt="{{ name }}", n=3).attach("kit", title="{{ line[0].text }}")
    timeline = bench.done(flow, [{"name": "a"}]).timeline()
    assert sorted((each.node, each.item, each.state) for each in timeline.bars) == [
        ("kit", "0", "completed"),
        *[("line", f"0.{place}", "completed") for place in range(3)],
    ]
    assert all(0 <= each.start <= each.end for each in timeline.bars)
    assert timeline.nodes == ("line", "kit")


def test_jobs_at_the_same_time_lie_below_each_other() -> None:
    """They take as few lanes as possible, and at most as many as can be read."""
    side_by_side = Timeline([bar(0, 2), bar(1, 3), bar(2, 4)], ["draft"])._repr_html_()
    assert side_by_side.count("top:0px") == 2
    assert side_by_side.count("top:9px") == 1
    crowd = Timeline([bar(0, 1) for _ in range(100)], ["draft"])._repr_html_()
    assert f"top:{(MOST_LANES - 1) * 9}px" in crowd
    assert f"top:{MOST_LANES * 9}px" not in crowd


def test_a_timeline_is_text_and_boxes() -> None:
    """This holds for any name of a node or item."""
    page = Tags(Timeline([bar(0, 1, node=HOSTILE)], [HOSTILE])._repr_html_())
    assert set(page.tags) <= {"div", "span"}
    assert "<script>" in page.text
    assert "nothing has started" in Timeline([], ["draft"])._repr_html_()


@contextmanager
def reads(bench: Workbench) -> Iterator[list[str]]:
    """What the block reads from the database, one entry for each transaction."""
    begun: list[str] = []
    with before_reads(bench.backend.database, lambda: begun.append("read")):
        yield begun


def test_a_gallery_reads_no_job_without_images(bench: Workbench) -> None:
    """Two hundred texts cost as many looks at the database as one, and the images among results of a function are found."""

    def perhaps(number: int) -> object:
        from PIL import Image

        return Image.new("RGB", (8, 6), "red") if number == 150 else f'text json" {number}'

    flow = xt.Workflow("perhaps").call("made", perhaps, number="{{ n }}").generate_copy("line", prompt="{{ n }}")
    one = bench.done(flow, [{"n": 1}])
    many = bench.done(flow, [{"n": number} for number in range(200)])
    with reads(bench) as for_one:
        assert len(one.gallery()) == 0
    with reads(bench) as for_many:
        assert len(many.gallery("line")) == 0
        assert len(many.gallery("made").paths) == 1
    assert 0 < len(for_many) <= len(for_one) + 4
    page = bench.backend.job_page(many.id, "line", 0, with_images=True)
    assert (page.total, page.jobs) == (0, ())
