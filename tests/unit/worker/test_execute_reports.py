"""What handlers and providers of others report, however odd, costs no job its paid result: on both databases it is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xtyl_nb as xt
from offering import node_types_of
from workbench import Workbench, workbench
from xtyl_engine.providers.base import ImageRequest, ImageResult, TextRequest, TextResult, Usage

ODD_TYPES = """
import numpy as np
from xtyl_engine.nodes.base import Done, NodeConfig, NodeType

def run_list(config, context):
    return Done(output={"items": [np.int64(3), "b\\ud800"]}, items=np.int64(2))

def run_number(config, context):
    return Done(output={"score": np.float64(0.5), "n": np.int64(2**40)})

def run_count(config, context):
    return Done(output={"items": []}, items=1.5)

LIST = NodeType(name="odd_list", config=NodeConfig, run=run_list, main="items", expands=True)
NUMBER = NodeType(name="odd_number", config=NodeConfig, run=run_number, main="score")
COUNT = NodeType(name="odd_count", config=NodeConfig, run=run_count, main="items", expands=True)
"""


@pytest.fixture
def bench(tmp_path: Path, database_url: str) -> Iterator[Workbench]:
    with workbench(tmp_path, XTYL_DATABASE_URL=database_url) as made:
        yield made


@pytest.fixture
def odd_types(tmp_path: Path) -> Iterator[None]:
    """Node types of another package, which report in kinds of their own."""
    offered = {f"odd_{name}": f"odd_types:{name.upper()}" for name in ("list", "number", "count")}
    with node_types_of(tmp_path / "site", offered, odd_types=ODD_TYPES):
        yield


class Odd:
    """A provider that answers with an odd text, and reports its usage in kinds of its own."""

    name = "odd"

    def __init__(self, **told: Any):
        self.told = told

    def draw(self, request: ImageRequest) -> ImageResult:
        raise NotImplementedError

    def write(self, request: TextRequest) -> TextResult:
        return TextResult(text="a\ud800\0", usage=Usage(**{"provider": "odd\ud800", "model": "m\0", **self.told}))


@pytest.mark.parametrize(
    ("told", "tokens", "cost"),
    [
        ({"tokens": np.int64(7), "cost": Decimal("0.25")}, 7, 0.25),
        ({"tokens": 7.0, "cost": np.float32(0.25)}, 7, 0.25),
        ({"tokens": 2**63, "cost": float("inf")}, None, None),
        ({"tokens": -1, "cost": float("nan")}, None, None),
        ({"tokens": "many", "cost": "1"}, None, None),
    ],
    ids=["other kinds", "floats", "too large", "impossible", "texts"],
)
def test_an_odd_usage_costs_no_result(bench: Workbench, told: Any, tokens: int | None, cost: float | None) -> None:
    """The text is kept and mended; what is a number is recorded as one, and what is none is unknown."""
    bench.executor.provider = lambda name, variables: Odd(**told)
    run = bench.done(xt.Workflow("odd").generate_copy("line", prompt="x", cache=False))
    (job,) = run.jobs().to_dict("records")
    assert (run.state, run.frame()["line"][0]) == ("completed", "a\ufffd\ufffd")
    assert (job["provider"], job["model"]) == ("odd\ufffd", "m\ufffd")
    assert [None if value != value else value for value in (job["tokens"], job["cost"])] == [tokens, cost]


class Lazy:
    """A report that looks its fields up when they are asked for, and finds nothing; its model's name has no text."""

    provider = "odd"

    class Model:
        """A name that cannot be written."""

        def __str__(self) -> str:
            raise ValueError("no text")

    model = Model()

    @property
    def tokens(self) -> int:
        raise KeyError("total_tokens")

    cost = 0.25


class Late(Odd):
    """A provider whose usage is such a report."""

    def write(self, request: TextRequest) -> TextResult:
        return TextResult(text="paid", usage=Lazy())  # type: ignore[arg-type]


def test_a_usage_whose_fields_raise_costs_no_result(bench: Workbench) -> None:
    """The text is kept; what can be read is recorded, and the rest is unknown."""
    bench.executor.provider = lambda name, variables: Late()
    run = bench.done(xt.Workflow("odd").generate_copy("line", prompt="x", cache=False))
    (job,) = run.jobs().to_dict("records")
    assert (run.state, run.frame()["line"][0]) == ("completed", "paid")
    assert (job["provider"], job["model"], job["cost"]) == ("odd", "", 0.25)
    assert job["tokens"] != job["tokens"] or job["tokens"] is None


def test_an_odd_text_of_a_function_costs_no_result(bench: Workbench) -> None:
    """Half a surrogate pair and NUL in what a function returns are mended, and the steps after it read the rest."""
    flow = (
        xt.Workflow("odd")
        .call("made", lambda: {"t": "a\ud800b\0c"})
        .call("read", lambda value: value["t"], value="{{ made }}")
    )
    run = bench.done(flow)
    assert (run.state, run.frame()["read"][0]) == ("completed", "a\ufffdb\ufffdc")


def test_the_kinds_of_other_packages_are_recorded_as_plain_ones(bench: Workbench, odd_types: None) -> None:
    """Numbers of numpy in an output, and as the length of a list, are numbers; texts are mended."""
    flow = (
        xt.Workflow("odd")
        .node("odd_number", "score")
        .node("odd_list", "made")
        .call("each", lambda value: value, value="{{ made }}", over="made")
    )
    run = bench.done(flow)
    assert run.state == "completed", run.jobs()["error"].dropna().tolist()
    assert run.frame()["score"][0] == 0.5
    assert run.outputs("each").iloc[:, 0].tolist() == [3, "b\ufffd"]


def test_a_length_that_is_none_fails_its_job_by_name(bench: Workbench, odd_types: None) -> None:
    """A list with one and a half items is no list that other steps can run over."""
    flow = xt.Workflow("odd").node("odd_count", "made").call("each", lambda value: value, value="x", over="made")
    run = bench.done(flow)
    assert "it says that its list has 1.5 items" in str(run.frame()["error"][0])
