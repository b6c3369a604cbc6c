"""The provider `stock`, and its answers to generating steps."""

from pathlib import Path

import pytest
from PIL import Image

from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.base import ImageRequest, TextRequest
from xtyl_engine.providers.registry import get_provider
from xtyl_nb.testing import check_provider, make_context, run_node


@pytest.fixture
def stock(tmp_path: Path) -> dict[str, str]:
    """An environment whose folder holds three texts and two images."""
    (tmp_path / "lines.txt").write_text("Slow down with tea.\n\nLight up the night.\nA mug for every tide.\n")
    Image.new("RGB", (30, 20), "navy").save(tmp_path / "night_lamp.png")
    Image.new("RGB", (20, 30), "teal").save(tmp_path / "tide-mug.webp")
    return {"STOCK_FOLDER": str(tmp_path)}


def test_it_is_a_provider(stock: dict[str, str]) -> None:
    """The installed package offers it, and its answers keep the rules of every provider."""
    check_provider("stock", stock)


def test_the_closest_comes_first(stock: dict[str, str]) -> None:
    """The best match answers the first seed, the next best the second, until all have had their turn."""
    provider = get_provider("stock", stock)
    texts = [provider.write(TextRequest(prompt="The tide, and a mug", seed=seed)).text for seed in range(4)]
    assert texts[0] == texts[3] == "A mug for every tide."
    assert sorted(texts[:3]) == ["A mug for every tide.", "Light up the night.", "Slow down with tea."]
    drawn = provider.draw(ImageRequest(prompt="Poster of a lamp at night"))
    assert drawn.data == Path(stock["STOCK_FOLDER"], "night_lamp.png").read_bytes()
    assert drawn.usage.model == "night_lamp.png"


def test_a_generating_step_uses_it(stock: dict[str, str], tmp_path: Path) -> None:
    """`generate_copy` gives the picked text, and names the provider."""
    context = make_context(tmp_path / "files", provider=get_provider("stock", stock))
    done = run_node("generate_copy", context, {"product": "tea"}, prompt="{{ product }} time")
    assert (done.output["text"], done.output["provider"]) == ("Slow down with tea.", "stock")


@pytest.mark.parametrize(
    ("folder", "told"), [("", "does not know its folder"), ("/nowhere", "there is no /nowhere/lines.txt")]
)
def test_without_a_folder_it_says_what_to_set(folder: str, told: str) -> None:
    """Without its folder it fails for good, because no other attempt helps, and names the variable."""
    with pytest.raises(PermanentError, match=told) as caught:
        get_provider("stock", {"STOCK_FOLDER": folder}).write(TextRequest(prompt="A line"))
    assert "STOCK_FOLDER" in str(caught.value.hint)


def test_an_empty_stock_is_refused(tmp_path: Path) -> None:
    """With an empty stock it refuses, and makes up no answer."""
    (tmp_path / "lines.txt").write_text("\n")
    provider = get_provider("stock", {"STOCK_FOLDER": str(tmp_path)})
    with pytest.raises(PermanentError, match="nothing in stock"):
        provider.write(TextRequest(prompt="A line"))
    with pytest.raises(PermanentError, match="nothing in stock"):
        provider.draw(ImageRequest(prompt="A line"))
