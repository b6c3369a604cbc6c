"""The delay of a pause while every slot is busy: until the last job of the run starts, and until the call returns."""

from __future__ import annotations

import json
import threading
import time

from busy import plan_of
from crowd import Crowd, submit
from graphs import chain

import xtyl_nb as xt
from servers import wait_until

BESIDE = 8
# More jobs than can run while the pauses last.
ROWS = 20_000
SETTLE_SECONDS = 0.3
STARTED_AFTER = """
SELECT output FROM agent_jobs WHERE execution_id = :id AND state = 'completed' AND finished > :since
"""
BUSY = "SELECT count(*) FROM agent_jobs WHERE state = 'running'"


def print_pauses(crowd: Crowd, pauses: int) -> None:
    """Pause one run after the other, among several that keep every slot busy."""
    runs = [submit(plan_of(chain(1)), ROWS) for _ in range(BESIDE)]
    slots = 4 * len(crowd.workers)
    wait_until(lambda: crowd.value(BUSY) >= slots * 0.8, 60)
    effects, returns, late = [], [], 0
    for place in range(pauses):
        called, returned, starts = paused(crowd, runs[place % BESIDE])
        effects.append(max([1000 * (at - called) for at in starts], default=0.0))
        returns.append(1000 * (returned - called))
        late += sum(at > returned for at in starts)
    for run in runs:
        run.stop()
    print(
        f"| {pauses} pauses, {slots} slots busy with {BESIDE} runs of 20 ms jobs | p50 | p99 | aim |\n|---|---|---|---|"
    )
    print(f"| ms from `run.pause()` to the last start of a job | {ends(effects)} | 500 |")
    print(f"| ms until it returns | {ends(returns)} | 500 |")
    print(f"| starts after it returned | {late} | | 0 |\n", flush=True)


def paused(crowd: Crowd, run: xt.Run) -> tuple[float, float, list[float]]:
    """The times at which a run's pause was called and returned, and those of its jobs' starts since the call."""
    called = time.time()
    run.pause()
    returned = time.time()
    # Long enough to see a start that should not happen.
    threading.Event().wait(SETTLE_SECONDS)
    wait_until(lambda: not crowd.value(f"{BUSY} AND execution_id = :id", id=run.id))
    found = [json.loads(row[0])["value"]["at"] for row in crowd.rows(STARTED_AFTER, id=run.id, since=called)]
    run.resume()
    return called, returned, [at for at in found if at > called]


def ends(values: list[float]) -> str:
    """Median and 99th percentile."""
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.0f} | {ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]:.0f}"
