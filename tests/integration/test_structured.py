"""Answers with fields through a whole run: columns and cells, a list in a field that others run over, a review of its items."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_engine.queries.job_detail import JobDetails
from xtyl_engine.workflow.plan import load_plan


class Idea(BaseModel):
    title: str
    shots: list[str] = Field(min_length=1, max_length=2)


class Ad(BaseModel):
    score: int
    headline: str = Field(max_length=40)
    ideas: list[Idea] = Field(max_length=2)


FLOW = (
    xt.Workflow("autumn")
    .generate_copy("ad", prompt="An ad for {{ product }}", returns=Ad, n=2)
    .generate_copy("scene", prompt="{{ ad.headline }}: {{ ad.ideas.title }}", over="ad.ideas")
    .generate_copy("tag", prompt="A tagline for {{ ad.ideas.title }}", over="scene")
    .review("pick", of="scene", auto="first")
    .attach("kit", idea="{{ pick.ad.ideas.title }}", best="{{ pick.ad }}", count="{{ ad[0].ideas | length }}")
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def asked(bench: Workbench, run: xt.Run, item: str) -> str:
    """The prompt of one scene."""
    return str(JobDetails(bench.backend.queries, bench.backend.store).job(run.id, "scene", item).asked["prompt"])


def test_a_list_in_a_field_is_run_over(bench: Workbench, tmp_path: Path) -> None:
    """Each answer's list has items of its own; a reader sees its item in place of the list, a review the one that was chosen. The
    same workflow out of a document, which has the schema alone, finds the answers in the cache."""
    run = bench.done(FLOW, product="Aurora lamp")
    answers, ideas, kit = run.outputs("ad"), run.outputs("ad.ideas"), run.outputs("kit").iloc[0]
    assert list(answers.columns) == ["score", "headline", "ideas", "provider", "model", "tokens", "cost", "finish"]
    assert (len(answers), len(ideas), len(run.outputs("tag"))) == (2, 4, 4)
    for place, (item, title) in enumerate(zip(["0.0.0", "0.0.1", "0.1.0", "0.1.1"], ideas["title"], strict=True)):
        assert asked(bench, run, item) == f"{answers['headline'].iloc[place // 2]}: {title}"
    assert (kit["idea"], kit["count"]) == (ideas["title"].iloc[0], 2)
    assert json.loads(kit["best.ideas"])["title"] == ideas["title"].iloc[0]
    frame = run.frame()
    assert list(frame.columns) == ["ad", "scene", "tag", "pick", "kit", "status", "error"]
    assert frame["ad"].iloc[0] == list(answers["headline"])
    plan = bench.backend.queries.plan(run.id)
    assert (list(plan.nodes), plan.reviews) == (list(load_plan(plan.to_json()).nodes), ("pick",))
    assert [node.id for node in plan.document.nodes] == ["ad", "scene", "tag", "pick", "kit"]
    again = bench.done(xt.Workflow.from_json(FLOW.to_json()), product="Aurora lamp").jobs().set_index("node")
    assert again.loc[["ad", "scene", "tag"], "cached"].all()
    (saved,) = [path for path in run.save(tmp_path / "saved") if "idea" in path.name]
    assert saved.read_text() == ideas["title"].iloc[0]


def test_an_empty_list_has_no_items(bench: Workbench) -> None:
    """Nothing runs over it, and what gathers them runs all the same."""
    none = {"type": "object", "properties": {"ideas": {"type": "array", "items": {"type": "string"}, "maxItems": 0}}}
    flow = (
        xt.Workflow("none")
        .generate_copy("ad", prompt="x", returns=none)
        .generate_copy("line", prompt="{{ ad.ideas }}", over="ad.ideas")
        .attach("kit", count="{{ line | length }}")
    )
    run = bench.done(flow)
    assert (len(run.outputs("line")), run.outputs("kit")["count"].iloc[0]) == (0, 0)
