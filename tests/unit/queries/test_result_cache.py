"""Cached results: each belongs to one project, and is found by an index."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

import xtyl_nb as xt
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.nodes.registry import configure, node_type
from xtyl_engine.queries.forecast import forecast
from xtyl_engine.queries.result_cache import cache_key
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.control import Controls
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.scheduler.submit import Row, Submission, new_execution_id, submit
from xtyl_engine.settings import load_settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.execute import Executor
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.validate import validate

FLOW = xt.Workflow("line").generate_copy("line", prompt="One line")


class Hands:
    """A database and hands that work for any project on it."""

    def __init__(self, database: Database, home: Path):
        settings = load_settings({"XTYL_HOME": str(home), "XTYL_REDIS_URL": "unix:///nowhere.sock"})
        self.database, self.plans, self.store = database, PlanCache(), ArtifactStore(home / "artifacts")
        self.plan: Plan = validate(FLOW._document)
        self.recorder = Recorder(database, "hands", 10.0, lambda events: None, self.plans.load)
        self.executor = Executor(settings, database, self.plans, self.store, self.recorder.may_start)

    def done(self, project: str, *, stop: bool = False) -> bool:
        """Run it once in a project, `stop` it before its result comes; whether its result came from the cache."""
        id = new_execution_id("line")
        submit(self.database, Submission(id=id, plan=self.plan, rows=[Row(label=0, values={})], project=project))
        (claim,) = self.recorder.record([], id, 1).claims
        outcome = self.executor.execute(claim)
        if stop:
            Controls(self.database, self.plans, self.store).stop(id)
        self.recorder.record([outcome], id, 0)
        return bool(getattr(outcome, "cached", False))

    def cached(self, project: str) -> int:
        """The cached jobs of a dry run in a project."""
        (found,) = forecast(
            self.plan, [{}], database=self.database, store=self.store, provider="offline", project=project
        )
        return found.cached


@pytest.fixture
def hands(database: Database, tmp_path: Path) -> Hands:
    return Hands(database, tmp_path)


def test_a_result_is_cached_for_its_own_project_only(hands: Hands) -> None:
    """A result that one project made and paid is made anew for another; each finds its own again, even after the
    other's is newer."""
    assert [hands.done(project) for project in ("mine", "theirs", "mine", "theirs")] == [False, False, True, True]


def test_a_dry_run_counts_its_own_projects_results_only(hands: Hands) -> None:
    """The forecast agrees with the run."""
    hands.done("mine")
    assert (hands.cached("mine"), hands.cached("theirs")) == (1, 0)


def test_a_late_result_is_found_like_any_other(hands: Hands) -> None:
    """A run was stopped before its result came, and what was paid is not paid again by the next run; the forecast agrees."""
    hands.done("mine", stop=True)
    assert (hands.cached("mine"), hands.cached("theirs")) == (1, 0)
    assert [hands.done("mine"), hands.done("theirs")] == [True, False]


@pytest.mark.parametrize(
    ("seed", "key"),
    [
        (None, "71a23c99b0f7f4ce858c0bc61a11bca0df60c8be9fe4e97d01ec31528611748d"),
        (0, "71a23c99b0f7f4ce858c0bc61a11bca0df60c8be9fe4e97d01ec31528611748d"),
        (7, "32ed0896b4b8db3fe116010f69990f155f5849c57e7f99e7ba2b6f045616093c"),
    ],
)
def test_a_key_is_what_the_first_release_wrote(seed: int | None, key: str) -> None:
    """Results stored under it are still found; a seed that is not set counts as 0, whether one is sent or not."""
    plan = validate(xt.Workflow("line").generate_copy("line", prompt="One line", seed=seed)._document)
    kind, node = node_type("generate_copy"), plan.nodes["line"]
    assert cache_key(kind, node, configure(kind, node.config), "0", "openai", {}) == key


OWN = "https://api.openai.com/v1"
LOCAL = "http://127.0.0.1:8080/v1"


def test_results_of_another_server_have_another_key() -> None:
    """A server that a variable names parts its results from those of the provider's own; that one may be named too."""
    plan = validate(xt.Workflow("line").generate_copy("line", prompt="One line")._document)
    kind, node = node_type("generate_copy"), plan.nodes["line"]

    def key(provider: str, **variables: str) -> str | None:
        return cache_key(kind, node, configure(kind, node.config), "0", provider, variables)

    own = key("openai")
    assert {key("openai", OPENAI_BASE_URL=url) for url in ("", OWN, f" {OWN}/ ")} == {own}
    local = key("openai", OPENAI_BASE_URL=LOCAL)
    assert local == key("openai", OPENAI_BASE_URL=f"{LOCAL}/")
    assert len({own, local, key("openai", OPENAI_BASE_URL="http://other/v1"), key("my-own")}) == 4
    assert key("offline", OPENAI_BASE_URL=LOCAL) == key("offline")
    assert key("my-own", MY_OWN_BASE_URL=LOCAL) != key("my-own", OPENAI_BASE_URL=LOCAL) == key("my-own")


@pytest.mark.parametrize("name", ["CACHED", "CACHED_IN"])
def test_a_cached_result_is_found_by_its_key(database: Database, name: str) -> None:
    """The index of the keys is read, and each execution found by its id, whatever else is in the database."""
    asked = database.compiled(getattr(sql, name))
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    given = {"cache_key": "k", "execution_id": "e", "project": "p"}
    with database.engine.connect() as connection:
        if not database.is_sqlite:
            connection.execute(text("SET enable_seqscan = off"))
        cursor = connection.connection.cursor()
        cursor.execute(explain + asked.text, {**asked.constants, **given})
        plan = "\n".join(map(str, cursor.fetchall()))
        cursor.close()
    assert "jobs_by_cache_key" in plan
    assert "SCAN " not in plan
    assert "Seq Scan" not in plan
