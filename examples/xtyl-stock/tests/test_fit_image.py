"""The node type `fit_image`, one job at a time."""

from pathlib import Path

import pytest
from PIL import Image

from xtyl_engine.errors import PermanentError, WorkflowError
from xtyl_engine.nodes.base import Context
from xtyl_nb.testing import check_node_type, make_context, run_node


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return make_context(tmp_path)


def test_it_is_a_node_type() -> None:
    """The installed package offers it, and it keeps the rules of every node type."""
    check_node_type("fit_image")


def test_an_image_fills_the_format(context: Context) -> None:
    """A wide or high image is cut evenly at both sides and fills the requested size."""
    wide = Image.new("RGB", (90, 30), "navy")
    wide.paste("gold", (30, 0, 60, 30))
    poster = {"image": context.artifacts.save_picture(wide)}
    done = run_node("fit_image", context, {"poster": poster}, image="{{ poster.image }}", size="40x40")
    assert (done.output["width"], done.output["height"]) == (40, 40)
    with context.artifacts.artifact(done.output["image"]).open() as fitted:
        assert fitted.size == (40, 40)
        assert {fitted.getpixel(corner) for corner in ((2, 2), (37, 37))} == {(255, 215, 0)}


def test_the_size_may_come_by_a_column(context: Context) -> None:
    """A row's own format is rendered before the job starts."""
    image = context.artifacts.save_picture(Image.new("RGB", (8, 8)))
    done = run_node("fit_image", context, {"it": image, "format": "9x16"}, image="{{ it }}", size="{{ format }}")
    assert (done.output["width"], done.output["height"]) == (9, 16)


def test_a_wrong_size_is_told_before_anything_runs(context: Context) -> None:
    """An invalid size is a problem of the workflow; if a row brings it, an error of that row."""
    with pytest.raises(WorkflowError, match="size"):
        run_node("fit_image", context, image="{{ it }}", size="large")
    with pytest.raises(PermanentError, match="size"):
        run_node("fit_image", context, {"it": 1, "format": "large"}, image="{{ it }}", size="{{ format }}")


def test_what_is_no_image_is_refused(context: Context) -> None:
    """A text in place of an image fails for good, with a hint at the right value."""
    with pytest.raises(PermanentError, match="not an image of this run") as caught:
        run_node("fit_image", context, {"poster": "a poster"}, image="{{ poster }}")
    assert "{{ poster.image }}" in str(caught.value.hint)
