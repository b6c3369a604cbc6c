"""What a job needs before it asks its provider: how much money is held for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import xtyl_nb as xt
from openai_server import OpenAIServer, openai_server
from workbench import Workbench, workbench
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.worker.execute import Executor

LONG = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A long one"}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 3000, "total_tokens": 3005},
}
PRICES = """
[[price]]
model = "m"
input = 1000
output = 1000
"""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    (tmp_path / "prices.toml").write_text(PRICES)
    monkeypatch.setenv("XTYL_PRICES", str(tmp_path / "prices.toml"))
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with openai_server() as found:
        monkeypatch.setenv("OPENAI_BASE_URL", found.url)
        yield found


@pytest.fixture
def bench(tmp_path: Path, served: OpenAIServer) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def test_a_worker_that_comes_late_holds_for_answers_as_large_as_those_that_there_are(
    bench: Workbench, served: OpenAIServer
) -> None:
    """Four times the largest answer of the step, also where another worker got it: of a step without `max_tokens`."""
    served.answers["m"] = (200, json.dumps(LONG), {})
    flow = xt.Workflow("spends", budget=100.00).generate_copy("a", prompt="Hi {{ n }}", provider="openai", model="m")
    run = bench.work(flow.run([{"n": 1}, {"n": 2}]), jobs=1)
    held: list[int] = []

    def hold(claim: Claim, most: int) -> bool:
        held.append(most)
        return True

    plans = PlanCache()
    late = Executor(bench.settings, bench.backend.database, plans, bench.backend.store, bench.recorder.may_start, hold)
    (claim,) = bench.recorder.record([], run.id, 1).claims
    late.execute(claim)
    assert held[0] > 12_000 * 1_000_000
