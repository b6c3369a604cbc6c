"""What a plan says of costs and reasons before anything runs, and that the run keeps to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

import xtyl_nb as xt
from openai_server import OpenAIServer, openai_server
from workbench import Workbench, workbench

BRIEFS = pd.DataFrame({"name": ["Aurora lamp", "Tidal mug", "Fern pot"]})
# The server says that each answer took 5 tokens in and 6 out.
PRICES = """
[[price]]
model = "m*"
input = 1000
output = 1000
[[price]]
model = "drawn"
image = 0.04
"""


class Idea(BaseModel):
    headline: str
    ideas: list[str]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    (tmp_path / "prices.toml").write_text(PRICES)
    monkeypatch.setenv("XTYL_PRICES", str(tmp_path / "prices.toml"))
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with openai_server() as found:
        monkeypatch.setenv("OPENAI_BASE_URL", found.url)
        yield found


def asking(model: str = "m", **facts: Any) -> xt.Workflow:
    return xt.Workflow("asks").generate_copy("line", prompt="Hi {{ name }}", provider="openai", model=model, **facts)


def planned(flow: xt.Workflow, frame: pd.DataFrame = BRIEFS) -> Any:
    return flow.plan(frame)


def reasons(flow: xt.Workflow, frame: pd.DataFrame = BRIEFS) -> dict[str, str]:
    return dict(planned(flow, frame)["why"])


def test_what_is_free_costs_nothing_and_what_has_no_price_is_not_known(bench: Workbench, served: OpenAIServer) -> None:
    """The offline provider costs 0, a model without a price is NA and never 0, what is cached costs nothing more."""
    free = xt.Workflow("free").generate_copy("line", prompt="{{ name }}").attach("kit", title="{{ line }}")
    table = planned(free)
    assert table["cost_low"].tolist() == table["cost_high"].tolist() == [0.0, 0.0]
    assert repr(table).endswith("6 jobs to run, at no cost")
    odd = planned(asking("unheard-of"))
    assert odd["cost_low"].isna().all()
    assert odd["cost_high"].isna().all()
    assert repr(odd).endswith("3 jobs to run, at a cost that is not known")
    bench.done(asking(), BRIEFS)
    assert planned(asking())["cost_high"].tolist() == [0.0]
    assert served.requests


def test_a_run_costs_what_its_plan_said(bench: Workbench, served: OpenAIServer) -> None:
    """Between the two amounts, with a limit of tokens and without, before any answer is known and once some are: then the two are
    closer to each other."""
    wide = planned(asking()).loc["line"]
    limited = planned(asking(max_tokens=50)).loc["line"]
    costs: Any = bench.done(asking(), BRIEFS.head(2)).cost()
    three_rows = costs.loc["line", "cost"] * 3 / 2
    for each in (wide, limited):
        assert each["cost_low"] <= three_rows <= each["cost_high"]
    # Only the third row is left.
    narrow = planned(asking()).loc["line"]
    assert (narrow["jobs"], narrow["cached"]) == (3, 2)
    whole: Any = bench.done(asking(), BRIEFS).cost()
    assert narrow["cost_low"] <= whole.loc["line", "cost"] <= narrow["cost_high"]
    assert narrow["cost_high"] - narrow["cost_low"] < (wide["cost_high"] - wide["cost_low"]) / 3 / 10


def test_an_image_costs_what_the_file_of_prices_says(bench: Workbench, served: OpenAIServer) -> None:
    """A price for one image is exact, and is the same on both sides."""
    flow = xt.Workflow("draws").generate_image("poster", prompt="{{ name }}", provider="openai", model="drawn", n=2)
    table = planned(flow)
    assert table["cost_low"].tolist() == table["cost_high"].tolist() == [0.24]
    assert repr(table).endswith("6 jobs to run, for $0.24")


def test_calls_and_reviews_do_not_end_what_a_plan_knows(bench: Workbench, served: OpenAIServer) -> None:
    """Steps behind a function and behind a person are counted and have a price, that of a larger prompt; with `choose=2` there
    are two jobs for each row."""
    flow = (
        asking(n=3)
        .review("pick", of="line", choose=2)
        .call("louder", lambda text: text.upper(), text="{{ name }}")
        .generate_copy("more", prompt="{{ pick.line }}", over="pick", provider="openai", model="m", max_tokens=20)
        .generate_copy("last", prompt="{{ louder }}", provider="openai", model="m", max_tokens=20)
    )
    table = planned(flow)
    assert dict(table["jobs"]) == {"line": 9, "pick": 3, "louder": 3, "more": 6, "last": 3}
    assert table["why"]["more"] == "after pick, which is not known yet"
    assert table["why"]["louder"] == "a function runs anew without cache=True"
    assert table["why"]["pick"] == "a person decides"
    # 6,000 bytes of a text that is not known, and 20 tokens.
    assert table["cost_high"]["last"] == pytest.approx(3 * 2.08, abs=0.1)
    assert 0 < table["cost_low"]["last"] < table["cost_high"]["last"] / 4
    assert not served.requests


def test_what_a_person_may_choose_is_looked_up(bench: Workbench) -> None:
    """Where the options are known, a step behind the review is in the cache if it is so for each of them; where it is so for
    some, the plan says that, and the least that it costs is nothing."""
    flow = (
        xt.Workflow("chooses")
        .generate_copy("line", prompt="{{ name }}", n=2)
        .review("pick", of="line")
        .generate_copy("body", prompt="{{ pick.line.text }}")
    )
    run = bench.done(flow, BRIEFS.head(1))
    run.approve("pick", row=0, choose=[0])
    bench.work(run)
    table = planned(flow, BRIEFS.head(1)).loc["body"]
    assert (table["cached"], table["why"]) == (0, "in the cache for some of the options")
    again = bench.done(flow, BRIEFS.head(1))
    again.approve("pick", row=0, choose=[1])
    bench.work(again)
    assert planned(flow, BRIEFS.head(1)).loc["body", "cached"] == 1
    assert reasons(flow, BRIEFS.head(2))["body"] == "1 in the cache; 1 after pick, which is not known yet"


def test_a_review_that_decides_by_itself_is_followed(bench: Workbench) -> None:
    """With `auto="first"` what comes behind is known, also over a list of chosen options."""
    flow = (
        xt.Workflow("by-itself")
        .generate_copy("line", prompt="{{ name }}", n=3)
        .review("pick", of="line", choose=2, auto="first")
        .generate_copy("body", prompt="{{ pick.line.text }}", over="pick")
    )
    bench.done(flow, BRIEFS)
    table = planned(flow)
    assert dict(table["cached"]) == {"line": 9, "pick": 0, "body": 6}
    assert dict(table["why"]) == {"line": "in the cache", "pick": "decided by itself", "body": "in the cache"}


def test_lists_in_known_answers_are_counted(bench: Workbench) -> None:
    """Once the answers are in the cache the jobs over a list in them have a number; before, they are about as many as in the
    latest run."""
    flow = (
        xt.Workflow("ideas")
        .generate_copy("ad", prompt="{{ name }}", returns=Idea)
        .generate_copy("more", prompt="{{ ad.ideas }}", over="ad.ideas")
    )
    assert reasons(flow)["more"] == "as many as ad.ideas makes"
    run = bench.done(flow, BRIEFS)
    count = int((run.jobs()["node"] == "more").sum())
    table = planned(flow)
    assert (table.loc["more", "jobs"], table.loc["more", "cached"]) == (count, count)
    other = pd.DataFrame({"name": ["Sea clock", "Moon jug", "Pine desk"]})
    assert reasons(flow, other)["more"] == f"as many as ad.ideas makes, about {count} as in the latest run"


def test_why_names_what_was_changed(bench: Workbench) -> None:
    """The parameters that differ from the latest run of the workflow, only for jobs that have no result."""
    bench.done(xt.Workflow("w").generate_copy("line", prompt="{{ name }}"), BRIEFS)
    changed = xt.Workflow("w").generate_copy("line", prompt="A line for {{ name }}", temperature=1.5)
    assert reasons(changed) == {"line": "new: `prompt`, `temperature` changed since the latest run"}
    more = pd.DataFrame({"name": [*BRIEFS["name"], "Sea clock"]})
    same = xt.Workflow("w").generate_copy("line", prompt="{{ name }}")
    assert reasons(same, more) == {"line": "3 in the cache; 1 new, no result yet"}
    assert reasons(xt.Workflow("w").generate_copy("line", prompt="{{ name }}", cache=False)) == {"line": "cache=False"}
    assert reasons(xt.Workflow("other").generate_copy("line", prompt="{{ name }}!")) == {"line": "new, no result yet"}


def test_a_text_that_cannot_be_made_is_told(bench: Workbench) -> None:
    """Why says which jobs will fail, and the others are counted as ever."""
    flow = xt.Workflow("fails").generate_copy("line", prompt="{{ 1 / size }}")
    table = planned(flow, pd.DataFrame({"size": [1, 0, 2]}))
    assert table["jobs"].tolist() == [3]
    assert table["why"]["line"].startswith("2 new, no result yet; 1 will fail: ")


def test_steps_in_branches_may_cost_nothing(bench: Workbench, served: OpenAIServer) -> None:
    """What may be skipped has no least cost."""
    ask: Any = {"prompt": "{{ name }}", "provider": "openai", "model": "m"}
    flow = xt.Workflow("branches").conditional(
        "premium", when="{{ name == 'Aurora lamp' }}", then=lambda inner: inner.generate_copy("more", **ask)
    )
    table = planned(flow)
    assert table["cost_low"]["more"] == 0
    assert table["cost_high"]["more"] > 0


def test_a_budget_that_may_not_do_is_told(bench: Workbench, served: OpenAIServer) -> None:
    """A warning says what the run will likely cost, and how it goes on; one that will do says nothing."""

    def with_budget(budget: float) -> Any:
        flow = xt.Workflow("spends", budget=budget)
        ask: Any = {"provider": "openai", "model": "m", "max_tokens": 100}
        return planned(flow.generate_copy("line", prompt="Hi {{ name }}", **ask))

    with pytest.warns(
        UserWarning, match=r"The run may pause before its end: its budget is \$0.20, and it will likely cost"
    ):
        assert len(with_budget(0.20).warnings) == 1
    with pytest.warns(UserWarning, match=r"The run will pause before its end"):
        with_budget(0.005)
    assert with_budget(5.00).warnings == ()
