"""What a run used and cost, as a person sees it: by step, by job, by attempt, and in the list of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.errors import NodeTimeout, PermanentError, TransientError
from xtyl_engine.providers.base import ImageRequest, ImageResult, TextRequest, TextResult, Usage
from xtyl_engine.values.images import encode_png

BRIEFS = pd.DataFrame({"name": ["Aurora", "Tidal"]}, index=["x", "y"])


def length(text: str) -> int:
    return len(text)


FLOW = (
    xt.Workflow("money")
    .generate_copy("line", prompt="A line for {{ name }}", retry={"attempts": 2, "base_seconds": 0.001})
    .generate_image("poster", prompt="{{ line.text }}", size="64x64")
    .call("size", length, text="{{ line.text }}")
)
# gpt-4.1-mini takes $0.40 and $1.60 for a million tokens, gpt-image-1 takes $5 and $40.
LINE, POSTER = 1_000 * 400 + 100 * 1_600, 50 * 5_000 + 1_056 * 40_000


class Vendor:
    """Answers as OpenAI does, with one error before."""

    name = "openai"

    def __init__(self, *errors: Exception, model: str = "gpt-4.1-mini-2025-04-14"):
        self.errors = list(errors)
        self.model = model

    def usage(self) -> Usage:
        return Usage(provider="openai", model=self.model, input_tokens=1_000, output_tokens=100, request_id="r-1")

    def write(self, request: TextRequest) -> TextResult:
        if self.errors:
            raise self.errors.pop()
        return TextResult(text=request.prompt, usage=self.usage())

    def draw(self, request: ImageRequest) -> ImageResult:
        usage = Usage(provider="openai", model="gpt-image-1", input_tokens=50, image_tokens=1_056)
        return ImageResult(data=encode_png(Image.new("RGB", (64, 64)))[0], usage=usage)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def run_with(bench: Workbench, vendor: Vendor) -> xt.Run:
    """The workflow's run, answered by this vendor."""

    def get(name: str, variables: Mapping[str, str]) -> Vendor:
        return vendor

    bench.executor.provider = get
    return bench.done(FLOW, BRIEFS)


def test_a_run_says_what_each_step_cost(bench: Workbench) -> None:
    """Tokens and dollars of each step that asks a provider, and a total; what another run did is saved, and costs nothing."""
    first = run_with(bench, Vendor()).cost()
    assert first.index.to_list() == ["line", "poster", "total"]
    assert first["cost"].to_list() == [2 * LINE / 1e9, 2 * POSTER / 1e9, 2 * (LINE + POSTER) / 1e9]
    assert list(first.loc["total"].drop(["cost", "cached_tokens"])) == [4, 0, 2_100, 200, 2_112, 0.0, 0]
    assert first["cached_tokens"].isna().all()
    again = run_with(bench, Vendor()).cost()
    assert again["cached"].to_list() == [2, 2, 4]
    assert again["cost"].to_list() == [0.0] * 3
    assert again["saved"].to_list() == first["cost"].to_list()
    assert again["unpriced"].to_list() == [0] * 3
    third = run_with(bench, Vendor()).cost()
    assert third["saved"].to_list() == first["cost"].to_list()


def test_jobs_and_outputs_say_what_they_cost(bench: Workbench) -> None:
    """Each with its tokens, its price's source and day; the output has the cost too, for templates and frames."""
    run = run_with(bench, Vendor())
    jobs = run.jobs().set_index("node").loc["line"]
    asked = ["tokens", "input_tokens", "cached_tokens", "output_tokens", "image_tokens", "cost", "unpriced"]
    assert jobs[asked].iloc[0].fillna(-1).to_list() == [1_100, 1_000, -1, 100, -1, LINE / 1e9, 0]
    assert jobs["price"].iloc[0].startswith("genai-prices 0.2.3, 20")
    assert run.outputs("line")["cost"].to_list() == [LINE / 1e9] * 2
    assert run.outputs("poster")["cost"].to_list() == [POSTER / 1e9] * 2
    size = run.jobs().set_index("node").loc["size"]
    assert size["cost"].isna().all()
    assert size["unpriced"].to_list() == [0, 0]


def test_an_attempt_that_was_billed_for_nothing_counts(bench: Workbench) -> None:
    """Its request's name, its notes and its cost stand in the job's details."""
    spoilt = Usage(
        provider="openai", model="gpt-4.1-mini", input_tokens=500, output_tokens=0, request_id="r-0", notes=("Cut.",)
    )
    run = run_with(bench, Vendor(TransientError("half an answer", usage=spoilt)))
    job = run.inspect("line")
    assert [(each.outcome, each.request_id, each.notes, each.cost) for each in job.attempts] == [
        ("retrying", "r-0", ("Cut.",), 0.0002),
        ("completed", "r-1", (), LINE / 1e9),
    ]
    assert [each.cost_kind for each in job.attempts] == ["known", "known"]
    assert (job.cost, job.input_tokens, job.output_tokens) == ((LINE + 200_000) / 1e9, 1_500, 100)
    assert run.cost()["cost"]["line"] == (2 * LINE + 200_000) / 1e9


@pytest.mark.parametrize(
    ("error", "unpriced"),
    [
        (PermanentError("no such model"), 0),
        (TransientError("too many", retry_after=0.001), 0),
        (NodeTimeout("no answer in time"), 1),
    ],
)
def test_a_refusal_costs_nothing_and_a_timeout_an_unknown_amount(
    bench: Workbench, error: Exception, unpriced: int
) -> None:
    """A server that refused billed nothing; whether one that did not answer in time did, is not known."""
    run = run_with(bench, Vendor(error))
    first = run.inspect("line").attempts[0]
    assert (first.cost, first.cost_kind) == (None, "unknown" if unpriced else None)
    assert run.cost()["unpriced"]["total"] == run.jobs()["unpriced"].sum() == unpriced


def test_what_is_unknown_is_not_nothing(bench: Workbench) -> None:
    """A model without a price: NA by job, by step and for the run, and counted; beside what is known the sum is of that."""
    run = run_with(bench, Vendor(model="ours"))
    cost = run.cost()
    assert cost["cost"].isna().to_list() == [True, False, False]
    assert cost["unpriced"].to_list() == [2, 0, 2]
    assert cost["cost"]["total"] == 2 * POSTER / 1e9
    assert run.outputs("line")["cost"].isna().all()
    listed = xt.runs()
    assert list(listed.loc[run.id, ["cost", "unpriced"]]) == [2 * POSTER / 1e9, 2]
    node = run.overview().nodes["line"]
    assert (node.spent, node.unpriced, run.overview().paid("spent")) == (0, 2, 2 * POSTER)


def test_a_file_of_prices_that_cannot_be_used_fails_before_anything_is_paid(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each job fails with the place in the file; with the file mended, `retry()` goes on."""
    path = tmp_path / "prices.toml"
    path.write_text('[[price]]\nmodel = "*"\ninput = 1\n')
    monkeypatch.setenv("XTYL_PRICES", str(path))
    vendor = Vendor(PermanentError("this was paid"))
    run = run_with(bench, vendor)
    assert "line 1: it has no whole price" in str(run.inspect("line").error)
    assert len(vendor.errors) == 1
    vendor.errors.clear()
    path.write_text('date = 2026-11-30\n[[price]]\nmodel = "*"\nrequest = 0.25\n')
    bench.work(run.retry())
    assert run.cost()["cost"].to_list() == [0.5, 0.5, 1.0]
    assert run.jobs()["price"].iloc[0] == "XTYL_PRICES prices.toml, 2026-11-30"


def test_offline_costs_nothing_and_says_so(bench: Workbench) -> None:
    """That is known, and not unknown."""
    run = bench.done(FLOW, BRIEFS)
    assert run.cost()["cost"].to_list() == [0.0] * 3
    assert run.cost()["unpriced"].to_list() == [0] * 3
    assert xt.runs()["cost"].to_list() == [0.0]


def test_a_run_that_has_not_begun_has_cost_nothing(bench: Workbench) -> None:
    """Its table is there from the first look."""
    cost = FLOW.run(BRIEFS).cost()
    assert cost["cost"].to_list() == [0.0] * 3
    assert cost["input_tokens"].isna().all()
