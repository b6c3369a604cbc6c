"""Frames in a notebook: pandas' own table, pictures for paths, and no cell as markup."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from scripted_run import draw_image
from xtyl_nb.frames.result_frame import MOST_ITEMS, ResultFrame, with_images

SCRIPT = "<script>alert(1)</script>"


def html(frame: pd.DataFrame) -> str:
    shown = frame._repr_html_()  # type: ignore[operator]
    assert isinstance(shown, str)
    return shown


def test_without_texts_and_images_it_is_the_table_of_pandas() -> None:
    """Numbers, times and an index of several levels are as pandas writes them, except that nothing is taken for a formula."""
    index = pd.MultiIndex.from_product([["a", "b"], [0, 1]], names=["row", "item"])
    plain = pd.DataFrame({"x": [1.5, 2, 3, 4], "t": pd.to_datetime(["2026-01-01"] * 4, utc=True)}, index=index)
    with pd.option_context("display.html.use_mathjax", False):
        expected = html(plain)
    assert "mathjax_ignore" in expected
    assert html(ResultFrame(plain)) == expected


def test_images_are_shown_also_in_lists_and_selections(tmp_path: Path) -> None:
    """A path is a thumbnail, a list of them a row; a selection shows them too."""
    image = str(draw_image(tmp_path / "a.png", top="teal", bottom="navy"))
    frame = with_images(pd.DataFrame({"one": [image], "many": [[image] * (MOST_ITEMS + 2)], "n": [1]}), tmp_path)
    assert html(frame).count("<img") == MOST_ITEMS + 1
    assert "+2" in html(frame)
    assert html(frame[["one"]].head(1)).count("<img") == 1
    assert html(frame.loc[:, ["n"]]).count("<img") == 0


def test_files_elsewhere_are_never_opened(tmp_path: Path) -> None:
    """A path of an image outside the run's own store stays text, even by `..`, a link, or in a list."""
    store, own = tmp_path / "store", tmp_path / "passport.png"
    store.mkdir()
    draw_image(own, top="teal", bottom="navy")
    (store / "link.png").symlink_to(own)
    paths = [str(own), f"{store}/../passport.png", str(store / "link.png"), [str(own)], f"{store}2/a.png"]
    table = with_images(pd.DataFrame({"note": paths}), store)
    for frame in (table, ResultFrame({"note": paths}), table.head(2), table[["note"]]):
        assert "<img" not in html(frame)
        assert "passport.png" in html(frame)


def test_what_is_computed_from_a_frame_shows_its_images_too(tmp_path: Path) -> None:
    """It may be sorted, filtered, copied, or have a column more."""
    image = str(draw_image(tmp_path / "a.png", top="teal", bottom="navy"))
    frame = with_images(pd.DataFrame({"image": [image, image], "n": [2, 1]}), tmp_path)
    for other in (
        frame.sort_values("n"),
        frame[frame["n"] > 1],
        frame.copy(),
        frame.assign(more=1),
        frame.reset_index(),
    ):
        assert "<img" in html(other)


def test_only_what_is_seen_is_drawn(tmp_path: Path) -> None:
    """Rows of a long frame that pandas leaves out cost no thumbnails."""
    image = str(draw_image(tmp_path / "a.png", top="teal", bottom="navy"))
    frame = with_images(pd.DataFrame({"image": [image] * 1000}), tmp_path)
    assert html(frame).count("<img") == pd.get_option("display.min_rows")


def test_texts_are_escaped_wherever_they_stand() -> None:
    """They are escaped in cells short and long, lists, columns, the index and its names."""
    texts = [SCRIPT, SCRIPT * 3, [SCRIPT, SCRIPT], f"{SCRIPT}.png"]
    frame = ResultFrame({SCRIPT: texts}, index=pd.Index([SCRIPT, "b", "c", "d"], name=SCRIPT))
    assert "<script" not in html(frame)
    assert html(frame).count("&lt;script") >= 8


def test_long_texts_are_wrapped_and_lists_told_one_by_one() -> None:
    """A prompt is readable, a list has a line for each item, a missing text is blank."""
    shown = html(ResultFrame({"prompt": ["word " * 30, None], "list": [["first", "second"], []]}))
    assert "word " * 30 in shown
    assert "<div>first</div><div>second</div>" in shown
    assert ">0, 2.5, 4<" in html(ResultFrame({"choice": [[0, 2.5, 4]]}))
    assert ">0, 1, 2, 3, 4, 5 and 94 more<" in html(ResultFrame({"choice": [list(range(100))]}))
    assert "None" not in shown
    assert "NaN" not in shown


def test_a_narrow_setting_does_not_break_it() -> None:
    """With any of pandas' own options, no placeholder is left in the table."""
    for width in (5, None):
        with pd.option_context("display.max_colwidth", width):
            shown = html(ResultFrame({"list": [["first"]], "text": ["x" * 100]}))
        assert "first" in shown
        assert re.search(r"[0-9a-f]{16}-", shown) is None


def test_odd_frames_are_shown() -> None:
    """Frames with no rows, no columns, or the same column twice are shown."""
    assert "dataframe" in html(ResultFrame({"a": []}))
    assert "dataframe" in html(ResultFrame(index=[1, 2]))
    assert html(ResultFrame([["x", "y"]], columns=["a", "a"])).count("<td>") == 2


def test_many_images_are_small_ones(tmp_path: Path) -> None:
    """Forty rows of three images each take less than a megabyte, whichever they are; a few are each as sharp as the screen."""
    from PIL import Image

    noise = Image.effect_noise((512, 512), 60).convert("RGB")
    paths = [str(tmp_path / f"{place}.png") for place in range(120)]
    for place, path in enumerate(paths):
        noise.rotate(place).save(path)
    table = with_images(pd.DataFrame({"poster": [paths[at : at + 3] for at in range(0, 120, 3)]}), tmp_path)
    assert html(table).count("<img") == 120
    assert len(html(table)) < 800_000
    few = html(table.head(1))
    assert len(few) / 3 > 1.2 * len(html(table)) / 120


def test_a_list_of_long_texts_does_not_fill_the_page() -> None:
    """The more texts, the less of each is shown; a single one has more room."""
    long = "It falls where you read and leaves the rest of the room to the evening. " * 9
    one, six = html(ResultFrame({"a": [long]})), html(ResultFrame({"a": [[long] * 6]}))
    assert long[:200] in one
    assert long[:70] in six
    assert long[:100] not in six
