"""A file of prices on an embedded back end: that of the notebook, also when it runs already."""

from __future__ import annotations

from pathlib import Path

import pytest

import xtyl_nb as xt
from xtyl_engine.providers.price_file import PricesInvalid
from xtyl_engine.settings import Settings

FLOW = xt.Workflow("priced").generate_copy("line", prompt="Hello {{ name }}", provider="openai", model="m", cache=False)


def test_the_prices_of_the_notebook_count(embedded: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong file is refused before the run is there; a right one prices the next run, by a worker that runs already."""
    from openai_server import openai_server

    for name, value in embedded.to_environ().items():
        monkeypatch.setenv(name, value)
    with openai_server() as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        first = FLOW.run(name="lamp").wait(60)
        assert first.cost()["unpriced"].to_list() == [1, 1]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("XTYL_PRICES", "prices.toml")
        Path("prices.toml").write_text('[[price]]\nmodel = "m"\nrequest = "much"\n')
        before = list(xt.runs().index)
        with pytest.raises(PricesInvalid, match="line 1: `request` is 'much'"):
            FLOW.run(name="mug")
        assert list(xt.runs().index) == before
        Path("prices.toml").write_text('date = 2026-11-30\n[[price]]\nmodel = "*"\nrequest = 0.25\n')
        second = FLOW.run(name="mug").wait(60)
    assert second.cost()["cost"].to_list() == [0.25, 0.25]
    assert second.jobs()["price"].to_list() == ["XTYL_PRICES prices.toml, 2026-11-30"]
