"""The file of prices: what it may hold, which price fits, and what is wrong with it, by line and key."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from xtyl_engine.errors import ErrorClass
from xtyl_engine.providers.price_file import PricesInvalid, parse, price_file, rounded

DAY = date(2026, 11, 30)
WHOLE = """
# Our contract.
date = 2026-10-01

[[price]]
provider = "openai"
model = ["gpt-4.1*", "gpt-5"]
input = 0.40
cached = 0.10
output = 1.60

[[price]]
model = "llama*"
server = "http://localhost:11434/v1/"
input = 0
output = 0

[[price]]
model = "flux-?"
image = 0.04
request = 0.000000001
"""


def tokens(**counts: int | None) -> dict[str, int | None]:
    return {"input": 0, "cached": 0, "output": 0, "image_tokens": 0, **counts}


@pytest.mark.parametrize(
    ("provider", "server", "model", "place"),
    [
        ("openai", None, "gpt-4.1-mini-2025-04-14", 0),
        ("openai", None, "GPT-5", 0),
        ("openai", None, "gpt-5-mini", None),
        ("other", None, "gpt-5", None),
        ("openai", "http://localhost:11434/v1", "llama3:8b", 1),
        ("openai", "http://localhost:8000/v1", "llama3:8b", None),
        ("anything", None, "flux-2", 2),
    ],
)
def test_a_price_is_found_by_model_provider_and_server(
    provider: str, server: str | None, model: str, place: int | None
) -> None:
    """A pattern stands for many models; what is not named is any provider, any server."""
    whole = parse(Path("contract.toml"), WHOLE.encode(), DAY)
    found = whole.find(provider, server, [model])
    assert found is (None if place is None else whole.prices[place])


def test_the_first_model_with_a_price_counts_and_the_first_price_of_it() -> None:
    """The model that answered comes before the one that was asked for."""
    text = (
        '[[price]]\nmodel="asked"\nrequest=1\n[[price]]\nmodel="*swered"\nrequest=2\n[[price]]\nmodel="*"\nrequest=3\n'
    )
    whole = parse(Path("p.toml"), text.encode(), DAY)
    assert [whole.find("p", None, names) for names in (["answered", "asked"], ["b", "asked"])] == list(whole.prices[1:])


def test_its_source_is_its_name_and_its_day() -> None:
    """The day is the one that the file names, else the day on which it was changed."""
    dated = parse(Path("/x/contract.toml"), WHOLE.encode(), DAY)
    plain = parse(Path("/x/contract.toml"), WHOLE.replace("date =", "#").encode(), DAY)
    sources = [each.source for each in (dated, plain)]
    assert sources == ["XTYL_PRICES contract.toml, 2026-10-01", "XTYL_PRICES contract.toml, 2026-11-30"]


def test_amounts_are_exact() -> None:
    """A price is decimal, as it is written; an answer is rounded once, to the nearest 1e-9 dollar, halves to the even."""
    contract, local, flux = parse(Path("p.toml"), WHOLE.encode(), DAY).prices
    assert contract.cost(tokens(input=990, cached=10, output=100), 0) == 396_000 + 1_000 + 160_000
    assert contract.cost(tokens(input=1), 0) == 400
    assert local.cost(tokens(input=None, output=None), 0) == 0
    assert flux.cost(tokens(input=None, output=None), 2) == 80_000_001
    assert [rounded(amount, 10) for amount in (4, 5, 6, 15, 25, 26)] == [0, 0, 1, 2, 2, 3]


def test_what_has_a_price_and_is_not_known_makes_no_cost() -> None:
    """An answer whose tokens were not told costs an unknown amount, and not the rest."""
    contract = parse(Path("p.toml"), WHOLE.encode(), DAY).prices[0]
    assert contract.cost(tokens(input=None, output=5), 0) is contract.cost(tokens(input=5, output=None), 0) is None


def test_cached_and_image_tokens_cost_what_input_and_output_cost_unless_it_is_said() -> None:
    """Nothing that was used is free for want of a key."""
    text = '[[price]]\nmodel="m"\ninput=1\noutput=2\n'
    (price,) = parse(Path("p.toml"), text.encode(), DAY).prices
    assert price.cost(tokens(input=1, cached=1, output=1, image_tokens=1), 1) == 1_000 + 1_000 + 2_000 + 2_000


ONE = '[[price]]\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[price]\n", "(at line 1, column 8)"),
        ("[[price]]\nmodel=1\ninput = 1.2.3\n", "(at line 3, column 12)"),
        ("", "it holds no prices"),
        ("price = 3\n", "it holds no prices"),
        ("[prices]\n", "there is no key 'prices'\n  Did you mean 'price'?"),
        ('date = "today"\n' + ONE, "`date` is 'today'"),
        ("date = 2026-01-01T00:00:00Z\n" + ONE, "`date` is datetime"),
        ("\n[[price]]\ninput = 1\noutput = 1\n", "line 2: `model` is missing"),
        ("[[price]]\nmodel = []\nrequest = 1\n", "line 1: `model` is []"),
        ("[[price]]\nmodel = 7\nrequest = 1\n", "line 1: `model` is 7"),
        (ONE + "request = 1\n" + ONE, "line 4: it has no whole price"),
        (ONE + "input = 1\n", "line 1: it has no whole price"),
        (ONE + "output = 1\n", "line 1: it has no whole price"),
        (ONE + "image = 1\ncached = 1\n", "line 1: `cached` and `image_tokens` stand alone"),
        (ONE + "inptu = 1\noutput = 1\n", "line 1: there is no key 'inptu'\n  Did you mean 'input'?"),
        (ONE + "request = -1\n", "line 1: `request` is -1\n  Write dollars for one request, from 0 to 1,000,000"),
        (ONE + "input = nan\noutput = 1\n", "line 1: `input` is NaN\n  Write dollars for a million tokens"),
        (ONE + "request = inf\n", "line 1: `request` is Infinity"),
        (ONE + "request = 1000000.1\n", "line 1: `request` is 1000000.1"),
        (ONE + "request = 0.0000000001\n", "line 1: `request` is 1E-10"),
        (ONE + "request = 1e-999999999999\n", "`request` is"),
        (ONE + "request = true\n", "line 1: `request` is True"),
        (ONE + 'request = "1"\n', "line 1: `request` is '1'"),
        (ONE + "provider = 1\nrequest = 1\n", "line 1: `provider` is 1"),
        (ONE + 'server = " "\nrequest = 1\n', "line 1: `server` is ' '"),
        ("price = [{model='m'}]\n", "price 1: it has no whole price"),
        ("a = " + "[" * 5_000, "it is no TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_line_and_key(text: str, said: str) -> None:
    """The error names the variable, the file, the place in it, and what is allowed there."""
    with pytest.raises(PricesInvalid) as refused:
        parse(Path("/x/p.toml"), text.encode(), DAY)
    assert "the prices of XTYL_PRICES, /x/p.toml: " in str(refused.value)
    assert said in str(refused.value)
    assert refused.value.error_class is ErrorClass.PERMANENT


def test_bytes_that_are_no_text_are_no_prices() -> None:
    """A file in another encoding, or of another kind, is refused as one that is no TOML."""
    with pytest.raises(PricesInvalid, match="it is no TOML"):
        parse(Path("p.toml"), b"\xff\xfe", DAY)


def test_without_the_variable_there_is_no_file() -> None:
    """An empty one counts as not set."""
    assert price_file({}) is price_file({"XTYL_PRICES": " "}) is None


def test_a_file_is_read_again_once_it_has_changed(tmp_path: Path) -> None:
    """A price that is corrected counts for the next job."""
    path = tmp_path / "p.toml"
    found = []
    for amount in (1, 22):
        path.write_text(ONE + f"request = {amount}\n")
        os.utime(path, (amount, amount))
        found += [price_file({"XTYL_PRICES": str(path)})] * 2
    assert [each and each.prices[0].amounts["request"] // 10**9 for each in found] == [1, 1, 22, 22]
    assert found[0] is found[1]
    assert price_file({"XTYL_PRICES": str(path)}) is found[3]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """It is missing, a folder, or far too large."""
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 1_000_001)
    said = {}
    for path in (tmp_path / "none.toml", tmp_path, large):
        with pytest.raises(PricesInvalid) as refused:
            price_file({"XTYL_PRICES": str(path)})
        said[path.name] = str(refused.value)
    assert "No such file" in said["none.toml"]
    assert "cannot be read" in said[tmp_path.name]
    assert "at most 1,000,000" in said["large.toml"]


def test_the_file_in_the_documents_can_be_used() -> None:
    """It is one that a person may copy; its prices are those that it says."""
    document = (Path(__file__).parents[3] / "docs" / "costs.md").read_text(encoding="utf-8")
    text = document.partition("```toml\n")[2].partition("```")[0]
    contract, local, drawn = parse(Path("p.toml"), text.encode(), DAY).prices
    assert contract.cost(tokens(input=1, cached=1, output=1, image_tokens=1), 0) == 1_000 + 100 + 8_000 + 30_000
    assert local.cost(tokens(input=5, output=5), 0) == 0
    assert drawn.cost(tokens(), 1) == 41_000_000
