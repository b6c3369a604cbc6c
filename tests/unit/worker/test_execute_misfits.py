"""An answer that does not fit is asked again twice, each an attempt with its reason; then its job fails and keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import xtyl_nb as xt
from engine_driver import Driver
from xtyl_engine.database.connection import Database
from xtyl_engine.database.retention.executions import Retention, prune
from xtyl_engine.queries.job_detail import JobDetails
from xtyl_engine.queries.views import JobDetail
from xtyl_engine.scheduler.outcomes import Claim, Outcome
from xtyl_engine.settings import load_settings
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.execute import Executor
from xtyl_engine.workflow.document import parse_document
from xtyl_engine.workflow.validate import validate
from xtyl_nb.testing import FakeProvider

SCHEMA = {
    "type": "object",
    "properties": {"headline": {"type": "string"}, "price": {"type": "number"}},
    "required": ["price"],
}
FITTING = '{"headline": "Go", "price": 2}'


class Asked:
    """One job of a workflow that asks a scripted provider, worked attempt by attempt."""

    def __init__(self, database: Database, folder: Path, *answers: Any, budget: float | None = None, **config: Any):
        self.provider = FakeProvider(*answers)
        self.held: list[int] = []
        self.driver = Driver(database)
        self.store = ArtifactStore(folder)
        self.executor = Executor(
            load_settings(),
            database,
            self.driver.plans,
            self.store,
            lambda claim: True,
            hold=self.hold,
            provider=lambda *_: self.provider,
        )
        flow = xt.Workflow("ads").generate_copy("ad", prompt="An ad", returns=SCHEMA, **config)
        plan = validate(parse_document(flow.to_json()))
        self.id = self.driver.submit(plan, budget=None if budget is None else round(budget * 10**9))

    def hold(self, claim: Claim, most: int) -> bool | None:
        """Hold what an attempt may cost, and note it."""
        self.held.append(most)
        return self.driver.recorder.hold(claim, most)

    def work(self) -> JobDetail:
        """Work until nothing is ready; the job as it stands then."""
        outcomes: list[Outcome] = []
        while claims := self.driver.recorder.record(outcomes, self.id, 1).claims:
            outcomes = [self.executor.execute(claim) for claim in claims]
        return JobDetails(self.driver.queries, self.store).job(self.id, "ad", "0")


Asking = Callable[..., Asked]


@pytest.fixture
def asking(database: Database, tmp_path: Path) -> Asking:
    return lambda *answers, **config: Asked(database, tmp_path, *answers, **config)


def test_a_model_is_told_what_did_not_fit(asking: Asking) -> None:
    """The second answer fits: the job completes, the first attempt says why and keeps its text, and no retry is spent on it."""
    asked = asking('{"headline": 3, "price": 2}', FITTING, retry=1)
    job = asked.work()
    assert job.state is JobState.COMPLETED
    assert json.loads(job.text or "") == {"headline": "Go", "price": 2}
    reason = "`headline`: input should be a valid string"
    assert [(each.outcome, each.error, each.answer) for each in job.attempts] == [
        ("retrying", f"the answer does not fit `returns`: {reason}", '{"headline": 3, "price": 2}'),
        ("completed", None, None),
    ]
    assert [(each.cost_kind, each.cost) for each in job.attempts] == [("known", 0.0)] * 2
    first, second = asked.provider.requests
    assert '{"headline": 3' in second.prompt
    assert (reason in first.prompt, reason in second.prompt) == (False, True)
    assert (first.key.endswith("/0"), second.key) == (True, f"{first.key}/again-1")


def test_an_answer_that_is_shown_again_is_held_for(asking: Asking) -> None:
    """The most that an attempt may cost, which a budget holds, has the answer before it, and the schema in words."""
    long = "no " * 6_000
    asked = asking(long, FITTING, provider="openai", model="gpt-4.1", max_tokens=10, budget=1.00)
    assert asked.work().state is JobState.COMPLETED
    first, again = asked.held
    sizes = [len(request.prompt.encode()) for request in asked.provider.requests]
    # Two dollars for a million tokens in.
    assert again - first >= (sizes[1] - sizes[0]) // 3 * 2_000
    assert again >= sizes[1] // 3 * 2_000


def test_after_two_more_answers_the_job_fails_and_keeps_the_last(asking: Asking) -> None:
    """Three attempts, each with its text; a retry asks three times anew, with the keys of a new beginning."""
    asked = asking("no", "nope", "never", "nothing", FITTING)
    job = asked.work()
    assert (job.state, [each.answer for each in job.attempts]) == (JobState.FAILED, ["no", "nope", "never"])
    assert job.error is not None
    assert job.error.startswith(
        "the answer does not fit `returns`: it holds no JSON object\n  Say in the prompt what is wanted"
    )
    asked.driver.controls.retry(asked.id)
    job = asked.work()
    assert (job.state, len(job.attempts)) == (JobState.COMPLETED, 5)
    keys = [request.key for request in asked.provider.requests]
    assert len(set(keys)) == 5
    assert "Your answer before" not in asked.provider.requests[3].prompt


def test_other_failures_between_have_their_own_count(asking: Asking) -> None:
    """A network failure spends a retry and no question; after it the model is still told of its last answer."""
    asked = asking(
        "no", xt.TransientError("later"), FITTING, retry={"attempts": 2, "base_seconds": 0.01, "max_seconds": 0.01}
    )
    job = asked.work()
    while job.state is not JobState.COMPLETED:
        job = asked.work()
    assert [each.outcome for each in job.attempts] == ["retrying", "retrying", "completed"]
    assert "Your answer before was:\nno" in asked.provider.requests[2].prompt
    assert asked.provider.requests[1].key == asked.provider.requests[2].key


def test_answers_go_with_their_run(asking: Asking) -> None:
    """What is pruned leaves no answer behind."""
    asked = asking("no", "no", "no")
    asked.work()
    database = asked.driver.database
    assert list(prune(database, Retention(seconds=-1.0))) == [(asked.id, 1)]
    with database.read() as transaction:
        assert transaction.rows(text("SELECT count(*) FROM attempt_answers"), {}) == [(0,)]
